"""Keeps a virtual controller running for `sortloop-link board`: the C program as a child, or the Python twin in place.

Both obey SIGTERM and SIGUSR1, and log in the same words. How a person hears where the board is, is the caller's part.
"""

import ctypes
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final, TextIO

import msgspec

from firmware_bridge.board import BoardSettings
from firmware_bridge.board_shell import BoardShell
from firmware_bridge.chaos import LinkedPty
from firmware_bridge.clock import NS_PER_S, Clock
from firmware_bridge.errors import LinkTimeoutError, TrafficFileError
from firmware_bridge.pulse_recorder import FiredPulse
from firmware_bridge.transport_tcp import TcpListener
from firmware_bridge.virtual_board import VirtualBoard

__all__ = ["BoardWish", "run_program", "run_twin"]

_PASSED_ON: Final = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_PR_SET_PDEATHSIG: Final = 1
_END_S: Final = 5.0
_ACCEPT_S: Final = 0.01  # the board's time goes on while nobody is connected
_HOST: Final = "127.0.0.1"

_Handler = Callable[[int, FrameType | None], None]


class BoardWish(msgspec.Struct, frozen=True):
    """What kind of board, and where.

    Attributes:
        n_valves: 1..4096.
        link: symlink that names its terminal.
        tcp: port of this computer instead of a terminal; 0 takes a free one.
        log_path: file to append to.
        for_s: its life, None for ever.
    """

    n_valves: int = 256
    link: Path | None = None
    tcp: int | None = None
    log_path: Path | None = None
    for_s: float | None = None


def run_program(program: Path, wish: BoardWish, tell: Callable[[str], None]) -> int:
    """Run the C program with this process's signals as its own, and return its exit code.

    Args:
        program: of `native_build.build_board_program`.
        wish: what to play.
        tell: hears where the board is.

    Note: from the main thread only, which is where signals arrive.
    """
    with subprocess.Popen(  # noqa: S603 - our own program
        _command(program, wish),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - one thread; a board that outlived us would hold its port
    ) as child:
        assert child.stdout is not None, "asked for"
        with _handling(dict.fromkeys(_PASSED_ON, lambda number, _: child.send_signal(number))):
            try:
                if path := child.stdout.readline().strip():
                    tell(path)
                    return child.wait(wish.for_s)
                return child.wait(_END_S)  # it has said on stderr what is wrong
            except subprocess.TimeoutExpired:
                return 0
            finally:
                child.terminate()


def run_twin(wish: BoardWish, clock: Clock, tell: Callable[[str], None]) -> None:
    """Run the pure-Python board.

    Args:
        wish: what to play.
        clock: real time.
        tell: hears where the board is.

    Raises:
        TransportError: no terminal, no such link, or no such TCP port.
        TrafficFileError: the log cannot be written.

    Note: from the main thread only, which is where signals arrive.
    """
    twin = VirtualBoard(BoardSettings(n_valves=wish.n_valves, boot_id=clock.monotonic_ns() & 0xFFFFFFFF))
    end_ns = None if wish.for_s is None else clock.monotonic_ns() + round(wish.for_s * NS_PER_S)
    with ExitStack() as stack:
        log = None if wish.log_path is None else stack.enter_context(_open_log(wish.log_path))
        watch = _Watch(twin, clock, log, end_ns)
        stack.enter_context(_handling({signal.SIGTERM: watch.on_stop, signal.SIGUSR1: watch.on_reboot}))
        if wish.tcp is None:
            pty = LinkedPty(wish.link)
            stack.callback(pty.close)
            tell(pty.path)
            BoardShell(twin, pty, clock, watch.on_fired).run(watch.should_stop)
        else:
            listener = stack.enter_context(TcpListener(_HOST, wish.tcp))
            tell(f"tcp://{_HOST}:{listener.address[1]}")
            _serve(listener, twin, clock, watch)


def _command(program: Path, wish: BoardWish) -> Sequence[str]:
    options = {"--valves": wish.n_valves, "--link": wish.link, "--tcp": wish.tcp, "--log": wish.log_path}
    return [str(program), *(str(word) for item in options.items() if item[1] is not None for word in item)]


def _die_with_parent() -> None:
    """Have the system end the board when this process dies; other systems than Linux have no such call."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def _handling(handlers: Mapping[signal.Signals, _Handler]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _serve(listener: TcpListener, twin: VirtualBoard, clock: Clock, watch: "_Watch") -> None:
    """Serve one host after another; in between the board lives on."""
    while not watch.should_stop():
        try:
            peer = listener.accept(_ACCEPT_S)
        except LinkTimeoutError:
            twin.advance(clock.monotonic_ns())
            twin.take_output()  # nobody is there to hear it
            for pulse in twin.take_fired():
                watch.on_fired(pulse)
            continue
        try:
            BoardShell(twin, peer, clock, watch.on_fired).run(watch.should_stop)
        finally:
            peer.close()


def _open_log(path: Path) -> TextIO:
    try:
        return path.open("a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise TrafficFileError(f"log {path} cannot be written: {error.strerror or error}") from error


class _Watch:
    """Writes down what the twin does, in the words of the C program, and obeys the same signals."""

    def __init__(self, twin: VirtualBoard, clock: Clock, log: TextIO | None, end_ns: int | None) -> None:
        self._twin = twin
        self._clock = clock
        self._log = log
        self._end_ns = end_ns
        self._must_stop = self._must_reboot = False
        self._last: dict[str, object] = {}

    def on_stop(self, _: int, __: FrameType | None) -> None:
        """Take SIGTERM."""
        self._must_stop = True

    def on_reboot(self, _: int, __: FrameType | None) -> None:
        """Take SIGUSR1."""
        self._must_reboot = True

    def on_fired(self, pulse: FiredPulse) -> None:
        """Write down a pulse that has closed."""
        self._write(f"pulse {' '.join(map(str, pulse))}")

    def should_stop(self) -> bool:
        """Do what a signal asked for, write down what has changed, and tell whether it is time to end."""
        if self._must_reboot:
            self._must_reboot = False
            self._twin.reboot(self._clock.monotonic_ns())
            self._write("reboot")
        now = {"state": self._twin.state.name, "feeder": self._twin.feeder_permille}
        for name, value in now.items():
            if self._last.get(name) != value:
                self._write(f"{name} {value}")
        self._last.update(now)
        return self._must_stop or (self._end_ns is not None and self._clock.monotonic_ns() >= self._end_ns)

    def _write(self, text: str) -> None:
        if self._log is not None:
            self._log.write(f"{self._clock.monotonic_ns()} {text}\n")
