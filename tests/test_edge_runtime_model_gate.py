"""Whatever a model does when it runs, the gate gives a verdict: soon, within bounds, and this process lives on."""

import io
import os
import resource
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import msgspec
import numpy as np
import pytest
from bad_models import DECEITFUL, FORBIDDEN, change_card, loop_onnx, neighbourly_onnx, with_model
from hypothesis import given
from hypothesis import strategies as st
from int8_folder import add_int8, rewrite_golden
from tiny_model import make_onnx, write_model_folder

from edge_runtime.bounded_child import ChildEnd
from edge_runtime.check import check_files
from edge_runtime.crop import CropSpec
from edge_runtime.errors import ModelFolderError
from edge_runtime.gate_child import GateAnswer, GateRequest, extreme_crops
from edge_runtime.model import (
    GOLDEN_FILE,
    INT8_FILE,
    MODEL_FILE,
    check_graphs,
    int8_golden_key,
    load_model_folder,
    make_classifier,
)
from edge_runtime.model_gate import GateLimits, forms_of, gate_model, try_in_child, verdict_of
from edge_runtime.processor import processor_kind
from edge_runtime.scorer import ModelForm
from edge_runtime.setup import open_sorter
from edge_runtime.storage import sha256_hex
from firmware_bridge.clock import NS_PER_S, SystemClock

FP32, INT8 = ModelForm(), ModelForm("int8")
ROOT = Path(__file__).parents[1]
REQUEST = GateRequest(b"model", FP32, "ab" * 32, None, memory_b=1000, cpu_s=7, parent_pid=1)


@pytest.fixture
def folder(tiny_model_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))


def change_golden(folder: Path, *, count: int = 11, shift: float = 0.0) -> None:
    with np.load(folder / GOLDEN_FILE) as golden:
        crops, scores = golden["crops"][:count], golden["scores"][:count] + np.float32(shift)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, crops=crops, scores=scores)
    (folder / GOLDEN_FILE).write_bytes(buffer.getvalue())


def test_a_good_model_passes_and_is_timed(tiny_model_folder: Path) -> None:
    loaded = load_model_folder(tiny_model_folder)
    verdict = gate_model(loaded, FP32)
    assert (verdict.outcome, verdict.reason, verdict.golden) == ("passed", "", 11)
    assert verdict.median_us is not None
    assert verdict.median_us > 0
    assert forms_of(loaded) == (FP32,)


@pytest.mark.parametrize("what", FORBIDDEN)
def test_forbidden_graphs_are_refused_everywhere_before_they_run(
    tiny_model_folder: Path, tmp_path: Path, what: str
) -> None:
    make, why = FORBIDDEN[what]
    bad = with_model(tiny_model_folder, tmp_path / "bad", make())
    verdict = gate_model(load_model_folder(bad), FP32)
    assert verdict.outcome == "forbidden"
    for refuse in (lambda: check_files(bad, None, None), lambda: open_sorter(bad)):
        with pytest.raises(ModelFolderError, match=why):
            refuse()


@pytest.mark.parametrize("what", DECEITFUL)
def test_models_that_do_harm_when_they_run_are_refused_in_bounded_memory(
    tiny_model_folder: Path, tmp_path: Path, what: str
) -> None:
    """40 GB and more are asked for; the child of a few hundred MB must not get them."""
    make, why = DECEITFUL[what]
    bad = with_model(tiny_model_folder, tmp_path / "bad", make())
    with pytest.raises(ModelFolderError, match=why):
        check_files(bad, None, None, limits=GateLimits(memory_b=256 * 2**20))
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2 * 2**20  # KiB


def test_an_endless_model_is_stopped_by_its_processor_time(tiny_model_folder: Path, tmp_path: Path) -> None:
    """As if the rules had let it through: the graph is not looked at here."""
    bad = load_model_folder(with_model(tiny_model_folder, tmp_path / "bad", loop_onnx()))
    clock = SystemClock()
    started_ns = clock.monotonic_ns()
    verdict = try_in_child(bad, FP32, limits=GateLimits(cpu_s=2, cpu_us_a_pixel=0), clock=clock)
    assert verdict.outcome == "stopped"
    assert verdict.reason.startswith("fp32 by onnxruntime: its process was stopped by the system: more than 2 s")
    assert (clock.monotonic_ns() - started_ns) / NS_PER_S < 60


