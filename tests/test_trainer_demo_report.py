"""The demonstration's page says what the figures say, above all when the machine did not get better."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.demo.demo_report import write_demo_report
from trainer.demo.demo_results import Contender, DemoResult, MachineFigures
from trainer.demo.demo_text import demo_text
from trainer.demo.demo_verdict import compare, verdict
from trainer.loop.run_record import RoundReport, RunReport
from trainer.report.texts import LANGUAGES, Language

VOID: Final = {"meta", "input", "img", "br", "link"}


@dataclass
class Reader(HTMLParser):
    """Checks that tags close in order, and collects texts and links."""

    open_tags: list[str] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    is_balanced: bool = True

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        self.is_balanced &= bool(self.open_tags) and self.open_tags.pop() == tag


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def machine(contender: Contender, **changes: float) -> MachineFigures:
    figures = MachineFigures(contender, 3000, 0.93, 0.81, 0.97, 0.95, 0.88, 0.31, 0, 11.2)
    return msgspec.structs.replace(figures, **changes)


def run_of(rounds: int) -> RunReport:
    records = [RoundReport(at + 1, 100 * (at + 1), 50, 0.9, 0.01, 0.8, 0.95, 2.0) for at in range(rounds)]
    return RunReport(
        "model", records, 4600, 100 * rounds, "no_gain", rounds, 0.9, 0.8, "split", None, None, 1.4e-6, 900, 31.4,
        "a" * 64, "b" * 64,
    )  # fmt: skip


def demo(retrained: dict[str, float], control: dict[str, float] | None = None, audit: int = 160) -> DemoResult:
    return DemoResult(
        seed=7,
        new_season_share=0.0625,
        runs={"first": run_of(5), "retrained": run_of(6), "control": run_of(1)},
        residuals={"T0": 310, "T2": 121},
        inspected=3300,
        added={"first": 0, "retrained": 300, "control": 300},
        audit=audit,
        audit_error=0.09,
        machine=(machine("first"), machine("retrained", **retrained), machine("control", **(control or {}))),
        seconds=184.2,
    )


def test_better_in_all_that_changed_is_said_to_be_better() -> None:
    words, tone = verdict(machine("first"), machine("retrained", purity=0.98, carry_over=0.2))
    assert (words.en, tone) == (
        "The retrained model is better than the first in purity, carry-over, and worse in none.",
        "good",
    )


def test_a_mixed_result_names_what_got_worse() -> None:
    words, tone = verdict(machine("first"), machine("retrained", purity=0.98, yield_good=0.94))
    assert tone == "mixed"
    assert "better than the first in purity, but worse in yield" in words.en
    assert "良品得率" in words.zh_cn


@pytest.mark.parametrize("changes", [{}, {"purity": 0.96}, {"purity": 0.97004}])
def test_a_retrained_model_that_is_not_better_is_called_so(changes: dict[str, float], tmp_path: Path) -> None:
    result = demo(changes)
    page = write_demo_report(result, tmp_path).read_text(encoding="utf-8")
    assert "The retrained model is not better than the first" in page
    assert 'class="verdict bad"' in page
    assert "is not better" in demo_text(result, "en")
    assert "没有优于初始模型" in demo_text(result, "zh-CN")


@given(st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_marks_are_opposite_when_the_models_change_places(base: float, other: float, is_more_better: bool) -> None:
    opposite = {"better": "worse", "worse": "better", "same": "same"}
    forth = compare(base, other, decimals=4, is_more_better=is_more_better)
    back = compare(other, base, decimals=4, is_more_better=is_more_better)
    assert forth == opposite[back]
    assert (forth == "same") == (f"{base:.4f}" == f"{other:.4f}")


def test_marks_in_the_table_follow_the_figures(tmp_path: Path) -> None:
    page = write_demo_report(demo({"purity": 0.98}, {"purity": 0.96}), tmp_path).read_text(encoding="utf-8")
    assert '<td>0.9800 <span class="better">▲</span></td>' in page
    assert '<td>0.9600 <span class="worse">▼</span></td>' in page
    assert page.count('class="same"') == 10  # the other five figures of two models; lateness has no mark


def test_the_page_stands_alone_and_links_to_the_runs(tmp_path: Path) -> None:
    reader = read(write_demo_report(demo({"purity": 0.98}), tmp_path).read_text(encoding="utf-8"))
    assert reader.is_balanced
    assert reader.open_tags == []
    assert reader.links == ["runs/first/report.html", "runs/retrained/report.html", "runs/control/report.html"]
    assert reader.tags.isdisjoint({"script", "link", "iframe"})


def test_there_are_seven_steps_and_both_languages(tmp_path: Path) -> None:
    page = write_demo_report(demo({"purity": 0.98}), tmp_path, language="zh-CN").read_text(encoding="utf-8")
    assert page.count("<li>") == 7
    assert page.count('class="en"') == page.count('class="zh"') > 50
    assert '<html lang="zh-CN">' in page
    assert 'id="language-zh" checked' in page


def test_the_audit_is_an_estimate_with_its_error() -> None:
    assert "160 pieces taken at random and labelled, the first model had 9.0% ± 2.3% wrong" in demo_text(demo({}), "en")
    assert "No piece was audited." in demo_text(demo({}, audit=0), "en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_terminal_shows_rounds_models_and_machine_in_aligned_tables(language: Language) -> None:
    rounds, models, machines, said = demo_text(demo({"purity": 0.98}), language).split("\n\n")
    assert [len(part.splitlines()) - 2 for part in (rounds, models, machines)] == [5 + 6 + 1, 3, 3]
    assert len(said.splitlines()) == 5
    for part in (rounds, models, machines):
        lines = part.splitlines()[1:]
        assert len({sum(2 if ord(letter) > 0x2E80 else 1 for letter in line) for line in lines}) == 1


def test_the_terminal_names_what_ships_the_test_the_parity_and_lateness() -> None:
    result = demo({"late": 3})
    told = msgspec.structs.replace(result.runs["first"], test_macro_f1=0.9123, test_worst_class_recall=0.8456)
    text = demo_text(msgspec.structs.replace(result, runs=result.runs | {"first": told}), "en")
    lines = [line.split() for line in text.splitlines()]
    assert ["first", "*", "5", "500", "10.9%", "50", "0.9000", "0.8000"] in lines
    assert ["first", "4", "400", "8.7%", "50", "0.9000", "0.8000"] in lines
    assert ["first", "0.9000", "0.9123", "0.8456", "900", "/", "900,", "1.4e-06"] in lines
    assert ["control", "0.9000", "-", "-", "900", "/", "900,", "1.4e-06"] in lines
    assert [line[-2:] for line in lines if line[:1] == ["retrained"]][-1] == ["3", "11.2"]
    assert "residual samples: T0 310, T2 121" in text
    assert "Seed 7; 6.2% of the machine's pieces look as the laboratory never saw them; 184 s in all." in text


def test_an_unknown_truth_source_is_shown_by_its_name(tmp_path: Path) -> None:
    result = msgspec.structs.replace(demo({}), residuals={"T9<x>": 4})
    assert "T9&lt;x&gt;" in write_demo_report(result, tmp_path).read_text(encoding="utf-8")
