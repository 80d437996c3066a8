"""A local socket that a virtual world listens at. Knows nothing of what is said there.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     listener = WorldListener(Path(folder) / "world.ctl")
...     print(listener.accept())
...     listener.close()
None
"""

import contextlib
import socket
from pathlib import Path

from edge_runtime.errors import StorageError

__all__ = ["WorldListener"]


class WorldListener:
    """The listening end; it waits for nobody.

    Args:
        path: of the socket; one that is there is replaced.

    Raises:
        StorageError: the socket cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.unlink(missing_ok=True)
            self.socket.bind(str(path))
            self.socket.listen()
        except OSError as error:
            self.socket.close()
            raise StorageError(f"socket {path} cannot be made: {error.strerror or error}") from error
        self.socket.setblocking(False)

    def accept(self) -> socket.socket | None:
        """Return who has connected, not blocking; None where nobody has, or it is gone already."""
        try:
            client, _ = self.socket.accept()
        except OSError:
            return None
        client.setblocking(False)
        return client

    def close(self) -> None:
        """Listen no more and remove the socket; twice is harmless."""
        self.socket.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