def test_an_endless_model_is_stopped_by_wall_time(tiny_model_folder: Path, tmp_path: Path) -> None:
    bad = load_model_folder(with_model(tiny_model_folder, tmp_path / "bad", loop_onnx()))
    verdict = try_in_child(bad, FP32, limits=GateLimits(wall_s=3.0, cpu_us_a_pixel=0), clock=SystemClock())
    assert (verdict.outcome, verdict.median_us) == ("stopped", None)
    assert verdict.reason == "fp32 by onnxruntime: its process was killed: it had not ended after 3 s"


def test_a_model_whose_scores_depend_on_the_neighbours_is_refused(tmp_path: Path) -> None:
    write_model_folder(tmp_path / "model", model=neighbourly_onnx())
    verdict = gate_model(load_model_folder(tmp_path / "model"), FP32)
    assert verdict.outcome == "wrong"
    assert "gives a crop other scores beside other crops" in verdict.reason


def test_one_golden_crop_is_enough_to_see_the_neighbours(tmp_path: Path) -> None:
    write_model_folder(tmp_path / "model", model=neighbourly_onnx())
    with np.load(tmp_path / "model" / GOLDEN_FILE) as golden:
        crops = golden["crops"][:1]
    scores = make_classifier(load_model_folder(tmp_path / "model")).scores(crops)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, crops=crops, scores=scores)
    (tmp_path / "model" / GOLDEN_FILE).write_bytes(buffer.getvalue())
    with pytest.raises(ModelFolderError, match="gives a crop other scores beside other crops"):
        check_files(tmp_path / "model", None, None)


@given(count=st.integers(0, 20_000), side_px=st.integers(16, 512), channels=st.integers(1, 32))
def test_limits_grow_with_the_golden_crops_and_with_nothing_twice(count: int, side_px: int, channels: int) -> None:
    crop = CropSpec(side_px=side_px, channels=channels)
    limits = GateLimits().for_golden(count, crop)
    assert (limits.cpu_s - 120) * 1_000_000 >= (count + 300) * side_px**2 * 10
    assert limits.wall_s - 300 == 2.5 * (limits.cpu_s - 120)
    assert limits.for_golden(count, crop) == limits
    assert GateLimits().for_golden(count + 1000, crop).cpu_s > limits.cpu_s


def test_a_large_network_of_many_classes_has_the_time_that_it_needs() -> None:
    """71 ms a crop of 256 px on a processor with AVX2: 30 classes of 64 golden crops alone take 136 s."""
    assert GateLimits().for_golden(30 * 64, CropSpec(side_px=256)).cpu_s > 5 * 136


def test_golden_crops_are_counted_by_what_they_weigh(tiny_model_folder: Path) -> None:
    """Limits that leave no time but that of the crops are enough for the tiny model and its 11 crops."""
    limits = GateLimits(cpu_s=2, wall_s=30.0, cpu_us_a_pixel=100.0)
    assert try_in_child(load_model_folder(tiny_model_folder), FP32, limits=limits, clock=SystemClock()).golden == 11


@pytest.mark.parametrize(("side_px", "channels"), [(16, 1), (33, 3), (256, 16)])
def test_extreme_crops_are_extreme_and_take_no_more_memory_than_they_are(side_px: int, channels: int) -> None:
    tracemalloc.start()
    crops = extreme_crops(CropSpec(side_px=side_px, channels=channels))
    peak_b = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert crops.shape == (8, side_px, side_px, channels)
    assert crops.dtype == np.uint8
    assert (crops[0].max(), crops[1].min()) == (0, 255)
    assert len({crop.tobytes() for crop in crops}) == 8
    assert np.abs(np.diff(crops[3:].astype(np.int64), axis=2)).min() > 0
    assert peak_b < 1.5 * crops.nbytes + 100_000


def test_a_model_over_its_budget_is_refused_as_slow(folder: Path) -> None:
    """No processor takes a crop of 32 px through a convolution in a microsecond."""
    change_card(folder, latency_budget_us=1)
    verdict = gate_model(load_model_folder(folder), FP32)
    assert (verdict.outcome, verdict.golden) == ("slow", 11)
    assert verdict.reason.endswith("us a crop here, its card allows 1")
    with pytest.raises(ModelFolderError, match="us a crop here, its card allows 1"):
        check_files(folder, None, None)


