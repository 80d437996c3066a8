"""What a medium must do for the link: bytes out, bytes in, nothing else.

Implementations: transport_serial (a port), transport_tcp (a network peer), transport_memory (a pair in one process),
transport_board (a virtual board that is stepped while one reads), transport_recording (any of them, written down).
tests/test_firmware_bridge_transport.py holds the laws for all of them.
"""

from typing import Protocol

__all__ = ["Transport"]


class Transport(Protocol):
    """A two-way byte stream; one reader and one writer may be in different threads."""

    def read(self, max_b: int, timeout_s: float) -> bytes:
        """Return what is there, at most max_b bytes; wait at most timeout_s for the first byte, b"" if none came.

        Args:
            max_b: at least 1.
            timeout_s: 0 never waits.

        Raises:
            TransportError: the medium failed; TransportClosedError when an end is gone and nothing is left to read.
        """
        ...

    def write(self, data: bytes) -> None:
        """Hand all of `data` to the medium, in order.

        Raises:
            TransportError: the medium failed or does not take the bytes in time; TransportClosedError when an end is
                gone.
        """
        ...

    def close(self) -> None:
        """Release the medium; later reads and writes raise TransportClosedError, a second close does nothing."""
        ...
