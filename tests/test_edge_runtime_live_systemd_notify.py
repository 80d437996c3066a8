"""systemd is told in its own protocol, over either kind of socket, and its absence changes nothing."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.live.systemd_notify import SystemdNotify, watchdog_period_s


def manager(address: str) -> socket.socket:
    """Return a bound socket as systemd has it."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    end.bind(address)
    end.setblocking(False)
    return end


def test_every_message_arrives_on_a_path(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with manager(path) as end, SystemdNotify({"NOTIFY_SOCKET": path}) as notify:
        assert [notify.ready("armed"), notify.status("L1"), notify.watchdog(), notify.stopping()] == [True] * 4
        assert [end.recv(999) for _ in range(4)] == [
            b"READY=1\nSTATUS=armed",
            b"STATUS=L1",
            b"WATCHDOG=1",
            b"STOPPING=1",
        ]
        assert (notify.sent, notify.failed) == (4, 0)


def test_an_abstract_socket_is_reached() -> None:
    name = f"sortloop-test-{os.getpid()}"
    with manager(f"\0{name}") as end, SystemdNotify({"NOTIFY_SOCKET": f"@{name}"}) as notify:
        assert notify.ready()
        assert end.recv(999) == b"READY=1"


@pytest.mark.parametrize(
    "environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "@"}, {"NOTIFY_SOCKET": "run/notify"}]
)
def test_without_a_socket_nothing_is_sent_and_nothing_counted(environ: dict[str, str]) -> None:
    notify = SystemdNotify(environ)
    assert (notify.ready("x"), notify.sent, notify.failed) == (False, 0, 0)


@pytest.mark.parametrize("name", ["/nowhere/notify", "/", "/" + "x" * 300, "/a\0b"])
def test_a_socket_that_is_not_there_is_counted(name: str) -> None:
    with SystemdNotify({"NOTIFY_SOCKET": name}) as notify:
        assert [notify.watchdog(), notify.watchdog()] == [False, False]
        assert (notify.sent, notify.failed) == (0, 2)


def test_a_full_socket_is_counted_and_does_not_stop_the_caller(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with manager(path) as end, SystemdNotify({"NOTIFY_SOCKET": path}) as notify:
        taken = 0
        while notify.watchdog():
            taken += 1
            assert taken < 100_000
        assert (notify.sent, notify.failed) == (taken, 1)
        for _ in range(taken):
            end.recv(99)
        assert notify.watchdog()


def test_a_manager_that_comes_later_is_reached(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with SystemdNotify({"NOTIFY_SOCKET": path}) as notify:
        assert not notify.ready()
        with manager(path) as end:
            notify.close()
            assert notify.ready()
            assert end.recv(99) == b"READY=1"


@settings(deadline=None)
@given(st.text(max_size=400))
def test_any_status_is_one_assignment(status: str) -> None:
    name = f"sortloop-test-status-{os.getpid()}"
    with manager(f"\0{name}") as end, SystemdNotify({"NOTIFY_SOCKET": f"@{name}"}) as notify:
        if notify.status(status):
            data = end.recv(4096)
            assert (data[:7], data.count(b"\n"), len(data) <= 807) == (b"STATUS=", 0, True)
        else:
            assert (status.split(), notify.failed) == ([], 0)


@settings(deadline=None)
@given(st.integers(1, 2**64 - 1))
def test_the_period_is_half_of_the_limit(limit_us: int) -> None:
    assert watchdog_period_s({"WATCHDOG_USEC": str(limit_us)}) == limit_us / 1_000_000 / 2


@pytest.mark.parametrize(
    ("environ", "period_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "2e6"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
        ({"WATCHDOG_USEC": "9" * 5000}, None),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "5"}, 1.0),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "6"}, None),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": ""}, 1.0),
    ],
)
def test_a_watchdog_for_nobody_or_another_is_none(environ: dict[str, str], period_s: float | None) -> None:
    assert watchdog_period_s(environ, pid=5) == period_s


def test_the_watchdog_of_this_process_is_taken() -> None:
    assert watchdog_period_s({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}) == 0.5


def test_the_shortest_abstract_name_is_one() -> None:
    with SystemdNotify({"NOTIFY_SOCKET": "@x"}) as notify:
        notify.ready()
    assert notify.sent + notify.failed == 1


def test_a_long_status_is_cut_to_a_line() -> None:
    name = f"sortloop-test-long-{os.getpid()}"
    with manager(f"\0{name}") as end, SystemdNotify({"NOTIFY_SOCKET": f"@{name}"}) as notify:
        notify.status("x" * 999)
        assert end.recv(4096) == b"STATUS=" + b"x" * 200
