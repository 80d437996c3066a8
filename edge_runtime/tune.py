"""How a model runs best on this board: decided by measurement, since no rule holds for every processor.

Integer arithmetic is three times as fast on one board and slower on the next. Every form that passes the gate is timed
on the folder's own golden crops, all in turn; a form that decides otherwise here than it must is never chosen.

>>> choose_form({ModelForm(): 100.0, ModelForm("int8"): 50.0})
(ModelForm(variant='int8', provider='onnxruntime'), 'int8 by onnxruntime is 2.00 times as fast as fp32 by onnxruntime')
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from edge_runtime.errors import ModelFolderError
from edge_runtime.model import ModelFolder, check_graphs, load_model_folder, read_golden
from edge_runtime.model_gate import GateLimits, GateVerdict, forms_of, gate_model
from edge_runtime.providers import open_scorer, runtime_version
from edge_runtime.score_timing import TIMED_CROPS, medians_us
from edge_runtime.scorer import ModelForm, Scorer, spread_rows
from edge_runtime.tuned_record import TunedRecord, facts_here, tuned_path, write_tuned
from firmware_bridge.clock import Clock

__all__ = ["PLAIN", "StartScorer", "choose_form", "tune", "tune_text"]

StartScorer = Callable[[ModelFolder, ModelForm], Scorer]
PLAIN: Final = ModelForm()
_LEAST_GAIN: Final = 1.05  # below it another form is not worth what it loses


def tune(
    path: Path, clock: Clock, *, limits: GateLimits | None = None, start: StartScorer = open_scorer
) -> TunedRecord:
    """Gate and time all forms of a model, and write the choice beside its folder.

    Args:
        path: model folder.
        clock: for the timing; a `CpuClock` on a board that does other things meanwhile.
        limits: of the gate; None for the usual ones.
        start: opens the sessions that are timed.

    Raises:
        ModelFolderError: the folder is not whole, a graph is not allowed, FP32 does not do what it must here, or no
            form keeps the card's latency budget; what was written before stays.
        ConfigError: its recipe has a wrong key or value.
        StorageError: the record cannot be written.

    Note:
        Starts a process for each form; some seconds in all.
    """
    folder = load_model_folder(path)
    check_graphs(folder)
    verdicts = [gate_model(folder, form, limits=limits) for form in _all_forms(folder)]
    _require_fp32(verdicts[0])
    passed = [verdict.form for verdict in verdicts if verdict.outcome == "passed"]
    if not passed:
        raise ModelFolderError(f"no form of the model may run: {'; '.join(v.reason for v in verdicts)}")
    crops = spread_rows(read_golden(folder).crops, TIMED_CROPS)
    medians = medians_us([start(folder, form) for form in passed], crops, clock)
    form, reason = choose_form(dict(zip(passed, medians, strict=True)))
    record = TunedRecord(
        made_for=facts_here(folder),
        form=form,
        reason=reason,
        medians_us={str(timed): round(median, 3) for timed, median in zip(passed, medians, strict=True)},
        refused=_missing(folder) | {str(v.form): v.reason for v in verdicts if v.outcome != "passed"},
    )
    write_tuned(path, record)
    return record


def choose_form(medians: Mapping[ModelForm, float]) -> tuple[ModelForm, str]:
    """Return the form to run and why.

    Args:
        medians: time a crop of each form that may run, at least one, any unit.

    Returns:
        FP32 by onnxruntime unless another is faster by at least 5 %, or it may not run.
    """
    fastest = min(medians, key=lambda form: (medians[form], str(form)))
    if PLAIN not in medians:
        return fastest, f"{PLAIN} may not run here; {fastest} is the fastest that may"
    if fastest == PLAIN:
        return PLAIN, f"{PLAIN} is the fastest of {len(medians)}" if len(medians) > 1 else "no other form may run here"
    gain = medians[PLAIN] / medians[fastest] if medians[fastest] else 1.0
    if gain < _LEAST_GAIN:
        return PLAIN, f"{fastest} is only {gain:.2f} times as fast as {PLAIN}"
    return fastest, f"{fastest} is {gain:.2f} times as fast as {PLAIN}"


def tune_text(record: TunedRecord, path: Path) -> str:
    """Return a record for people, and where it lies."""
    lines = [
        f"model {record.made_for.model_id[:12]} runs as {record.form} on {record.made_for.processor}: {record.reason}"
    ]
    lines += [f"  {form}: {median:.1f} us a crop" for form, median in record.medians_us.items()]
    lines += [f"  {form}: {reason}" for form, reason in record.refused.items()]
    return "\n".join([*lines, f"written to {tuned_path(path)}"])


def _all_forms(folder: ModelFolder) -> list[ModelForm]:
    """Return the forms that can be tried here, FP32 by onnxruntime first."""
    forms = list(forms_of(folder))
    if runtime_version("openvino") is not None:
        forms += [ModelForm(form.variant, "openvino") for form in forms]
    return forms


def _require_fp32(verdict: GateVerdict) -> None:
    """Refuse a folder whose FP32 file does not do what it must; that it is slow is no fault of the folder."""
    assert verdict.form == PLAIN
    if verdict.outcome not in {"passed", "slow"}:
        raise ModelFolderError(verdict.reason)


def _missing(folder: ModelFolder) -> dict[str, str]:
    """Return why a form cannot be tried at all, by form."""
    found = {}
    if folder.int8 is None:
        int8 = folder.card.int8
        found["int8"] = "the folder has no INT8 model" if int8 is None else f"no INT8 model was made: {int8.refused}"
    if runtime_version("openvino") is None:
        found["openvino"] = "not installed"
    return found
