"""INT8 on the machine: golden scores by kind of processor, and decisions that repeat however the work is shared out."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from int8_folder import add_int8, rewrite_golden
from int8_networks import CROP, TRAINING, int8_inputs, int8_table
from tiny_model import TINY_RECIPE, draw_pieces, write_model_folder

from edge_runtime.decisions import decisions_sha256
from edge_runtime.errors import ModelFolderError
from edge_runtime.inline import InlineSorter, desk_machine, make_sorter
from edge_runtime.model import (
    GOLDEN_FILE,
    INT8_FILE,
    check_golden,
    int8_golden_key,
    load_model_folder,
    make_classifier,
    read_golden,
)
from edge_runtime.model_gate import gate_model
from edge_runtime.processor import processor_kind
from edge_runtime.providers import open_scorer
from edge_runtime.replay import replay, replay_report
from edge_runtime.reports import ReplayReport
from edge_runtime.scorer import ModelForm, Provider
from edge_runtime.setup import open_sorter
from edge_runtime.storage import sha256_hex
from edge_runtime.tuned_record import TunedRecord, facts_here, write_tuned
from trainer.export.quantise import Quantiser

KEY = int8_golden_key(processor_kind())
ROOT = Path(__file__).parents[1]
SCORE_HALF = """
import sys
from pathlib import Path
import numpy as np
from edge_runtime.model import load_model_folder, make_classifier
folder, crops, out = map(Path, sys.argv[1:])
np.save(out, make_classifier(load_model_folder(folder), "int8").scores(np.load(crops)))
"""


@lru_cache(maxsize=1)
def quantised() -> tuple[bytes, bytes]:
    """A trained network, and the same in INT8."""
    inputs = int8_inputs()
    return inputs.model, Quantiser(inputs.model, inputs.table.pixels[TRAINING]).quantise()


@pytest.fixture
def folder(tiny_model_folder: Path, tmp_path: Path) -> Path:
    """A model folder with an "INT8" file that gives the same scores."""
    path = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    add_int8(path)
    return path


@pytest.fixture(scope="module")
def real_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a real INT8 file; read only."""
    path = tmp_path_factory.mktemp("int8") / "model"
    fp32, int8 = quantised()
    write_model_folder(path, msgspec.structs.replace(TINY_RECIPE, crop=CROP), fp32)
    add_int8(path, file=int8)
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    folder = tmp_path / "recording"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), draw_pieces(["good"] * 6 + ["stone"] * 2, seed=number) // 2 + 60)
    return folder


def tune_to(folder: Path, form: ModelForm) -> None:
    write_tuned(folder, TunedRecord(facts_here(load_model_folder(folder)), form, "as a test wants it", {}, {}))


def replayed(folder: Path, recording: Path) -> ReplayReport:
    overrides = ["segment.threshold=100", "oversize=accept", "crop.side_px=16"]
    setup = open_sorter(folder, overrides=overrides)
    result = replay(recording, setup.sorter, setup.machine)
    names = setup.sorter.recipe.class_names
    report = replay_report(result, names, model_id=setup.folder.card.model_id, seconds=0.0)
    return msgspec.structs.replace(report, variant=setup.form.variant, provider=setup.form.provider)


def test_replay_as_tuned_int8_repeats_and_says_so(real_folder: Path, recording: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(real_folder, tmp_path / "model"))
    plain = replayed(folder, recording)
    assert (plain.variant, plain.provider) == ("fp32", "onnxruntime")
    assert plain.objects > 20
    tune_to(folder, ModelForm("int8"))
    first, second = replayed(folder, recording), replayed(folder, recording)
    assert first == second
    assert (first.variant, first.provider, first.objects) == ("int8", "onnxruntime", plain.objects)


@pytest.mark.parametrize("form", [ModelForm("fp32"), ModelForm("int8")], ids=str)
def test_the_gate_passes_a_trained_network(real_folder: Path, form: ModelForm) -> None:
    """Its scores depend on the crop alone, bit for bit, wherever it stands and whatever stands beside it."""
    verdict = gate_model(load_model_folder(real_folder), form)
    assert (verdict.outcome, verdict.reason) == ("passed", "")


def test_int8_scores_are_the_same_in_every_session_thread_and_process(real_folder: Path, tmp_path: Path) -> None:
    """Bit for bit: one session for all, two on two threads, two processes."""
    loaded = load_model_folder(real_folder)
    crops = int8_table().pixels[:101]
    expected = make_classifier(loaded, "int8").scores(crops)
    halves = (crops[:50], crops[50:])
    with ThreadPoolExecutor(2) as pool:
        by_threads = list(pool.map(lambda half: make_classifier(loaded, "int8").scores(half), halves))
    assert np.array_equal(np.concatenate(by_threads), expected)
    workers = []
    for number, half in enumerate(halves):
        np.save(tmp_path / f"crops{number}.npy", half)
        arguments = [real_folder, tmp_path / f"crops{number}.npy", tmp_path / f"scores{number}.npy"]
        workers.append(subprocess.Popen([sys.executable, "-c", SCORE_HALF, *map(str, arguments)], cwd=ROOT))
    assert [worker.wait(120) for worker in workers] == [0, 0]
    by_processes = [np.load(tmp_path / f"scores{number}.npy") for number in range(2)]
    assert np.array_equal(np.concatenate(by_processes), expected)