def test_a_model_within_its_budget_passes(folder: Path) -> None:
    change_card(folder, latency_budget_us=10_000_000)
    assert gate_model(load_model_folder(folder), FP32).outcome == "passed"


@pytest.mark.parametrize(
    ("shift", "why"), [(0.01, "golden fp32 scores differ by 1.00e-02"), (np.nan, "golden crops get another class")]
)
def test_wrong_golden_scores_are_refused(folder: Path, shift: float, why: str) -> None:
    change_golden(folder, shift=shift)
    with pytest.raises(ModelFolderError, match=why):
        check_files(folder, None, None)


def test_without_golden_crops_nothing_is_proven(folder: Path) -> None:
    change_golden(folder, count=0)
    with pytest.raises(ModelFolderError, match="has no golden crops"):
        check_files(folder, None, None)


def test_another_list_of_classes_is_refused(folder: Path) -> None:
    change_card(folder, classes=("good", "husk", "stone"))
    with pytest.raises(ModelFolderError, match="name other classes or another crop shape"):
        check_files(folder, None, None)


def test_a_truncated_model_is_refused_with_and_without_its_digest(tiny_model_folder: Path, tmp_path: Path) -> None:
    cut = make_onnx()[:-100]
    with pytest.raises(ModelFolderError, match=r"the ONNX file of .* is damaged"):
        check_files(with_model(tiny_model_folder, tmp_path / "same", cut), None, None)
    other = Path(shutil.copytree(tiny_model_folder, tmp_path / "other"))
    (other / MODEL_FILE).write_bytes(cut)
    with pytest.raises(ModelFolderError, match=r"model.onnx has sha256"):
        check_files(other, None, None)


def test_an_archive_that_unpacks_without_end_is_refused(folder: Path) -> None:
    data = bytearray((folder / GOLDEN_FILE).read_bytes())
    size = data.index(b"PK\x01\x02") + 24  # unpacked size of the first file in the archive's directory
    data[size : size + 4] = (2**31).to_bytes(4, "little")
    (folder / GOLDEN_FILE).write_bytes(data)
    with pytest.raises(ModelFolderError, match=r"golden.npz is damaged: it unpacks to 2147\d+ bytes"):
        check_files(folder, None, None)


def test_a_pipe_in_place_of_a_model_is_refused(folder: Path) -> None:
    (folder / GOLDEN_FILE).unlink()
    (folder / GOLDEN_FILE).symlink_to("/dev/zero")
    with pytest.raises(ModelFolderError, match="it is no plain file"):
        check_files(folder, None, None)


def test_an_int8_file_that_decides_otherwise_here_is_told_and_fp32_runs(folder: Path) -> None:
    add_int8(folder)
    with np.load(folder / GOLDEN_FILE) as golden:
        scores = golden["scores"]
    rewrite_golden(folder, **{int8_golden_key(processor_kind()): np.roll(scores, 1, axis=1)})
    told = check_files(folder, None, None)[str(folder)]
    assert "11 golden crops, runs as fp32 by onnxruntime: not tuned on this board" in told
    assert "int8 by onnxruntime may not run here: " in told
    assert "golden crops get another class here in int8" in told


def test_a_forbidden_int8_file_refuses_the_folder(folder: Path) -> None:
    add_int8(folder, file=make_onnx(seed=2))
    check_graphs(load_model_folder(folder))
    int8 = load_model_folder(folder).card.int8
    assert int8 is not None
    (folder / INT8_FILE).write_bytes(loop_onnx())
    change_card(folder, int8=msgspec.structs.replace(int8, sha256=sha256_hex(loop_onnx())))
    with pytest.raises(ModelFolderError, match=r"model.int8.onnx uses Loop"):
        check_files(folder, None, None)


def test_a_folder_that_changes_while_it_is_looked_at_is_refused(folder: Path, tmp_path: Path) -> None:
    loaded = load_model_folder(folder)
    other = make_onnx(seed=2)
    (folder / MODEL_FILE).write_bytes(other)
    change_card(folder, model_id=sha256_hex(other))
    assert "was changed while it was looked at" in gate_model(loaded, FP32).reason


