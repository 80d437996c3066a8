"""Both languages say everything, with the same values, and nothing is kept that no page shows."""

import re
from pathlib import Path
from string import Formatter
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.report.texts import LANGUAGES, Phrase, Say, joined

TRAINER: Final = Path(__file__).parents[1] / "trainer"
CATALOGUE: Final = {key: value for key, value in vars(Say).items() if isinstance(value, Phrase)}


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("key", CATALOGUE)
def test_every_text_is_there_in_both_languages_with_the_same_values(key: str) -> None:
    phrase = CATALOGUE[key]
    assert all(phrase.text(language).strip() for language in LANGUAGES)
    assert fields(phrase.en) == fields(phrase.zh_cn)


@pytest.mark.parametrize("key", CATALOGUE)
def test_chinese_is_chinese_and_english_is_not(key: str) -> None:
    phrase = CATALOGUE[key]
    assert re.search(r"[\u4e00-\u9fff]", phrase.zh_cn)
    assert not re.search(r"[\u3000-\u9fff]", phrase.en)


def test_the_catalogue_holds_only_phrases() -> None:
    assert {key for key in vars(Say) if not key.startswith("__")} == set(CATALOGUE)


def test_no_text_is_unused_and_none_is_missing() -> None:
    files = [*TRAINER.rglob("*.py"), *(TRAINER / "report" / "templates").glob("*.j2")]
    used = {key for path in files for key in re.findall(r"\b[Ss]ay\.(\w+)", path.read_text(encoding="utf-8"))}
    assert used - {"name", "text"} == set(CATALOGUE)  # {{ say.name }} stands in the docstring


def test_values_are_put_in_each_in_its_own_language() -> None:
    reason = Phrase("no samples left", "样本已用完")
    assert Phrase("Stopped: {reason} ({n})", "停止：{reason}（{n}）").filled(reason=reason, n=3) == Phrase(
        "Stopped: no samples left (3)", "停止：样本已用完（3）"
    )


def test_a_missing_value_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError, match="count"):
        Phrase("{count} samples", "{count} 个样本").filled(number=3)


@given(st.text(), st.text())
def test_no_text_leaves_unescaped(en: str, zh_cn: str) -> None:
    phrase = Phrase(en, zh_cn)
    for markup, tag in ((phrase.__html__(), "span"), (phrase.tspans(), "tspan")):
        assert "<" not in re.sub(rf'<{tag} class="(en|zh)" lang="(en|zh-CN)">|</{tag}>', "", markup)


def test_one_text_for_both_languages_stands_once() -> None:
    assert Phrase("a&b", "a&b").__html__() == "a&amp;b"
    assert Phrase("a", "a").both() == "a"
    assert Phrase("a", "b").both() == "a / b"


def test_lists_are_joined_as_each_language_does() -> None:
    assert joined([Phrase("purity", "成品纯度"), Phrase("yield", "良品得率")]) == Phrase(
        "purity, yield", "成品纯度、良品得率"
    )
