"""The report of a run: the same bytes for the same run, on its own in one file, and true to what was drawn."""

import base64
import re
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec, pack_crop
from edge_runtime.errors import ModelFolderError, StorageError
from edge_runtime.norm import NormSpec, norm_sums
from edge_runtime.schemas import DisplayName
from edge_runtime.segment import SegmentSettings
from firmware_bridge.clock import ManualClock
from trainer.draw.by_norm import draw_around_mean
from trainer.draw.quarantine import QuarantineSettings
from trainer.draw.sizes import DrawSizes
from trainer.errors import ResumeError
from trainer.loop.results import MODEL_FOLDER, RunResult, ShippedFigures
from trainer.loop.run import RunPlan, run
from trainer.pool.data_set import DataSet
from trainer.pool.pool import NewSample, Pool
from trainer.pool.round_record import RoundRecord
from trainer.pool.sample_table import empty_table
from trainer.pool.samples import sample_id
from trainer.report.mix_ups import find_mix_ups
from trainer.report.report_charts import imbalance, norm_figures, round_figures
from trainer.report.report_page import crop_uri
from trainer.report.report_story import RunStory, read_story, sides_of_draw
from trainer.report.run_report import write_report
from trainer.report.svg import heat_map
from trainer.report.texts import Phrase
from trainer.settings import RunSettings, StopSettings
from trainer.train.fit import FitSettings

CLASSES: Final = ("chalky", "sound", "stone")
PER_CLASS: Final = {"train": 40, "validation": 20, "test": 6}
SETTINGS: Final = RunSettings(
    m=4,
    quarantine=QuarantineSettings(mode="off"),
    fit=FitSettings(network="small", steps=4, final_steps=6, batch=8, threads=1),
    stop=StopSettings(rounds=3, patience=0),
)


class Quiet:
    """Nobody watches."""

    def step(self, what: str, done: int, total: int) -> None:
        """Ignore steps."""

    def round_done(self, record: RoundRecord, seconds: float) -> None:
        """Ignore rounds."""


@dataclass(frozen=True)
class Finished:
    """A finished run: its pool, its folder, its result."""

    pool_path: Path
    folder: Path
    result: RunResult


def sample(rng: np.random.Generator, class_id: int, split: str, origin: str = "import") -> NewSample:
    mask = np.zeros((16, 16), np.bool_)
    mask[3:13, 4 : 9 + class_id] = True
    level = int(rng.integers(60 + 40 * class_id, 140 + 40 * class_id))
    noise = rng.integers(0, 20, (16, 16, 3), dtype=np.uint8)
    pixels = (noise + np.uint8(level)) * mask[:, :, None].astype(np.uint8)
    numerators, denominators = norm_sums(pixels[None], mask[None], NormSpec())
    name = sample_id(pixels, mask)
    return NewSample(
        *(name, CLASSES[class_id], name, split, origin, "folder", int(numerators[0]), int(denominators[0])),
        *(f"{name[:6]}.png", pack_crop(pixels, mask), "ann", "import", "2026-01-01T00:00:00+00:00"),
    )


def fill(pool: Pool) -> None:
    rng = np.random.default_rng(5)
    pool.set_data_set(DataSet(SegmentSettings(), CropSpec(side_px=16), NormSpec()))
    pool.add_samples(
        sample(rng, class_id, split)
        for class_id in range(len(CLASSES))
        for split, count in PER_CLASS.items()
        for _ in range(count)
    )
    pool.add_samples([sample(rng, 1, "test", origin="audit")])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("report")
    names = {"stone": DisplayName(en="stone <&>", zh_cn="石子")}
    with Pool.open(folder / "rice.pool", create=True) as pool:
        fill(pool)
        result = run(pool, RunPlan(folder / "run", SETTINGS, display_names=names), ManualClock(), Quiet())
    return Finished(folder / "rice.pool", folder / "run", result)


