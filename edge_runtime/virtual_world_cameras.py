"""The cameras of a virtual world: blocks to whoever is connected, never waiting for anybody.

`edge_runtime.cameras.virtual_camera` describes the wire. A client that does not keep up loses whole blocks; one that is
gone loses all of them: counted by reason, so that what passed adds up. It must not know what is on the pixels.

>>> port = CameraPort("top", buffer_blocks=2)
>>> port.offer(CameraBlock(0, 0, 0, np.zeros((8, 64, 3), np.uint8)), now_ns=0)
>>> port.books()
CameraBooks(name='top', passed=1, sent=0, dropped=0, absent=1, stalled=0, lost=0, repeated=0, incomplete=0)
"""

import socket
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.cameras.virtual_camera import BLOCK_HEADER, INCOMPLETE, WHOLE
from edge_runtime.virtual_world_socket import WorldListener

__all__ = ["CameraBlock", "CameraBooks", "CameraPort", "CameraServer"]

_BUFFER_B: Final = 4 << 20
_LONGEST_GREETING_B: Final = 128


@dataclass(frozen=True, slots=True)
class CameraBlock:
    """A block as a camera gives it.

    Attributes:
        frame_id: number of the block since line 0 of the world.
        first_line: absolute.
        exposed_ns: when its first line passed, on the monotonic clock.
        pixels: (H, W, C) uint8, contiguous; not changed while it waits.
    """

    frame_id: int
    first_line: int
    exposed_ns: int
    pixels: NDArray[np.uint8]