def test_two_workers_that_share_frames_give_the_digest_of_one(real_folder: Path) -> None:
    """Frames dealt out to two threads, each with a session of its own; decisions are put together by their ids."""
    loaded = load_model_folder(real_folder)
    frames = [draw_pieces(["good"] * 6 + ["husk"] * 2, seed=number) // 2 + 60 for number in range(6)]

    def digest(workers: int) -> str:
        def sort(worker: int) -> list[tuple[int, str]]:
            machine = desk_machine(320)
            recipe = msgspec.structs.replace(
                loaded.recipe, segment=msgspec.structs.replace(loaded.recipe.segment, threshold=100)
            )
            sorter = make_sorter(loaded, make_classifier(loaded, "int8"), machine.cameras[0], recipe)
            found = []
            for number in range(worker, len(frames), workers):
                step = InlineSorter(sorter, machine).sort_frame(frames[number])
                found.append((number, decisions_sha256([(step.decisions, step.pulses)], recipe.class_names)))
            return found

        with ThreadPoolExecutor(workers) as pool:
            parts = [part for found in pool.map(sort, range(workers)) for part in found]
        return sha256_hex(repr(sorted(parts)).encode())

    assert digest(1) == digest(2) == digest(2)


def test_golden_scores_of_this_kind_hold_within_a_thousandth(folder: Path) -> None:
    loaded = load_model_folder(folder)
    scores = read_golden(loaded).scores
    rewrite_golden(folder, **{KEY: scores + np.float32(0.0009)})
    assert check_golden(loaded, make_classifier(loaded, "int8"), "int8") == 11
    rewrite_golden(folder, **{KEY: scores + np.float32(0.0011)})
    with pytest.raises(ModelFolderError, match=r"golden int8 scores differ by 1.1\de-03, the limit is 1e-03"):
        check_golden(loaded, make_classifier(loaded, "int8"), "int8")


@pytest.mark.parametrize(
    ("count", "most"), [(1, 0), (2, 0), (11, 0), (63, 0), (64, 1), (200, 1), (399, 1), (400, 2), (600, 3)]
)
def test_on_a_kind_never_measured_one_crop_in_200_may_differ_where_there_are_64(
    folder: Path, count: int, most: int
) -> None:
    """A file that decides the only crop otherwise was made for nothing."""
    loaded = load_model_folder(folder)
    crops = np.resize(read_golden(loaded).crops, (count, 32, 32, 3))
    scores = make_classifier(loaded).scores(crops)
    np.savez(folder / GOLDEN_FILE, allow_pickle=False, crops=crops, scores=scores)
    for wrong in range(most + 2):
        foreign = scores * np.float32(0.9)
        foreign[:wrong] = np.roll(foreign[:wrong], 1, axis=1)
        rewrite_golden(folder, **{int8_golden_key("other-kind"): foreign})
        if wrong <= most:
            assert check_golden(loaded, make_classifier(loaded, "int8"), "int8") == count
        else:
            with pytest.raises(ModelFolderError, match=f"{wrong} of {count} golden crops"):
                check_golden(loaded, make_classifier(loaded, "int8"), "int8")


def test_int8_scores_that_are_missing_or_of_another_type_are_told(folder: Path) -> None:
    loaded = load_model_folder(folder)
    rewrite_golden(folder)
    with pytest.raises(ModelFolderError, match=r"golden.npz has no INT8 scores"):
        check_golden(loaded, make_classifier(loaded, "int8"), "int8")
    rewrite_golden(folder, **{KEY: np.zeros((11, 3), np.float64)})
    with pytest.raises(ModelFolderError, match="uint8 and float32 expected"):
        read_golden(loaded)


@pytest.mark.parametrize("change", [lambda data: data[:-1] + b"\x00", lambda data: data[:9], lambda data: b""])
def test_a_tampered_int8_file_is_refused(folder: Path, change: object) -> None:
    assert callable(change)
    (folder / INT8_FILE).write_bytes(change((folder / INT8_FILE).read_bytes()))
    with pytest.raises(ModelFolderError, match=r"model.int8.onnx has sha256"):
        load_model_folder(folder)


def test_a_missing_int8_file_is_named(folder: Path) -> None:
    (folder / INT8_FILE).unlink()
    with pytest.raises(ModelFolderError, match=r"model.int8.onnx"):
        load_model_folder(folder)


def test_a_file_that_the_card_does_not_name_is_not_read(tiny_model_folder: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    (path / INT8_FILE).write_bytes(b"anything")
    assert load_model_folder(path).int8 is None


@pytest.mark.parametrize("provider", ["onnxruntime", "openvino"])
def test_a_folder_without_int8_cannot_run_it(tiny_model_folder: Path, provider: Provider) -> None:
    with pytest.raises(ModelFolderError, match=r"has no model.int8.onnx: only fp32 can run"):
        open_scorer(load_model_folder(tiny_model_folder), ModelForm("int8", provider))
