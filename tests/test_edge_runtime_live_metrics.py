"""Metrics say what the report says, in Prometheus' format, and their counts add up."""

from hypothesis import given, settings
from live_reports import camera_reports, report_of
from prometheus_client.parser import text_string_to_metric_families

from edge_runtime.live.metrics import ProcessSeen, Seen, metrics_text
from edge_runtime.live.run_report import CameraReport


def samples_of(seen: Seen) -> list[tuple[str, dict[str, str], float]]:
    families = text_string_to_metric_families(metrics_text(seen))
    return [(one.name, one.labels, one.value) for family in families for one in family.samples]


def sum_of(samples: list[tuple[str, dict[str, str], float]], name: str, **labels: str) -> float:
    return sum(value for found, have, value in samples if found == name and labels.items() <= have.items())


@settings(deadline=None)
@given(camera=camera_reports())
def test_counts_add_up(camera: CameraReport) -> None:
    samples = samples_of(Seen(report_of(cameras=(camera,)), 0.0, 0.0, ()))
    frames_in = sum_of(samples, "sortloop_frames_in_total", camera="top")
    assert frames_in == camera.counts.frames_in
    assert frames_in == sum_of(samples, "sortloop_frames_total") + sum_of(samples, "sortloop_frames_open")
    decided = sum_of(samples, "sortloop_objects_decided_total")
    assert decided == camera.counts.objects
    assert decided == sum_of(samples, "sortloop_objects_total") + sum_of(samples, "sortloop_objects_open")
    assert sum_of(samples, "sortloop_frames_total", reason="late") == camera.counts.missing.get("late", 0)
    assert sum_of(samples, "sortloop_objects_total", end="fired") == camera.counts.ends.get("fired", 0)
    shown = sum_of(samples, "sortloop_camera_frames_total") - sum_of(
        samples, "sortloop_camera_frames_total", what="skipped"
    )
    assert shown == camera.given.shown
    assert sum_of(samples, "sortloop_camera_events_total", event="gone") == camera.given.gone


@settings(deadline=None)
@given(camera=camera_reports())
def test_every_series_is_there_from_the_start(camera: CameraReport) -> None:
    def names(one: CameraReport) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
        samples = samples_of(Seen(report_of(cameras=(one,)), 0.0, 0.0, ()))
        return {(name, tuple(sorted(labels.items()))) for name, labels, _ in samples}

    none = CameraReport("top", type(camera.given)(), type(camera.counts)(0, 0, {}, 0, 0, 0, {}, 0))
    assert names(camera) == names(none)


def test_processes_and_state_are_told() -> None:
    samples = samples_of(Seen(report_of(trouble="no air"), 0.5, 0.012, [ProcessSeen("bridge", 77, 0.25)]))
    assert sum_of(samples, "sortloop_process_up", process="bridge") == 1
    assert sum_of(samples, "sortloop_process_up", process="services") == 0
    assert sum_of(samples, "sortloop_process_ends_total", process="bridge") == 2
    assert sum_of(samples, "sortloop_process_progress_total", process="bridge") == 77
    assert sum_of(samples, "sortloop_process_silence_seconds", process="bridge") == 0.25
    assert sum_of(samples, "sortloop_lag_seconds") == 0.012
    assert sum_of(samples, "sortloop_report_age_seconds") == 0.5
    assert sum_of(samples, "sortloop_level") == 2
    assert sum_of(samples, "sortloop_feeder_permille") == 700
    assert sum_of(samples, "sortloop_is_armed") == sum_of(samples, "sortloop_wants_armed") == 1
    assert sum_of(samples, "sortloop_has_trouble") == 1
    assert sum_of(samples, "sortloop_run_seconds") == 1.5
    assert sum_of(samples, "sortloop_run_info", machine="desk", model_id="ab" * 32) == 1
