"""A run as metrics for Prometheus: names, labels, values. Pure; everything is read when it is asked for.

Every reason and end that exists has its series from the start, at 0: a rate needs a first value. Units are Prometheus'
base units, except for the feeder, which is set in permille everywhere else.

>>> [family.name for family in metric_families(Seen(None, 0.0, 0.0, ()))]
['sortloop_report_age_seconds']
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, get_args

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge_runtime.live.books import Missing, ObjectEnd
from edge_runtime.live.run_report import CameraReport, LiveReport, ProcessReport

__all__ = ["ProcessSeen", "Seen", "metric_families", "metrics_text"]

_REFUSED: Final = ("repeated", "shape", "incomplete", "stale")
_EVENTS: Final = ("stalled", "gone", "returned", "restarted")
_MISSING: Final[tuple[str, ...]] = get_args(Missing)
_ENDS: Final[tuple[str, ...]] = ("passed", *get_args(ObjectEnd))

_Row = tuple[tuple[str, ...], float]


class ProcessSeen(msgspec.Struct, frozen=True):
    """One process's vitals.

    Attributes:
        name: of its place.
        progress: rounds of its main loop since it began.
        silence_s: since its latest sign of life.
    """

    name: str
    progress: int
    silence_s: float


class Seen(msgspec.Struct, frozen=True):
    """A run at the moment of asking.

    Attributes:
        report: of the run, with the books of this moment; None where the run has not reported yet.
        report_age_s: of what the supervisor said in it.
        lag_s: age of the latest frame when its decision reached the bridge.
        processes: by place.
    """

    report: LiveReport | None
    report_age_s: float
    lag_s: float
    processes: Sequence[ProcessSeen]


def metrics_text(seen: Seen) -> str:
    """Return the metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(metric_families(seen)))
    return generate_latest(registry).decode()


def metric_families(seen: Seen) -> list[Metric]:
    """Return every metric with its rows."""
    age = GaugeMetricFamily("sortloop_report_age_seconds", "Age of what the supervisor said last.", seen.report_age_s)
    if seen.report is None:
        return [age]
    return [
        age,
        *_run_families(seen.report, seen.lag_s),
        *_frame_families(seen.report.cameras),
        *_object_families(seen.report.cameras),
        *_camera_families(seen.report.cameras),
        *_process_families(seen.processes, seen.report.processes),
    ]


class _Once(Collector):
    """What the registry asks for is there already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _run_families(report: LiveReport, lag_s: float) -> list[Metric]:
    info = ((report.machine, report.model_id), 1.0)
    plain = {
        "sortloop_run_seconds": ("Since the run began.", report.seconds),
        "sortloop_is_armed": ("1 while the controller fires.", report.is_armed),
        "sortloop_wants_armed": ("1 while the controller shall fire.", report.wants_armed),
        "sortloop_has_trouble": ("1 while a person should look: see /status.", bool(report.trouble)),
        "sortloop_level": ("What is shed: 0 nothing to 5 safe state.", report.level),
        "sortloop_feeder_permille": ("How much the feeder is asked for.", report.feeder_permille),
        "sortloop_lag_seconds": ("Age of the latest frame when its decision reached the bridge.", lag_s),
    }
    families: list[Metric] = [_gauge("sortloop_run_info", "What sorts what.", ("machine", "model_id"), [info])]
    return families + [GaugeMetricFamily(name, text, float(value)) for name, (text, value) in plain.items()]


def _frame_families(cameras: Sequence[CameraReport]) -> list[Metric]:
    into: list[_Row] = [((one.name,), one.counts.frames_in) for one in cameras]
    still: list[_Row] = [((one.name,), one.counts.open_frames) for one in cameras]
    verdicts: list[_Row] = []
    for one in cameras:
        verdicts.append(((one.name, "processed", ""), one.counts.processed))
        verdicts += [((one.name, "missing", name), one.counts.missing.get(name, 0)) for name in _MISSING]
    labels = ("camera", "verdict", "reason")
    return [
        _counter("sortloop_frames_in", "Frames that entered the ring.", ("camera",), into),
        _counter("sortloop_frames", "Frames by verdict; with those open they are the frames in.", labels, verdicts),
        _gauge("sortloop_frames_open", "Frames without a verdict yet.", ("camera",), still),
    ]


def _object_families(cameras: Sequence[CameraReport]) -> list[Metric]:
    decided: list[_Row] = [((one.name,), one.counts.objects) for one in cameras]
    still: list[_Row] = [((one.name,), one.counts.open_objects) for one in cameras]
    ends: list[_Row] = []
    for one in cameras:
        counts: Mapping[str, int] = {"passed": one.counts.passed, **one.counts.ends}
        ends += [((one.name, end), counts.get(end, 0)) for end in _ENDS]
    text = "Objects by what became of them; with those open they are the objects decided."
    return [
        _counter("sortloop_objects_decided", "Objects decided on.", ("camera",), decided),
        _counter("sortloop_objects", text, ("camera", "end"), ends),
        _gauge("sortloop_objects_open", "Objects told to the controller, without an outcome.", ("camera",), still),
    ]


def _camera_families(cameras: Sequence[CameraReport]) -> list[Metric]:
    frames: list[_Row] = []
    events: list[_Row] = []
    for one in cameras:
        frames += [((one.name, what), getattr(one.given, what)) for what in ("kept", *_REFUSED, "skipped")]
        events += [((one.name, event), getattr(one.given, event)) for event in _EVENTS]
    return [
        _counter("sortloop_camera_frames", "Frames of the camera by what became of them.", ("camera", "what"), frames),
        _counter("sortloop_camera_events", "What befell the camera.", ("camera", "event"), events),
    ]


def _process_families(seen: Sequence[ProcessSeen], reported: Sequence[ProcessReport]) -> list[Metric]:
    label = ("process",)
    up: list[_Row] = [((one.name,), float(one.state == "working")) for one in reported]
    ended: list[_Row] = [((one.name,), one.ended) for one in reported]
    progress: list[_Row] = [((one.name,), one.progress) for one in seen]
    silence: list[_Row] = [((one.name,), one.silence_s) for one in seen]
    return [
        _gauge("sortloop_process_up", "1 while a process works in this place.", label, up),
        _counter("sortloop_process_ends", "Processes of this place that ended without being told to.", label, ended),
        _counter("sortloop_process_progress", "Rounds of the process's main loop.", label, progress),
        _gauge("sortloop_process_silence_seconds", "Since the process's latest sign of life.", label, silence),
    ]


def _counter(name: str, text: str, labels: Sequence[str], rows: Iterable[_Row]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in rows:
        family.add_metric(values, count)
    return family


def _gauge(name: str, text: str, labels: Sequence[str], rows: Iterable[_Row]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family