@pytest.fixture(scope="module")
def page(finished: Finished) -> str:
    with Pool.open(finished.pool_path) as pool:
        return write_report(pool, finished.result, finished.folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def story(finished: Finished) -> RunStory:
    with Pool.open(finished.pool_path) as pool:
        return read_story(pool, finished.result)


def test_the_same_run_gives_the_same_bytes_wherever_it_lies(finished: Finished, page: str, tmp_path: Path) -> None:
    shutil.copyfile(finished.pool_path, tmp_path / "other.pool")
    shutil.copytree(finished.folder / MODEL_FOLDER, tmp_path / MODEL_FOLDER)
    with Pool.open(tmp_path / "other.pool") as pool:
        again = write_report(pool, finished.result, tmp_path)
    assert again.read_text(encoding="utf-8") == page
    assert str(tmp_path) not in page


def test_the_page_needs_no_script_network_or_other_file(page: str) -> None:
    assert re.findall(r"<(script|link|iframe)\b", page) == []
    assert set(re.findall(r'\bsrc="(.{10})', page)) == {"data:image"}
    anchors = set(re.findall(r'\bid="([^"]+)"', page))
    assert {target[1:] for target in re.findall(r'\bhref="([^"]+)"', page)} <= anchors  # within the page alone
    assert set(re.findall(r"https?://[^\"\s]+", page)) == {"http://www.w3.org/2000/svg"}
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_says_what_the_run_came_to(finished: Finished, page: str) -> None:
    result = finished.result
    assert result.test is not None
    for shown in (
        f"{result.validation.macro_f1:.4f} ± {result.validation.macro_f1_error:.4f}",
        f"{result.test.macro_f1:.4f} ± {result.test.macro_f1_error:.4f}",
        f"{result.training_samples} of 120 samples",
        "the budget of rounds was used up",
        "达到轮数上限",
        "Pool accuracy steers the loop and is no test score",
        "m = 4 samples a class and round: a = 2 at or above the mean, b = 2 below",
        *(result.run_key, result.model_id),
        *(f'<dt class="code">{key}</dt>' for key in ("fit.steps", "stop.rounds", "seed")),
    ):
        assert shown in page


def test_both_languages_are_there_and_the_argument_chooses_the_first(
    finished: Finished, page: str, tmp_path: Path
) -> None:
    shutil.copytree(finished.folder / MODEL_FOLDER, tmp_path / MODEL_FOLDER)
    with Pool.open(finished.pool_path) as pool:
        chinese = write_report(pool, finished.result, tmp_path, language="zh-CN").read_text(encoding="utf-8")
    assert page.count('class="en"') == page.count('class="zh"') > 50
    assert 'id="language-en" checked' in page
    assert 'id="language-zh" checked' in chinese
    assert "<title>训练报告</title>" in chinese


def test_names_leave_escaped(page: str) -> None:
    assert "stone &lt;&amp;&gt;" in page
    assert "stone <&>" not in page


def test_the_story_is_the_records(finished: Finished, story: RunStory) -> None:
    best = finished.result.rounds[finished.result.best_round - 1]
    assert [draw.rows.size for draw in story.draws] == [record.drawn for record in finished.result.rounds]
    assert int(story.wrong.sum()) == best.residual
    assert int(story.in_pool.sum()) == best.pool_samples
    assert set(story.table.origins) == {"import"}
    for name, counts in best.classes.items():
        is_own = story.table.class_ids == CLASSES.index(name)
        assert int((story.wrong & is_own).sum()) == counts.residual


def test_the_first_draw_is_marked_as_the_class_mean_says(story: RunStory) -> None:
    first = story.draws[0]
    for class_id in range(len(CLASSES)):
        is_own = story.table.class_ids == class_id
        norms = story.table.norms_q16[story.in_pool & is_own]
        drawn = is_own[first.rows]
        expected = story.table.norms_q16[first.rows[drawn]] * norms.size >= norms.sum()
        assert first.is_above[drawn].tolist() == expected.tolist()


@given(st.lists(st.integers(0, 65536), min_size=1, max_size=40), st.integers(1, 12))
def test_sides_are_those_of_the_mean_of_the_candidates(norms: list[int], m: int) -> None:
    candidates = np.array(norms, np.int64)
    drawn = candidates[draw_around_mean(candidates, DrawSizes.of(m), (int(candidates.sum()), len(candidates)))]
    expected = drawn * candidates.size >= candidates.sum()
    assert sides_of_draw(np.zeros(drawn.size, np.int64), drawn).tolist() == expected.tolist()


def test_every_drawn_sample_is_marked_once(story: RunStory) -> None:
    figures = norm_figures(story, [Phrase(name, name) for name in CLASSES])
    for class_id, figure in enumerate(figures):
        marks = re.findall(r'class="mark (?:above|below)" d="([^"]*)"', figure.svg)
        drawn = sum(int((story.table.class_ids[draw.rows] == class_id).sum()) for draw in story.draws)
        assert sum(mark.count("M") for mark in marks) == drawn


def test_a_page_without_held_out_test_has_one_matrix_and_no_test_figure(
    finished: Finished, page: str, tmp_path: Path
) -> None:
    shutil.copytree(finished.folder / MODEL_FOLDER, tmp_path / MODEL_FOLDER)
    with Pool.open(finished.pool_path) as pool:
        path = write_report(pool, msgspec.structs.replace(finished.result, test=None), tmp_path)
    assert page.count('class="chart heat"') == 2
    assert path.read_text(encoding="utf-8").count('class="chart heat"') == 1
    assert "Held-out test" not in path.read_text(encoding="utf-8")


def test_a_continued_run_names_its_base(finished: Finished, tmp_path: Path) -> None:
    shutil.copyfile(finished.pool_path, tmp_path / "rice.pool")
    with Pool.open(tmp_path / "rice.pool") as pool:
        stop = StopSettings(rounds=1)
        plan = RunPlan(tmp_path / "next", msgspec.structs.replace(SETTINGS, stop=stop), finished.folder)
        result = run(pool, plan, ManualClock(), Quiet())
        page = write_report(pool, result, tmp_path / "next").read_text(encoding="utf-8")
        story = read_story(pool, result)
    base = finished.result
    assert f"Continued from run {base.run_key[:12]}." in page
    assert story.start.size == base.rounds[base.best_round - 1].training_samples
    assert int(story.wrong.sum()) == result.rounds[0].residual


def test_a_pool_changed_since_the_run_is_refused(finished: Finished, tmp_path: Path) -> None:
    shutil.copyfile(finished.pool_path, tmp_path / "rice.pool")
    with Pool.open(tmp_path / "rice.pool") as pool:
        pool.add_samples([sample(np.random.default_rng(99), 0, "train")])
        with pytest.raises(ResumeError, match="changed since run"):
            write_report(pool, finished.result, finished.folder)


def test_a_pool_without_the_run_is_refused(finished: Finished, tmp_path: Path) -> None:
    with Pool.open(tmp_path / "other.pool", create=True) as pool:
        fill(pool)
        with pytest.raises(ResumeError, match="holds no run"):
            write_report(pool, finished.result, finished.folder)
    with Pool.open(finished.pool_path) as pool, pytest.raises(ResumeError, match="holds no run ffffffffffff"):
        write_report(pool, msgspec.structs.replace(finished.result, run_key="f" * 64), finished.folder)


def test_a_missing_or_damaged_card_is_an_error_and_leaves_no_page(finished: Finished, tmp_path: Path) -> None:
    with Pool.open(finished.pool_path) as pool:
        with pytest.raises(StorageError, match=r"card\.json"):
            write_report(pool, finished.result, tmp_path)
        (tmp_path / MODEL_FOLDER).mkdir()
        (tmp_path / MODEL_FOLDER / "card.json").write_bytes(b"{}")
        with pytest.raises(ModelFolderError, match="is damaged"):
            write_report(pool, finished.result, tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_many_classes_are_drawn_with_the_worst_in_colour(finished: Finished) -> None:
    names = tuple(f"class {at:02}" for at in range(12))
    one = finished.result.rounds[0]
    counts = {name: msgspec.structs.replace(one.classes["sound"], recall=at / 12) for at, name in enumerate(names)}
    figures = ShippedFigures(9, 0.5, 0.5, 0.1, 0.0, dict.fromkeys(names, 0.5), [[1] * 12] * 12)
    result = msgspec.structs.replace(
        finished.result,
        classes=names,
        rounds=[msgspec.structs.replace(one, classes=counts)],
        best_round=1,
        validation=figures,
    )
    recalls = round_figures(result, {name: Phrase(name, name) for name in names})[2].svg
    assert "class 00" in "".join(re.findall(r'<text class="name c0"[^>]*>([^<]*)', recalls))
    assert re.findall(r'<text class="name [^>]*>([^<]*)<', recalls)[-1] != "class 11"
    assert recalls.count('class="dot muted"') == 4


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=9))
def test_imbalance_is_at_least_one_and_ignores_order(counts: list[int]) -> None:
    assert imbalance(counts) == imbalance(counts[::-1]) >= 1.0


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_a_crop_becomes_a_picture_whatever_its_channels(channels: int) -> None:
    pixels: NDArray[np.uint8] = np.random.default_rng(3).integers(0, 256, (16, 16, channels), dtype=np.uint8)
    data = base64.b64decode(crop_uri(pixels).removeprefix("data:image/png;base64,"))
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    expected = pixels[:, :, :3] if channels >= 3 else pixels[:, :, 0]
    assert np.array_equal(np.asarray(shown), expected)


