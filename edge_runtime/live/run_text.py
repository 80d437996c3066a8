"""A run's report as people read it."""

from collections.abc import Mapping

from edge_runtime.live.run_report import CameraReport, LiveReport

__all__ = ["run_line", "run_text"]


def run_text(report: LiveReport) -> str:
    """Return the report in lines: what is wanted, each camera's books, who fills which place, what to look at."""
    armed = _armed(report)
    wanted = f"level L{report.level}, feeder {report.feeder_permille / 10:.0f} %"
    lines = [f"{report.machine}: {report.seconds:.1f} s, {armed}, {wanted}, model {report.model_id[:12]}"]
    lines += [line for camera in report.cameras for line in _camera_lines(camera)]
    places = ", ".join(
        f"{one.name} {one.state}" + (f" (ended {one.ended} times)" if one.ended else "") for one in report.processes
    )
    lines.append(f"processes: {places}")
    if report.trouble:
        lines.append(f"LOOK AT THIS: {report.trouble}")
    return "\n".join(lines)


def run_line(report: LiveReport) -> str:
    """Return the report in one short line, what to look at first: what a service manager shows."""
    frames, objects = _totals(report)
    armed = "armed" if report.is_armed else "not armed"
    trouble = f"LOOK AT THIS: {report.trouble}; " if report.trouble else ""
    return f"{trouble}{armed}, L{report.level}, feeder {report.feeder_permille / 10:.0f} %; {frames}; {objects}"


def _totals(report: LiveReport) -> tuple[str, str]:
    """Return the books of all cameras together: frames, objects."""
    counts = [camera.counts for camera in report.cameras]
    missing = sum(sum(one.missing.values()) for one in counts)
    fired = sum(one.ends.get("fired", 0) + one.ends.get("merged", 0) for one in counts)
    passed = sum(one.passed for one in counts)
    still = sum(one.open_objects for one in counts)
    other = sum(one.objects for one in counts) - passed - fired - still
    frames = f"{sum(one.frames_in for one in counts)} frames, {missing} missing"
    return frames, f"{passed} objects passed, {fired} fired, {other} not fired, {still} open"


def _armed(report: LiveReport) -> str:
    if not any(one.pid for one in report.processes):
        return "ended"
    if report.is_armed:
        return "armed"
    return "not armed yet" if report.wants_armed else "not armed"


def _camera_lines(camera: CameraReport) -> list[str]:
    given, counts = camera.given, camera.counts
    refused = {name: getattr(given, name) for name in ("repeated", "shape", "incomplete", "stale")}
    troubles = {name: getattr(given, name) for name in ("skipped", "stalled", "gone", "restarted")}
    frames = (counts.processed, _sum(counts.missing), counts.open_frames)
    return [
        f"camera {camera.name}: frames shown {given.shown} = kept {given.kept} + {_sum(refused)}; {_sum(troubles)}",
        f"  frames in {counts.frames_in} = processed {frames[0]} + missing {frames[1]} + open {frames[2]}",
        f"  objects {counts.objects} = passed {counts.passed} + {_sum(counts.ends)} + open {counts.open_objects}",
    ]


def _sum(counts: Mapping[str, int]) -> str:
    return " + ".join(f"{name} {count}" for name, count in sorted(counts.items()) if count) or "0"