class CameraBooks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of the blocks of one camera: once none waits, passed + repeated = all but these and incomplete.

    Attributes:
        name: of the camera.
        passed: blocks that passed it.
        sent: given whole to the client's socket.
        dropped: the client did not keep up.
        absent: nobody was connected.
        stalled: the camera was told to send nothing.
        lost: on their way when the client went.
        repeated: queued a second time, as told.
        incomplete: of those queued, with pixels missing, as told.
    """

    name: str
    passed: int
    sent: int
    dropped: int
    absent: int
    stalled: int
    lost: int
    repeated: int
    incomplete: int


class CameraPort:
    """One camera: at most one client, and what waits for it.

    Attributes:
        has_connected: somebody was there once.
        repeat_next: send the next block twice.
        spoil_next: send the next block with pixels missing.
        stalled_until_ns: send nothing before that time.
        gone_until_ns: take no client before that time.

    Args:
        name: of the camera.
        buffer_blocks: blocks that may wait for a client, >= 1.
    """

    def __init__(self, name: str, *, buffer_blocks: int) -> None:
        self.name = name
        self.has_connected = self.repeat_next = self.spoil_next = False
        self.stalled_until_ns = self.gone_until_ns = 0
        self._most_waiting = 2 * buffer_blocks
        self._client: socket.socket | None = None
        self._waiting: deque[memoryview] = deque()  # header, pixels, header, pixels, ...
        self._passed = self._sent = self._dropped = self._absent = self._stalled = self._lost = 0
        self._repeated = self._incomplete = 0

    @property
    def client(self) -> socket.socket | None:
        """Return who is connected."""
        return self._client

    @property
    def is_behind(self) -> bool:
        """Tell whether bytes wait for the client to read."""
        return bool(self._waiting)

    def books(self) -> CameraBooks:
        """Return the books."""
        counts = (self._passed, self._sent, self._dropped, self._absent, self._stalled, self._lost)
        return CameraBooks(self.name, *counts, self._repeated, self._incomplete)

    def connect(self, client: socket.socket) -> None:
        """Serve this client; one that was there before is let go."""
        self.disconnect()
        self._client = client
        self.has_connected = True

    def disconnect(self) -> None:
        """Let the client go, if there is one; what waits for it is lost."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self._lost += (len(self._waiting) + 1) // 2
        self._waiting.clear()

    def offer(self, block: CameraBlock, now_ns: int) -> None:
        """Send a block that has passed, as far as there is a client, room and no fault."""
        self._passed += 1
        if now_ns < self.stalled_until_ns:
            self._stalled += 1
        elif self._client is None:
            self._absent += 1
        elif len(self._waiting) + 2 > self._most_waiting:
            self._dropped += 1
        else:
            self._queue(block)
            self.send()

    def send(self) -> None:
        """Send what waits, as far as there is room."""
        while self._waiting and self._client is not None:
            view = self._waiting[0]
            try:
                count = self._client.send(view)
            except BlockingIOError:
                return
            except OSError:
                self.disconnect()
                return
            if count < len(view):
                self._waiting[0] = view[count:]
                return
            self._waiting.popleft()
            if len(self._waiting) % 2 == 0:
                self._sent += 1

    def hear(self) -> None:
        """Notice a client that is gone; what else it says means nothing."""
        if self._client is None:
            return
        try:
            if not self._client.recv(64):
                self.disconnect()
        except BlockingIOError:
            return
        except OSError:
            self.disconnect()

    def _queue(self, block: CameraBlock) -> None:
        pixels, magic = block.pixels, WHOLE
        if self.spoil_next:
            self.spoil_next = False
            self._incomplete += 1
            magic, pixels = INCOMPLETE, pixels.copy()
            pixels[len(pixels) * 3 // 4 :] = 0
        shape = (int(side) for side in pixels.shape)
        header = BLOCK_HEADER.pack(magic, block.frame_id, block.first_line, *shape, block.exposed_ns)
        views = (memoryview(header), pixels.reshape(-1).data)
        self._waiting.extend(views)
        if self.repeat_next:
            self.repeat_next = False
            self._repeated += 1
            self._waiting.extend(views)


class CameraServer:
    """The socket of all cameras of a world.

    Args:
        path: of the socket; one that is there is replaced.
        names: of the cameras, in the machine's order.
        buffer_blocks: blocks that may wait for a client, >= 1.

    Raises:
        StorageError: the socket cannot be made.
    """

    def __init__(self, path: Path, names: tuple[str, ...], *, buffer_blocks: int = 8) -> None:
        self.ports = tuple(CameraPort(name, buffer_blocks=buffer_blocks) for name in names)
        self._greeting: dict[socket.socket, bytearray] = {}
        self._listener = WorldListener(path)

    @property
    def has_all(self) -> bool:
        """Tell whether every camera has had a client."""
        return all(port.has_connected for port in self.ports)

    def readers(self) -> list[socket.socket]:
        """Return the sockets to look at for reading."""
        clients = [port.client for port in self.ports if port.client is not None]
        return [self._listener.socket, *self._greeting, *clients]

    def writers(self) -> list[socket.socket]:
        """Return the sockets to look at for writing."""
        return [port.client for port in self.ports if port.is_behind and port.client is not None]

    def serve(self, readable: list[socket.socket], now_ns: int) -> None:
        """Take who connects, hear who leaves, and send what waits.

        Args:
            readable: of `readers`, those with something to read.
            now_ns: for the cameras that are gone for a while.
        """
        for port in self.ports:
            if port.client in readable:
                port.hear()
            port.send()
        for client in [client for client in self._greeting if client in readable]:
            self._hear_greeting(client, now_ns)
        if self._listener.socket in readable and (newcomer := self._listener.accept()):
            newcomer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_B)
            self._greeting[newcomer] = bytearray()

    def take_away(self, camera: int, until_ns: int) -> None:
        """Close a camera's connection and take no other before that time."""
        self.ports[camera].disconnect()
        self.ports[camera].gone_until_ns = until_ns

    def close(self) -> None:
        """Let every client go and remove the socket; twice is harmless."""
        for port in self.ports:
            port.disconnect()
        for client in self._greeting:
            client.close()
        self._greeting.clear()
        self._listener.close()

    def _hear_greeting(self, client: socket.socket, now_ns: int) -> None:
        """Take `camera NAME` and hand the client to its camera; anything else ends it."""
        text = self._greeting[client]
        try:
            data = client.recv(_LONGEST_GREETING_B - len(text))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        text += data
        if data and not text.endswith(b"\n") and len(text) < _LONGEST_GREETING_B:
            return
        del self._greeting[client]
        words = text.decode(errors="replace").split()
        port = next((port for port in self.ports if words == ["camera", port.name]), None)
        if not data or port is None or now_ns < port.gone_until_ns:
            client.close()
            return
        port.connect(client)