def test_every_mistake_of_the_matrices_leads_to_its_samples(finished: Finished, page: str) -> None:
    """The cells hold counts of the run's own record; the pictures are of what the shipped model says here."""
    for prefix, figures in (("validation", finished.result.validation), ("test", finished.result.test)):
        assert figures is not None
        counts = np.array(figures.confusion)
        cells = [(int(t), int(s)) for t, s in np.argwhere(counts) if t != s]
        assert len(re.findall(rf'id="{prefix}-\d+-\d+"', page)) == len(cells)
        for true_id, said_id in cells:
            assert page.count(f'<a href="#{prefix}-{true_id}-{said_id}">') == 1
            row = (
                page.split(f'id="{prefix}-{true_id}-{said_id}"')[1]
                .split('<div class="strip"', maxsplit=1)[0]
                .split("</details>", maxsplit=1)[0]
            )
            assert row.count("<img") == min(6, int(counts[true_id, said_id]))


def test_a_matrix_of_samples_that_the_model_learnt_from_has_no_links() -> None:
    assert "<a " not in heat_map(Phrase("x", "x"), [Phrase("a", "a"), Phrase("b", "b")], np.ones((2, 2), np.int64))


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=120))
def test_mix_ups_are_the_fullest_cells_off_the_diagonal(judged: list[tuple[int, int]]) -> None:
    names = [Phrase(str(at), str(at)) for at in range(9)]
    table = replace(
        empty_table(tuple(str(at) for at in range(9)), side_px=16, channels=1),
        ids=tuple(f"{at:064x}" for at in range(len(judged))),
        class_ids=np.array([true for true, _ in judged], np.int64),
        pixels=np.zeros((len(judged), 16, 16, 1), np.uint8),
        sources=("x.png",) * len(judged),
    )
    found = find_mix_ups(table, np.array([said for _, said in judged], np.int64), names, "t")
    wrong = Counter(pair for pair in judged if pair[0] != pair[1])
    sizes = [len(strip.crops) + strip.more for strip in found.strips]
    assert sizes == sorted(wrong.values(), reverse=True)[:40]
    assert sizes == [wrong[cell] for cell in found.anchors]
    assert all(len(strip.crops) <= 6 for strip in found.strips)
