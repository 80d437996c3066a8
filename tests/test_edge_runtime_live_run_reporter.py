"""What the supervisor tells the service manager and the services process, and when."""

import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from live_reports import camera_reports, report_of

from edge_runtime.errors import OverloadError
from edge_runtime.live.run_report import CameraReport, LiveReport
from edge_runtime.live.run_reporter import RunReporter
from edge_runtime.live.run_text import run_line
from firmware_bridge.clock import NS_PER_S, ManualClock


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.setblocking(False)
        yield end


def told(manager: socket.socket) -> list[str]:
    found = []
    try:
        while True:
            found.append(manager.recv(4096).decode())
    except BlockingIOError:
        return found


def environ_of(manager: socket.socket) -> dict[str, str]:
    return {"NOTIFY_SOCKET": str(manager.getsockname()), "WATCHDOG_USEC": "4000000"}


def test_manager_hears_of_start_life_state_and_end(manager: socket.socket) -> None:
    clock = ManualClock()
    reporter = RunReporter(report_of, environ_of(manager), clock)
    reporter.look(is_sorting=False)
    state = f"STATUS={run_line(report_of())}"
    assert told(manager) == ["WATCHDOG=1", state]
    clock.sleep_s(0.5)
    reporter.look(is_sorting=False)
    assert told(manager) == []
    reporter.look(is_sorting=True)
    assert told(manager) == ["READY=1\nSTATUS=sorting", state]
    clock.sleep_s(0.99)
    reporter.look(is_sorting=True)
    assert told(manager) == []
    clock.sleep_s(0.01)
    reporter.look(is_sorting=True)
    assert told(manager) == [state]
    clock.sleep_s(0.5)
    reporter.look(is_sorting=True)
    assert told(manager) == ["WATCHDOG=1"]
    reporter.stopping()
    assert told(manager)[0].startswith("STOPPING=1\n")
    reporter.close()


def test_report_lies_on_the_bulletin_without_a_manager() -> None:
    clock = ManualClock()
    clock.sleep_s(3.0)
    reporter = RunReporter(report_of, {}, clock)
    reporter.look(is_sorting=False)
    posted = reporter.bulletin.read()
    assert posted is not None
    assert (msgspec.json.decode(posted.text, type=LiveReport), posted.posted_ns) == (report_of(), 3 * NS_PER_S)
    reporter.close()


def test_books_that_do_not_hold_still_cost_one_report_and_not_the_run(manager: socket.socket) -> None:
    def report() -> LiveReport:
        raise OverloadError("the books change faster than they can be read")

    reporter = RunReporter(report, environ_of(manager), ManualClock())
    reporter.look(is_sorting=True)
    assert told(manager) == ["READY=1\nSTATUS=sorting", "WATCHDOG=1"]
    assert reporter.bulletin.read() is None
    reporter.close()


@given(camera=camera_reports())
def test_line_counts_every_object_once_and_is_short(camera: CameraReport) -> None:
    text = run_line(report_of(cameras=(camera,)))
    words = text.split("; ")[-1].replace(",", "").split()
    assert sum(int(word) for word in words if word.isdigit()) == camera.counts.objects
    assert len(text) < 200


def test_line_says_first_what_to_look_at() -> None:
    assert run_line(report_of(trouble="no air")).startswith("LOOK AT THIS: no air; armed, L2, feeder 70 %; 0 frames")
