"""What a page shows is bounded, evenly chosen, and worst first, however the recording is cut into pictures."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from strategies import stub_scores
from tiny_model import write_recording

from edge_runtime.crop import CropSpec
from edge_runtime.decisions import OVERSIZE
from edge_runtime.gallery import EvenChoice, Gallery
from edge_runtime.inline import desk_machine
from edge_runtime.norm import NormSpec
from edge_runtime.page import page_html
from edge_runtime.pipeline import Sorter
from edge_runtime.replay import Extras, Replay, replay, replay_report
from edge_runtime.replay_sheet import ReplaySheet, replay_sheet
from edge_runtime.schemas import ClassRule, DisplayName, Recipe
from edge_runtime.sheet_texts import Say
from edge_runtime.stage_times import StageTime
from firmware_bridge.phrase import Phrase

MACHINE = desk_machine(320)
NAMES = ("good", "<stone>", "husk")
RECIPE = Recipe(
    (ClassRule("good"), ClassRule("<stone>", "eject"), ClassRule("husk", "eject")), crop=CropSpec(side_px=32)
)
SORTER = Sorter(RECIPE, NormSpec(), MACHINE.cameras[0], stub_scores)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "recording", 9)


def view(recording: Path, gallery: Gallery) -> Replay:
    return replay(recording, SORTER, MACHINE, extras=Extras(viewers=(gallery.look,)))


@given(st.integers(1, 20), st.integers(1, 300))
def test_even_choice_is_even_and_bounded_whenever_it_ends(most: int, length: int) -> None:
    even = EvenChoice(most)
    kept: list[int] = []
    for number in range(length):
        if even.takes(number):
            kept = [*(other for other in kept if even.keeps(other)), number]
        assert len(kept) <= most
    assert kept[0] == 0
    assert len(set(np.diff(kept).tolist())) <= 1
    assert len(kept) >= min(length, most) / 2


def test_gallery_keeps_few_frames_and_crops_and_counts_all(recording: Path) -> None:
    gallery = Gallery(frames=4, crops=5)
    result = view(recording, gallery)
    ids = np.concatenate([step.decisions.class_ids for step in result.steps])
    assert [frame.name for frame in gallery.frames] == ["0.png", "4.png", "8.png"]
    assert [gallery.count(class_id) for class_id in range(3)] == np.bincount(ids, minlength=3).tolist()
    assert all(len(gallery.examples(class_id)) == min(5, gallery.count(class_id)) for class_id in range(3))
    assert gallery.examples(OVERSIZE) == ()


def test_crops_that_a_person_should_look_at_come_first(recording: Path) -> None:
    few, all_ = Gallery(crops=4), Gallery(crops=1000)
    view(recording, few)
    view(recording, all_)
    for class_id in range(3):
        shown = all_.examples(class_id)
        assert len(shown) == all_.count(class_id)
        assert [one.margin for one in shown] == sorted(one.margin for one in shown)
        assert few.examples(class_id) == shown[:4]


def test_ejected_crops_stand_before_accepted_ones(recording: Path) -> None:
    gallery = Gallery(crops=1000)
    rules = (ClassRule("good"), ClassRule("<stone>", "eject", min_score=0.8), ClassRule("husk", "eject"))
    recipe = Recipe(rules, crop=CropSpec(side_px=32))
    replay(
        recording,
        Sorter(recipe, NormSpec(), MACHINE.cameras[0], stub_scores),
        MACHINE,
        extras=Extras(viewers=(gallery.look,)),
    )
    actions = [one.is_eject for one in gallery.examples(1)]
    assert actions == sorted(actions, reverse=True)
    assert len(set(actions)) == 2


def oversize(recording: Path) -> None:
    cv2.imwrite(str(recording / "9.png"), np.full((100, 100, 3), 200, np.uint8))


def page_of(recording: Path, stages: tuple[StageTime, ...] = ()) -> str:
    gallery = Gallery()
    result = view(recording, gallery)
    report = replay_report(result, NAMES, model_id="ab" * 32, seconds=1, stages=stages)
    sheet = ReplaySheet("a & b", report, gallery, NAMES, {"good": DisplayName("Good one", "好粒")})
    return replay_sheet(sheet, "zh-CN").decode()


def test_page_holds_both_languages_and_no_other_file(recording: Path) -> None:
    oversize(recording)
    page = page_of(recording, (StageTime("segment", 0.5, 1500.0, 2500.0),))
    assert page == page_of(recording, (StageTime("segment", 0.5, 1500.0, 2500.0),))
    for phrase in (Say.replay_title, Say.crops, Say.oversize, Say.stage("segment"), Phrase("Good one", "好粒")):
        assert phrase.en in page
        assert phrase.zh_cn in page
    assert "<script" not in page
    assert "http" not in page
    assert "a &amp; b" in page
    assert "&lt;stone&gt;" in page
    assert "<stone>" not in page
    assert "1.500 ms" in page
    assert page.count("data:image/jpeg") == 10


def test_page_says_what_people_drew_only_where_they_did(recording: Path) -> None:
    assert Say.key_missed.en not in page_of(recording)
    polygon = np.array([[300, 2], [318, 2], [318, 30], [300, 30]], np.float32)  # nothing lies there
    gallery = Gallery()
    extras = Extras({"0.png": [polygon]}, viewers=(gallery.look,))
    result = replay(recording, SORTER, MACHINE, extras=extras)
    assert (gallery.frames[0].missed, gallery.frames[0].false) == (1, 12)
    assert gallery.frames[1].missed is None
    report = replay_report(result, NAMES, model_id="ab", seconds=1)
    page = replay_sheet(ReplaySheet("x", report, gallery, NAMES, {})).decode()
    assert Say.key_missed.en in page
    assert Say.frame_missed.filled(count=1).zh_cn in page


def test_page_takes_any_text_and_tells_ten_reasons(recording: Path) -> None:
    gallery = Gallery()
    report = replay_report(view(recording, gallery), NAMES, model_id="ab", seconds=1)
    report = replace(report, missing={f"{size} bytes": 1 for size in range(15)})
    page = replay_sheet(ReplaySheet("\udcd6", report, gallery, NAMES, {})).decode()
    assert "\\udcd6" in page
    assert page.count("1 × ") == 10
    assert "; …" in page


def test_shell_marks_one_language_as_shown() -> None:
    page = page_html(Phrase("Title", "标题"), [], "", "zh-CN").decode()
    assert '<html lang="zh-CN">' in page
    assert 'id="language-zh" checked' in page
    assert 'id="language-en" checked' not in page
    assert "<title>标题</title>" in page


def test_viewer_that_sees_nothing_shows_nothing() -> None:
    assert Gallery().frames == ()
    assert Gallery().count(0) == 0
