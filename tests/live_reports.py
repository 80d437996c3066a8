"""A live run's report for tests, somebody who answers with it, and a machine file."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import strategies as st

from edge_runtime.cameras.frame_watch import WatchCounts
from edge_runtime.live.books import CameraCounts
from edge_runtime.live.http_server import HttpServer
from edge_runtime.live.http_text import Answer
from edge_runtime.live.run_report import CameraReport, LiveReport, ProcessReport
from firmware_bridge.clock import SystemClock

__all__ = ["answering", "camera_reports", "machine_file", "report_of"]

MACHINE = """name = "desk"
port = "{port}"
[[camera]]
name = "top"
source = "{source}"
[[lane]]
valve = 0
from_mm = 0.0
to_mm = 5.0
[live]
metrics_port = {metrics}
priority = {priority}
"""

COUNT = st.integers(0, 10**9)


def report_of(*, trouble: str = "", cameras: tuple[CameraReport, ...] = ()) -> LiveReport:
    processes = (ProcessReport("bridge", 7, "working", 2), ProcessReport("services", 0, "absent", 0))
    return LiveReport(
        machine="desk",
        model_id="ab" * 32,
        seconds=1.5,
        is_armed=True,
        wants_armed=True,
        level=2,
        feeder_permille=700,
        cameras=cameras,
        processes=processes,
        trouble=trouble,
    )


@st.composite
def camera_reports(draw: st.DrawFn) -> CameraReport:
    """Books that add up."""
    missing = draw(st.dictionaries(st.sampled_from(["late", "overrun", "worker_lost"]), COUNT))
    ends = draw(st.dictionaries(st.sampled_from(["fired", "merged", "late", "lost"]), COUNT))
    processed, passed, still, open_objects = draw(COUNT), draw(COUNT), draw(COUNT), draw(COUNT)
    counts = CameraCounts(
        frames_in=processed + sum(missing.values()) + still,
        processed=processed,
        missing=missing,
        open_frames=still,
        objects=passed + sum(ends.values()) + open_objects,
        passed=passed,
        ends=ends,
        open_objects=open_objects,
    )
    kept, stale, repeated = draw(COUNT), draw(COUNT), draw(COUNT)
    given = WatchCounts(shown=kept + stale + repeated, kept=kept, stale=stale, repeated=repeated, gone=draw(COUNT))
    return CameraReport("top", given, counts)


@contextmanager
def answering(answer: Answer) -> Iterator[int]:
    server, stop = HttpServer(0, lambda _: answer, SystemClock()), threading.Event()

    def serve() -> None:
        while not stop.is_set():
            server.serve(0.02)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.port
    finally:
        stop.set()
        thread.join(5.0)
        server.close()


def machine_file(folder: Path, *, port: str = "", source: str = "", metrics: int = 0, priority: int = 0) -> Path:
    path = folder / "machine.toml"
    path.write_text(MACHINE.format(port=port, source=source, metrics=metrics, priority=priority), encoding="utf-8")
    return path
