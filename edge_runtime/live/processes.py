"""The processes of a run as the supervisor starts them: command line, plan, inherited file descriptors.

Each is a fresh Python (`python -m edge_runtime.live ROLE PLAN`) in a session of its own, so that Ctrl-C reaches the
supervisor alone. Knows how to start and to kill; when to do so is the supervisor's affair.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from edge_runtime.live.child import ChildPlan
from edge_runtime.live.packets import Packets, packet_pair
from edge_runtime.realtime import RealtimeSettings

__all__ = ["Role", "RoleName", "Running", "start_process"]

RoleName = Literal["capture", "vision", "bridge", "recorder", "services"]


class Role(msgspec.Struct, frozen=True):
    """One place in a run; one process after another fills it.

    Attributes:
        name: of the place, unique in the run: "vision-0".
        role: what is run.
        row: in the vitals.
        realtime: what its processes ask the system for.
        plan: makes the role's plan from the child's part of it.
        fds: to be inherited besides control socket and vitals.
    """

    name: str
    role: RoleName
    row: int
    realtime: RealtimeSettings
    plan: Callable[[ChildPlan], msgspec.Struct]
    fds: tuple[int, ...]


class Running:
    """A process that fills a role.

    Args:
        role: which.
        number: of the process, never used twice in a run.
        process: of the system.
        control: the supervisor's end.
    """

    def __init__(self, role: Role, number: int, process: "subprocess.Popen[bytes]", control: Packets) -> None:
        self.role = role
        self.number = number
        self.control = control
        self.is_ready = False
        self.is_gone = False  # its end of the control socket is closed
        self.started_ns = 0
        self._process = process

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def ended(self) -> str | None:
        """Return how it ended, for people; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        return f"exit {code}" if code >= 0 else f"signal {-code} ({signal.Signals(-code).name})"

    def kill(self) -> None:
        """End it at once; harmless where it has ended."""
        self._process.kill()

    def wait(self, timeout_s: float) -> bool:
        """Wait until it has ended; tell whether it did in time."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        """Give up the supervisor's end of its control socket."""
        self.control.close()


def start_process(role: Role, number: int, *, machine: str, vitals_fd: int) -> Running:
    """Start a process for a role.

    Args:
        role: which.
        number: of the process.
        machine: machine file.
        vitals_fd: to be inherited.

    Raises:
        OSError: the system starts no more processes.
    """
    ours, theirs = packet_pair()
    child = ChildPlan(number, role.row, theirs.fileno(), vitals_fd, machine, role.realtime, role.name)
    command = [sys.executable, "-m", "edge_runtime.live", role.role, _text(role.plan(child))]
    fds: Sequence[int] = (theirs.fileno(), vitals_fd, *role.fds)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own program
            command,
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            env=_settings(),
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return Running(role, number, process, ours)


def _text(plan: msgspec.Struct) -> str:
    return msgspec.json.encode(plan).decode()


def _settings() -> dict[str, str]:
    """Return the environment of a child: one thread for what would start several, and where this package lies."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
