"""Run a program that may hang, flood or die, and always come back: bounded in wall time and in what it may say.

Knows nothing of models. The program gets a request on stdin; what it writes is kept up to a limit; it is killed when it
takes too long or says too much, and so is whatever it started, always, unless that left its session. Limits of memory
and processor time are the child's own affair (`resource.setrlimit`), since only it knows what it needs before the work
begins.

>>> import sys
>>> from firmware_bridge.clock import SystemClock
>>> run_bounded([sys.executable, "-c", "print(input()[::-1], end='')"], b"olleh", wall_s=60, clock=SystemClock()).output
b'hello'
"""

import ctypes
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from edge_runtime.errors import StorageError
from firmware_bridge.clock import NS_PER_S, Clock

__all__ = ["MOST_OUTPUT_B", "ChildEnd", "die_with_parent", "run_bounded"]

MOST_OUTPUT_B: Final = 64 * 2**10
_REAP_S: Final = 5.0  # a killed process is gone in milliseconds; longer only while its disk does not answer
_LATE: Final = "late"
_CHUNK_B: Final = 16 * 2**10
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_ENDED: Final = ("Z", "X")  # states of a process in /proc that is gone but for its entry


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """How a program ended.

    Attributes:
        code: exit code, below 0 the signal that ended it; None where it was killed here.
        output: what it wrote to stdout, up to MOST_OUTPUT_B.
        complaints: the end of what it wrote to stderr.
        killed: why it was killed here, "" where it was not.
    """

    code: int | None
    output: bytes
    complaints: bytes
    killed: str = ""


def run_bounded(
    arguments: Sequence[str], request: bytes, *, wall_s: float, clock: Clock, environment: dict[str, str] | None = None
) -> ChildEnd:
    """Run a program and return how it ended.

    Args:
        arguments: program and arguments.
        request: for its stdin; it need not read it.
        wall_s: longest time that it may take, wall clock.
        clock: a real one: the program runs in real time.
        environment: of the program; None for this process's own.

    Raises:
        StorageError: the program cannot be started, or not be watched.

    Note:
        To be called on a thread that outlives the call, if the program uses `die_with_parent`: Linux means the thread.
    """
    started_ns = clock.monotonic_ns()
    try:
        process = subprocess.Popen(  # noqa: S603 - the caller names the program; no shell is involved
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # a group of its own, so that whatever it starts is killed with it
        )
    except OSError as error:
        raise StorageError(f"cannot start {arguments[0]}: {error.strerror or error}") from error
    try:
        talk = _Talk(process, request, clock, started_ns + round(wall_s * NS_PER_S))
        killed = talk.run()
    except OSError as error:
        raise StorageError(f"cannot watch {arguments[0]}: {error.strerror or error}") from error
    finally:
        _end(process)
    if killed == _LATE:
        killed = f"it had not ended after {wall_s:.3g} s"
    return ChildEnd(None if killed else process.returncode, bytes(talk.output), bytes(talk.complaints), killed)


def die_with_parent(parent_pid: int) -> None:
    """Let the system kill this process as soon as its parent is gone; for programs that `run_bounded` starts.

    Their session is their own, so that no signal to the parent's reaches them.

    Args:
        parent_pid: the parent, by its own word.

    Raises:
        SystemExit: the parent was gone before.
        StorageError: the system refuses.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise StorageError(f"cannot end with process {parent_pid}: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent_pid:
        sys.exit(f"process {parent_pid}, which asked, is gone")


class _Talk:
    """The three pipes of a running program, served until it ends, is late or says too much.

    Raises:
        OSError: the system cannot watch a process.
    """

    def __init__(self, process: subprocess.Popen[bytes], request: bytes, clock: Clock, deadline_ns: int) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.output = bytearray()
        self.complaints = bytearray()
        self._process = process
        self._unsent = memoryview(request)
        self._deadline_ns = deadline_ns
        self._clock = clock
        self._leader = os.pidfd_open(process.pid)  # tells its end and leaves it unreaped: its pid stays its own
        self._pipes = selectors.DefaultSelector()
        self._pipes.register(self._leader, selectors.EVENT_READ)
        for pipe, event in (
            (process.stdin, selectors.EVENT_WRITE),
            (process.stdout, selectors.EVENT_READ),
            (process.stderr, selectors.EVENT_READ),
        ):
            os.set_blocking(pipe.fileno(), False)
            self._pipes.register(pipe, event)

    def run(self) -> str:
        """Serve the pipes and wait for the end; return why the program must be killed, "" where it ended by itself."""
        try:
            return self._watch()
        finally:
            self._pipes.close()
            os.close(self._leader)

    def _watch(self) -> str:
        while self._pipes.get_map():
            if self._left_s() <= 0:
                return _LATE
            for key, _ in self._pipes.select(self._left_s()):
                self._serve(key)
            if len(self.output) > MOST_OUTPUT_B:
                del self.output[MOST_OUTPUT_B:]
                return f"it wrote more than {MOST_OUTPUT_B} bytes"
        return "it ended and left a process running" if _is_running(self._process.pid) else ""

    def _left_s(self) -> float:
        return (self._deadline_ns - self._clock.monotonic_ns()) / NS_PER_S

    def _serve(self, key: selectors.SelectorKey) -> None:
        pipe = key.fileobj
        if isinstance(pipe, int):  # the program itself ended; what it started may still speak
            self._pipes.unregister(pipe)
            return
        if pipe is self._process.stdin:
            self._send(self._process.stdin)
            return
        chunk = os.read(key.fd, _CHUNK_B)
        if not chunk:
            self._pipes.unregister(pipe)
        elif pipe is self._process.stdout:
            self.output += chunk
        else:
            self.complaints += chunk
            del self.complaints[:-MOST_OUTPUT_B]

    def _send(self, stdin: IO[bytes]) -> None:
        try:
            self._unsent = self._unsent[os.write(stdin.fileno(), self._unsent[:_CHUNK_B]) :]
        except BrokenPipeError:  # the program ended, or does not want it; how it ended tells
            self._unsent = self._unsent[:0]
        if not self._unsent:
            self._pipes.unregister(stdin)
            with suppress(BrokenPipeError):
                stdin.close()


def _is_running(group: int) -> bool:
    """Tell whether a process of a group is at work, which the unreaped one that the group is named after is not."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            state, _, found = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:3]
            if found == str(group) and state not in _ENDED:
                return True
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing behind: no process of the group, no open pipe."""
    if process.returncode is None:  # not reaped yet, so that the group cannot be another's
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_REAP_S)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
