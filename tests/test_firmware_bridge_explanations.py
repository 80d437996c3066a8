"""Every code that a log can hold has plain words in both languages."""

import re
from collections.abc import Mapping
from enum import Enum

import pytest

from firmware_bridge.explanations import (
    DOWN_REASONS,
    EJECT_REASONS,
    FAULTS,
    LOST_REASONS,
    STATES,
    explain,
    names,
)
from firmware_bridge.keeper_events import LostReason
from firmware_bridge.link_events import DownReason
from firmware_bridge.messages import BoardState, EjectReason, FaultCode
from firmware_bridge.phrase import LANGUAGES, Explanation, Phrase

CATALOGUES: list[tuple[type[Enum], Mapping[Enum, Explanation]]] = [
    (FaultCode, FAULTS),  # type: ignore[list-item]  # a mapping is invariant in its key
    (EjectReason, EJECT_REASONS),  # type: ignore[list-item]
    (DownReason, DOWN_REASONS),  # type: ignore[list-item]
    (LostReason, LOST_REASONS),  # type: ignore[list-item]
    (BoardState, STATES),  # type: ignore[list-item]
]
MEMBERS = [member for kind, _ in CATALOGUES for member in kind]


@pytest.mark.parametrize(("kind", "catalogue"), CATALOGUES, ids=lambda value: getattr(value, "__name__", ""))
def test_every_member_is_explained(kind: type[Enum], catalogue: Mapping[Enum, Explanation]) -> None:
    assert list(catalogue) == list(kind)


@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_a_code_is_found_by_its_name_in_any_case(member: Enum) -> None:
    assert explain(member.name.lower()) == explain(member.name)
    assert member.name in names()


@pytest.mark.parametrize("name", names())
def test_chinese_is_chinese_and_english_is_not(name: str) -> None:
    said = explain(name)
    for phrase in (said.what, said.why, said.remedy):
        assert re.search(r"[\u4e00-\u9fff]", phrase.text("zh-CN"))
        assert not re.search(r"[\u3000-\u9fff]", phrase.text("en"))


def test_where_two_enums_share_a_name_it_means_the_same() -> None:
    shared = {reason.name for reason in DownReason} & {reason.name for reason in LostReason}
    assert shared
    for name in shared:
        assert DOWN_REASONS[DownReason[name]] == LOST_REASONS[LostReason[name]] == explain(name)


def test_an_unknown_code_is_no_code() -> None:
    with pytest.raises(KeyError, match="NONSENSE"):
        explain("nonsense")


def test_values_are_put_in_each_in_its_own_language() -> None:
    inner = Phrase("air", "气压")
    said = Explanation(*(Phrase("{what} {n}", "{what}：{n}"),) * 3).filled(what=inner, n=3)
    assert [said.what.text(language) for language in LANGUAGES] == ["air 3", "气压：3"]


def test_a_missing_value_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError, match="count"):
        Phrase("{count} valves", "{count} 个喷阀").filled(number=3)
