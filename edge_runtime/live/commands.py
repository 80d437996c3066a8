"""What a person may ask of a run that goes on, and the socket over which it is asked.

The supervisor looks at the socket in its own round and never waits for who is at the other end: a question that is not
there at once, or an answer that is not taken, is dropped. Knows no process.

>>> decode_command(encode_command(Swap("/srv/models/rice-2")))
Swap(model='/srv/models/rice-2')
"""

import os
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from edge_runtime.errors import ConfigError, NoRunError, StorageError

__all__ = [
    "Arm",
    "Back",
    "Command",
    "CommandReply",
    "CommandSocket",
    "Disarm",
    "Look",
    "Swap",
    "ask",
    "decode_command",
    "encode_command",
]

_LARGEST_B: Final = 65_536
_MOST_CLIENTS: Final = 8
_ANSWER_S: Final = 5.0


class Arm(msgspec.Struct, frozen=True, tag="arm"):
    """Let the valves fire and the feeder run; it also takes back what was given up."""

    feeder_permille: int = 1000


class Disarm(msgspec.Struct, frozen=True, tag="disarm"):
    """Shut the valves and stop the feeder; sorting goes on, without effect."""


class Swap(msgspec.Struct, frozen=True, tag="swap"):
    """Try a model folder, and sort with it from the next frame on if it is good."""

    model: str


class Back(msgspec.Struct, frozen=True, tag="back"):
    """Sort with the model before from the next frame on."""


class Look(msgspec.Struct, frozen=True, tag="look"):
    """Tell how the run is, and what became of the last swap."""


Command: TypeAlias = Arm | Disarm | Swap | Back | Look


class CommandReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of a command.

    Attributes:
        outcome: done; begun (ask again with `Look`); refused.
        text: for people.
    """

    outcome: Literal["done", "begun", "refused"]
    text: str


_encoder: Final = msgspec.json.Encoder()
_commands: Final["msgspec.json.Decoder[Command]"] = msgspec.json.Decoder(Command)


def encode_command(command: Command) -> bytes:
    """Return a command's bytes."""
    return _encoder.encode(command)


def decode_command(data: bytes) -> Command:
    """Return the command of these bytes.

    Raises:
        ConfigError: they are none.
    """
    try:
        return _commands.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{len(data)} bytes are no command: {error}") from error


class CommandSocket:
    """The run's end: a local socket that only the run's own user may use.

    Args:
        path: of the socket; what is left of an earlier run is replaced.

    Raises:
        StorageError: it cannot be made there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._clients: deque[socket.socket] = deque()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.setblocking(False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                self._listener.bind(str(path))
            finally:
                os.umask(before)
            self._inode = path.stat().st_ino
            self._listener.listen(_MOST_CLIENTS)
        except OSError as error:
            self._listener.close()
            raise StorageError(f"{path}: no socket for commands: {error.strerror or error}") from error

    def answer(self, reply: Callable[[Command], CommandReply]) -> None:
        """Answer every command that is there by now.

        Args:
            reply: does what is asked, without waiting.
        """
        with suppress(BlockingIOError):
            while True:
                client, _ = self._listener.accept()
                client.setblocking(False)
                self._clients.append(client)
                if len(self._clients) > _MOST_CLIENTS:
                    self._clients.popleft().close()
        for client in list(self._clients):
            self._answer_one(client, reply)

    def close(self) -> None:
        """Take the socket away, unless another run has put its own there; twice is harmless."""
        for client in (self._listener, *self._clients):
            client.close()
        with suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def _answer_one(self, client: socket.socket, reply: Callable[[Command], CommandReply]) -> None:
        try:
            data = client.recv(_LARGEST_B)
        except BlockingIOError:
            return  # asks later
        except OSError:
            data = b""
        if data:
            try:
                found = reply(decode_command(data))
            except ConfigError as error:
                found = CommandReply("refused", str(error))
            with suppress(OSError):  # who asked has gone
                client.send(_encoder.encode(found))
        self._clients.remove(client)
        client.close()


def ask(path: Path, command: Command) -> CommandReply:
    """Ask a run.

    Args:
        path: of its socket.
        command: what to do.

    Raises:
        NoRunError: no run listens there, or it does not answer within 5 s.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(_ANSWER_S)
        try:
            client.connect(str(path))
            client.send(encode_command(command))
            data = client.recv(_LARGEST_B)
        except OSError as error:
            raise NoRunError(f"{path}: no run answers: {error.strerror or error}") from error
    if not data:
        raise NoRunError(f"{path}: the run did not answer")
    return msgspec.json.decode(data, type=CommandReply)
