r"""Faults on request: the control socket of a virtual world, one line a command, one line an answer.

    power_cut             the board loses its power for an instant
    silence MS            no byte passes on the controller's line
    unplug MS             the controller's terminal is gone, the host reads a hang-up
    stall CAMERA MS       the camera gives nothing; its counter goes on
    gone CAMERA MS        its connection is closed, and refused meanwhile
    repeat CAMERA         its next block comes twice
    incomplete CAMERA     pixels of its next block are missing
    status                what happens now, as JSON
    stop                  the world ends and writes its outcome

The rules are pure (`parse_command`); the socket knows none of them.

>>> parse_command("stall top 250", ("top", "side"))
Command(verb='stall', camera=0, ms=250)
"""

import contextlib
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from edge_runtime.errors import ConfigError
from edge_runtime.virtual_world_socket import WorldListener

__all__ = ["Command", "ControlSocket", "ask_world", "parse_command"]

_VERBS: Final[dict[str, tuple[bool, bool]]] = {  # with a camera, with milliseconds
    "power_cut": (False, False),
    "silence": (False, True),
    "unplug": (False, True),
    "stall": (True, True),
    "gone": (True, True),
    "repeat": (True, False),
    "incomplete": (True, False),
    "status": (False, False),
    "stop": (False, False),
}
_MOST_MS: Final = 3_600_000
_LONGEST_B: Final = 256
_ANSWER_B: Final = 65_536


class Command(NamedTuple):
    """What is asked for; camera is its number, -1 for none, ms is 0 for none."""

    verb: str
    camera: int
    ms: int


def parse_command(text: str, cameras: Sequence[str]) -> Command:
    """Return a command.

    Args:
        text: one line, see the module.
        cameras: names, in the machine's order.

    Raises:
        ConfigError: there is no such command or camera, or the milliseconds are not 1 to 3,600,000.
    """
    words = text.split()
    if not words or words[0] not in _VERBS:
        raise ConfigError(f"{text.strip()!r} is no command: use one of {', '.join(_VERBS)}")
    has_camera, has_ms = _VERBS[words[0]]
    if len(words) != 1 + has_camera + has_ms:
        raise ConfigError(f"{text.strip()!r}: write {words[0]}{' CAMERA' * has_camera}{' MS' * has_ms}")
    camera, ms = -1, 0
    if has_camera:
        if words[1] not in cameras:
            raise ConfigError(f"{words[1]!r} is no camera: use one of {', '.join(cameras)}")
        camera = list(cameras).index(words[1])
    if has_ms:
        ms = int(words[-1]) if words[-1].isdecimal() and len(words[-1]) < len(str(_MOST_MS)) + 1 else 0
        if not 1 <= ms <= _MOST_MS:
            raise ConfigError(f"{words[-1]!r} is no time: give 1 to {_MOST_MS} ms")
    return Command(words[0], camera, ms)


def ask_world(folder: Path, command: str, timeout_s: float = 5.0) -> str:
    """Send a command to a running world and return its answer, "ok" where there is nothing to say.

    Args:
        folder: of the world.
        command: see the module.
        timeout_s: for the answer.

    Raises:
        ConfigError: no world runs there, it does not answer, or it refuses the command.
    """
    path = folder / "world.ctl"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            connection.sendall(command.encode() + b"\n")
            answer = bytearray()
            while not answer.endswith(b"\n") and (data := connection.recv(_ANSWER_B)):
                answer += data
        except OSError as error:
            raise ConfigError(f"no world answers at {path}: {error.strerror or error}") from error
    text = answer.decode().rstrip("\n")
    if text.startswith("error: ") or not text:
        raise ConfigError(text.removeprefix("error: ") or f"the world at {path} ended")
    return text


class ControlSocket:
    """The listening end.

    Args:
        path: of the socket; one that is there is replaced.

    Raises:
        StorageError: the socket cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._asking: dict[socket.socket, bytearray] = {}
        self._listener = WorldListener(path)

    def readers(self) -> list[socket.socket]:
        """Return the sockets to look at for reading."""
        return [self._listener.socket, *self._asking]

    def serve(self, readable: list[socket.socket], answer: Callable[[str], str]) -> None:
        """Take who connects and answer who has asked.

        Args:
            readable: of `readers`, those with something to read.
            answer: obeys one line and returns what to say; a ConfigError is the answer too.
        """
        for client in [client for client in self._asking if client in readable]:
            self._hear(client, answer)
        if self._listener.socket in readable and (newcomer := self._listener.accept()):
            self._asking[newcomer] = bytearray()

    def close(self) -> None:
        """Let everybody go and remove the socket; twice is harmless."""
        for client in self._asking:
            client.close()
        self._asking.clear()
        self._listener.close()

    def _hear(self, client: socket.socket, answer: Callable[[str], str]) -> None:
        text = self._asking[client]
        try:
            data = client.recv(_LONGEST_B)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        text += data
        if data and b"\n" not in text and len(text) < _LONGEST_B:
            return
        del self._asking[client]
        with contextlib.suppress(OSError), client:  # it did not wait for the answer
            if data:
                client.send(_answered(text.partition(b"\n")[0].decode(errors="replace"), answer))


def _answered(line: str, answer: Callable[[str], str]) -> bytes:
    try:
        return f"{answer(line)}\n".encode()
    except ConfigError as error:
        return f"error: {error}\n".encode()