@pytest.mark.parametrize(
    ("end", "outcome", "why"),
    [
        (ChildEnd(None, b"", b"", "it wrote too much"), "stopped", "was killed: it wrote too much"),
        (ChildEnd(-24, b"", b""), "stopped", "more than 7 s of computing, or no memory left"),
        (ChildEnd(-9, b"", b""), "stopped", "more than 7 s of computing, or no memory left"),
        (ChildEnd(-11, b"", b""), "stopped", "crashed by signal 11"),
        (ChildEnd(1, b"", b"trace\nMemoryError: no\n"), "stopped", "ended with exit code 1: MemoryError: no"),
        (ChildEnd(1, b"", b""), "stopped", "ended with exit code 1: it said nothing"),
        (ChildEnd(0, b"", b""), "stopped", "answered b'': no answer at all"),
        (ChildEnd(0, b"\xff\x00garbage", b""), "stopped", "no answer at all"),
        (ChildEnd(0, b'{"golden": 3', b""), "stopped", "no answer at all"),
        (ChildEnd(0, b'{"golden": "many"}', b""), "stopped", "no answer at all"),
        (ChildEnd(0, b'{"golden": 3, "more": 1}', b""), "stopped", "no answer at all"),
        (ChildEnd(0, b'{"refused": "other scores"}', b""), "wrong", "other scores"),
        (ChildEnd(0, b'{"golden": 3, "median_us": 50.5}', b""), "slow", "takes 50 us a crop here, its card allows 50"),
        (ChildEnd(0, b'{"golden": 3, "median_us": 50}', b""), "passed", ""),
    ],
)
def test_every_end_of_the_child_has_a_verdict(end: ChildEnd, outcome: str, why: str) -> None:
    verdict = verdict_of(end, REQUEST, budget_us=50)
    assert verdict.outcome == outcome
    assert verdict.reason.endswith(why)


def test_without_a_budget_nothing_is_slow() -> None:
    assert verdict_of(ChildEnd(0, b'{"golden": 1, "median_us": 1e9}', b""), REQUEST, budget_us=0).outcome == "passed"


def test_a_reason_is_cut_where_it_is_endless() -> None:
    end = ChildEnd(0, msgspec.json.encode(GateAnswer(refused="x" * 9999)), b"")
    assert len(verdict_of(end, REQUEST, budget_us=0).reason) == 500


def test_the_child_imports_neither_torch_nor_onnx_nor_what_lies_where_a_person_stands(
    tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file json.py in the working folder would otherwise be run instead of Python's own."""
    (tmp_path / "json.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    assert gate_model(load_model_folder(tiny_model_folder), FP32).outcome == "passed"
    code = "import edge_runtime.gate_child, sys; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    found = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120, check=True,
    ).stdout.split()  # fmt: skip
    assert "onnxruntime" in found
    assert not {"torch", "onnx"} & set(found)


def test_a_child_whose_parent_is_gone_judges_nothing(tiny_model_folder: Path) -> None:
    """The test stands in for a process that took over an orphan: it is the parent, but not the one that asked."""
    model_id = load_model_folder(tiny_model_folder).card.model_id
    request = GateRequest(os.fsencode(tiny_model_folder), FP32, model_id, None, 2**30, 60, parent_pid=os.getpid() + 1)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "edge_runtime.gate_child"],
        input=msgspec.json.encode(request),
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.endswith(b"which asked, is gone\n")


def run_on(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "edge_runtime", *arguments, "--model", os.fspath(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=False)


@pytest.fixture
def nameless(tiny_model_folder: Path, tmp_path: Path) -> Path:
    """A folder whose name is no text."""
    return Path(shutil.copytree(tiny_model_folder, tmp_path / os.fsdecode(b"model-\xb2\xe2")))


@pytest.mark.parametrize("command", ["check", "tune"])
def test_a_folder_whose_name_is_no_text_is_judged_and_printed(command: str, nameless: Path) -> None:
    told, told_as_json = run_on(nameless, command), run_on(nameless, command, "--json")
    assert (told.returncode, told.stderr) == (told_as_json.returncode, told_as_json.stderr) == (0, b"")
    assert rb"model-\xb2\xe2" in told.stdout
    assert isinstance(msgspec.json.decode(told_as_json.stdout), dict)


@pytest.mark.parametrize("command", ["check", "tune"])
def test_a_folder_whose_name_is_no_text_is_refused_by_name(command: str, nameless: Path) -> None:
    change_golden(nameless, shift=0.01)
    done = run_on(nameless, command)
    assert done.returncode == 5
    assert rb"model-\xb2\xe2/golden.npz: golden fp32 scores differ by 1.00e-02" in done.stderr
