"""One contract for every runtime: the same crops, the same scores, the same refusals."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bad_models import DECEITFUL, with_model
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_model import TINY_CROP, make_onnx

from edge_runtime.crop import CropSpec
from edge_runtime.errors import ConfigError, ModelFolderError
from edge_runtime.model import Classifier, check_golden, load_model_folder
from edge_runtime.model_gate import GateLimits, gate_model
from edge_runtime.openvino_scorer import OpenvinoClassifier
from edge_runtime.providers import open_scorer, runtime_version
from edge_runtime.scorer import BATCH, ModelForm, Provider, Scorer, scores_in_batches

needs_openvino = pytest.mark.skipif(
    runtime_version("openvino") is None, reason="openvino is not installed: pip install 'sortloop[openvino]'"
)
PROVIDERS = [pytest.param("onnxruntime"), pytest.param("openvino", marks=needs_openvino)]
MAKERS = [
    pytest.param(Classifier, id="onnxruntime"),
    pytest.param(OpenvinoClassifier, id="openvino", marks=needs_openvino),
]
ROOT = Path(__file__).parents[1]
OPEN_AND_NAME_REPORTERS = """
import sys
from pathlib import Path
from edge_runtime.model import load_model_folder
from edge_runtime.providers import open_scorer
from edge_runtime.scorer import ModelForm
open_scorer(load_model_folder(Path(sys.argv[1])), ModelForm("fp32", sys.argv[2]))
print(sorted(name for name, module in sys.modules.items() if module and "telemetry" in name.split(".")[0]))
"""
Maker = Callable[[bytes, CropSpec, int], Scorer]


def random_crops(count: int, seed: int = 5) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("provider", PROVIDERS)
class TestScorer:
    """What `Scorer` promises, on the tiny model."""

    def test_golden_crops_get_their_scores(self, provider: Provider, tiny_model_folder: Path) -> None:
        folder = load_model_folder(tiny_model_folder)
        assert check_golden(folder, open_scorer(folder, ModelForm("fp32", provider))) == 11

    def test_scores_are_probabilities(self, provider: Provider, tiny_model_folder: Path) -> None:
        scores = open_scorer(load_model_folder(tiny_model_folder), ModelForm("fp32", provider)).scores(random_crops(20))
        assert scores.dtype == np.float32
        assert scores.min() >= 0
        assert scores.sum(axis=1) == pytest.approx(np.ones(20), abs=1e-5)

    def test_scores_do_not_depend_on_the_neighbours(self, provider: Provider, tiny_model_folder: Path) -> None:
        """Bit for bit, wherever a crop stands and however many there are."""
        scorer = open_scorer(load_model_folder(tiny_model_folder), ModelForm("fp32", provider))
        crops = random_crops(3 * BATCH + 1)
        alone = np.concatenate([scorer.scores(crops[i : i + 1]) for i in range(len(crops))])
        order = np.random.default_rng(1).permutation(len(crops))
        assert np.array_equal(scorer.scores(crops), alone)
        assert np.array_equal(scorer.scores(crops[order]), alone[order])

    def test_two_sessions_give_the_same_bits(self, provider: Provider, tiny_model_folder: Path) -> None:
        folder, form = load_model_folder(tiny_model_folder), ModelForm("fp32", provider)
        crops = random_crops(9)
        assert np.array_equal(open_scorer(folder, form).scores(crops), open_scorer(folder, form).scores(crops))

    def test_no_crops_get_no_scores(self, provider: Provider, tiny_model_folder: Path) -> None:
        scorer = open_scorer(load_model_folder(tiny_model_folder), ModelForm("fp32", provider))
        assert scorer.scores(random_crops(0)).shape == (0, 3)

    @pytest.mark.parametrize("shape", [(1, 31, 32, 3), (1, 32, 32, 1), (32, 32, 3)])
    def test_crops_of_another_shape_are_refused(
        self, provider: Provider, tiny_model_folder: Path, shape: tuple[int, ...]
    ) -> None:
        scorer = open_scorer(load_model_folder(tiny_model_folder), ModelForm("fp32", provider))
        with pytest.raises(ModelFolderError, match=r"the model takes \(32, 32, 3\)"):
            scorer.scores(np.zeros(shape, np.uint8))

    def test_the_gate_passes_it(self, provider: Provider, tiny_model_folder: Path) -> None:
        verdict = gate_model(load_model_folder(tiny_model_folder), ModelForm("fp32", provider))
        assert (verdict.outcome, verdict.reason) == ("passed", "")


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("model", [b"", b"no model", make_onnx()[:-50], make_onnx(input_name="images")])
def test_what_is_no_such_model_is_refused(make: Maker, model: bytes) -> None:
    with pytest.raises(ModelFolderError):
        make(model, TINY_CROP, 3)


@pytest.mark.parametrize("make", MAKERS)
def test_a_model_that_gives_other_columns_than_it_says_is_refused(make: Maker) -> None:
    """One column would be spread over all classes without a word."""
    with pytest.raises(ModelFolderError):
        make(DECEITFUL["one class"][0](), TINY_CROP, 3).scores(random_crops(1))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_runtime_reports_to_nobody_and_keeps_nothing_at_home(
    provider: Provider, tiny_model_folder: Path, tmp_path: Path
) -> None:
    """Both runtimes come with telemetry that is on unless it is turned off before they are imported."""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", OPEN_AND_NAME_REPORTERS, str(tiny_model_folder), provider],
        cwd=ROOT, env=environment | {"HOME": str(tmp_path)}, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout == "[]\n"
    assert list(tmp_path.iterdir()) == []


def test_the_trainer_keeps_nothing_of_the_runtime_at_home(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    code = "import trainer.export.quantise"
    subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment | {"HOME": str(tmp_path)}, timeout=120, check=True
    )
    assert not (tmp_path / ".cache" / "Microsoft").exists()


@pytest.mark.skipif(runtime_version("openvino") is not None, reason="openvino is installed")
def test_without_openvino_it_is_said_how_to_get_it(tiny_model_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"openvino is not installed: pip install 'sortloop-edge\[openvino\]'"):
        open_scorer(load_model_folder(tiny_model_folder), ModelForm("fp32", "openvino"))


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("what", DECEITFUL)
def test_models_that_do_harm_when_they_run_are_refused_by_every_runtime(
    provider: Provider, what: str, tiny_model_folder: Path, tmp_path: Path
) -> None:
    make, why = DECEITFUL[what]
    bad = with_model(tiny_model_folder, tmp_path / "bad", make())
    verdict = gate_model(load_model_folder(bad), ModelForm("fp32", provider), limits=GateLimits(memory_b=256 * 2**20))
    assert verdict.outcome == "wrong"
    assert re.search(why, verdict.reason)


@given(st.integers(0, 3 * BATCH + 1))
def test_any_number_of_crops_runs_in_batches_of_one_size(count: int) -> None:
    sizes = []

    def run(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        sizes.append(len(batch))
        return batch[:, 0, 0, :2].astype(np.float32)

    crops = np.random.default_rng(count).integers(0, 256, (count, 8, 8, 2), dtype=np.uint8)
    scores = scores_in_batches(run, crops, CropSpec(side_px=8, channels=2), 2)
    assert np.array_equal(scores, crops[:, 0, 0].astype(np.float32))
    assert sizes == [BATCH] * -(-count // BATCH)


@pytest.mark.parametrize(
    "result", [np.zeros((BATCH, 1), np.float32), np.zeros((1, 3), np.float32), np.zeros((BATCH, 3), np.float64)]
)
def test_scores_of_another_shape_or_type_are_refused(result: NDArray[np.float32]) -> None:
    with pytest.raises(ModelFolderError, match=r"for 8 crops: float32 of \(8, 3\) expected"):
        scores_in_batches(lambda _: result, random_crops(2), TINY_CROP, 3)
