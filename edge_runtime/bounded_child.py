"""Run a program that may hang, flood or die, and always come back: bounded in wall time and in what it may say.

Knows nothing of models. The program gets a request on stdin; what it writes is kept up to a limit; it and all that it
started are killed when it takes too long or says too much. Limits of memory and processor time are the child's own
affair (`resource.setrlimit`), since only it knows what it needs before the work begins.

>>> import sys
>>> from firmware_bridge.clock import SystemClock
>>> run_bounded([sys.executable, "-c", "print(input()[::-1], end='')"], b"olleh", wall_s=60, clock=SystemClock()).output
b'hello'
"""

import os
import selectors
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Final

from edge_runtime.errors import StorageError
from firmware_bridge.clock import NS_PER_S, Clock

__all__ = ["MOST_OUTPUT_B", "ChildEnd", "run_bounded"]

MOST_OUTPUT_B: Final = 64 * 2**10
_REAP_S: Final = 5.0  # a killed process is gone in milliseconds; longer only while its disk does not answer
_LATE: Final = "late"
_CHUNK_B: Final = 16 * 2**10


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
        StorageError: the program cannot be started.
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
    talk = _Talk(process, request, clock, started_ns + round(wall_s * NS_PER_S))
    try:
        killed = talk.run()
    finally:
        _end(process)
    if killed == _LATE:
        killed = f"it had not ended after {wall_s:.3g} s"
    return ChildEnd(None if killed else process.returncode, bytes(talk.output), bytes(talk.complaints), killed)


class _Talk:
    """The three pipes of a running program, served until it ends, is late or says too much."""

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
        self._pipes = selectors.DefaultSelector()
        for pipe, event in (
            (process.stdin, selectors.EVENT_WRITE),
            (process.stdout, selectors.EVENT_READ),
            (process.stderr, selectors.EVENT_READ),
        ):
            os.set_blocking(pipe.fileno(), False)
            self._pipes.register(pipe, event)

    def run(self) -> str:
        """Serve the pipes and wait for the end; return why the program must be killed, "" where it ended by itself."""
        with self._pipes:
            while self._pipes.get_map():
                if self._left_s() <= 0:
                    break
                for key, _ in self._pipes.select(self._left_s()):
                    self._serve(key)
                if len(self.output) > MOST_OUTPUT_B:
                    del self.output[MOST_OUTPUT_B:]
                    return f"it wrote more than {MOST_OUTPUT_B} bytes"
        try:
            self._process.wait(max(0.0, self._left_s()))
        except subprocess.TimeoutExpired:
            return _LATE
        return ""

    def _left_s(self) -> float:
        return (self._deadline_ns - self._clock.monotonic_ns()) / NS_PER_S

    def _serve(self, key: selectors.SelectorKey) -> None:
        pipe = key.fileobj
        assert not isinstance(pipe, int)
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


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing behind: no process of the group, no open pipe."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_REAP_S)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
