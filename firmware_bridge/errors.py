"""Every error that leaves this package.

ProductError
└── BridgeError                  4
    ├── MessageError             4  bytes or values break a message's layout
    ├── TransportError           4  the port cannot be opened, read or written
    │   └── TransportClosedError 4  one end is gone
    ├── LinkTimeoutError         4  the controller did not answer in time
    ├── ProtocolVersionError     4  no protocol version in common
    ├── LinkDownError            4  the session ended while a call waited for it
    ├── SelftestRefusedError     4  the controller does not try its valves now
    ├── ArmRefusedError          7  the line is too slow or too uneven to fire in time
    ├── BeltError                4  the encoder's counts allow no forecast
    ├── TrafficFileError         5  a recording cannot be written or read
    ├── ConfigRefusedError       3  the controller keeps another value, or its checksum differs
    ├── TableError               3  sel1.toml is no table of messages
    ├── NativeUnavailableError   3  the C code cannot be compiled or loaded here
    └── LinkStateError           2  a call in a state that does not allow it

The number is the exit code of a command that ends with this error. Each message says what happened, with the value and
the limit; `remedy` is one sentence on what to do about it.

>>> LinkTimeoutError("no IDENT within 2.0 s").exit_code
4
"""

from typing import ClassVar

from firmware_bridge.product_error import ProductError

__all__ = [
    "ArmRefusedError",
    "BeltError",
    "BridgeError",
    "ConfigRefusedError",
    "LinkDownError",
    "LinkStateError",
    "LinkTimeoutError",
    "MessageError",
    "NativeUnavailableError",
    "ProtocolVersionError",
    "SelftestRefusedError",
    "TableError",
    "TrafficFileError",
    "TransportClosedError",
    "TransportError",
]


class BridgeError(ProductError):
    """Base of everything this package raises on purpose."""

    exit_code: ClassVar[int] = 4
    remedy: ClassVar[str] = "Run `sortloop-link identify` on the port to see whether the controller answers at all."


class MessageError(BridgeError):
    """A message whose bytes or values break its layout."""

    remedy = "Check that both ends speak the same protocol version; `sortloop-link identify` prints the controller's."


class TransportError(BridgeError):
    """The port cannot be opened, configured, read or written."""

    remedy = "Check the cable and the name of the port (`sortloop-link ports`), and that no other program holds it."


class TransportClosedError(TransportError):
    """One end of the transport is gone."""

    remedy = "Reconnect the cable or restart the controller, open the port again, then connect."


class LinkTimeoutError(BridgeError):
    """The controller did not answer in time."""

    remedy = "Check the controller's power, the baud rate and the wiring of both directions, then try again."


class ProtocolVersionError(BridgeError):
    """Host and controller have no protocol version in common."""

    remedy = "Update the older side: the firmware of the controller or this program."


class LinkDownError(BridgeError):
    """The session ended while a call waited for it."""

    remedy = "Connect again: a session that went down needs a new HELLO, and the machine must be armed anew."


class SelftestRefusedError(BridgeError):
    """The controller does not try its valves, or stopped half-way; none of those not answered for was moved."""

    remedy = "Stop the feeder, disarm, and ask for valves and a pulse that `sortloop-link identify` says it has."


class ArmRefusedError(BridgeError):
    """The line is too slow or too uneven for the time that decisions leave."""

    exit_code = 7
    remedy = "Use a faster line or a USB adapter with low latency, unload this computer, or allow a longer lead."


class BeltError(BridgeError):
    """The encoder's counts allow no forecast of when the belt will be somewhere."""

    remedy = "Let the belt run steadily for a second; check the encoder's wiring and the declared acceleration."


class TrafficFileError(BridgeError):
    """A recording of raw traffic cannot be written, or is none."""

    exit_code = 5
    remedy = "Check the path, the rights and the room on the disk; a recording is made under a new name each time."


class ConfigRefusedError(BridgeError):
    """The controller keeps another value than the one it was sent."""

    exit_code = 3
    remedy = "Choose a value within the controller's limits; the table of keys is in wire-protocol.md section 8."


class NativeUnavailableError(BridgeError):
    """The C code of this package cannot be compiled or loaded on this computer."""

    exit_code = 3
    remedy = "Install a C compiler (Debian, Ubuntu: `apt install gcc libc6-dev`), or use the pure-Python board."


class LinkStateError(BridgeError):
    """A call in a state that does not allow it."""

    exit_code = 2
    remedy = "Call in this order: connect, configure, arm, eject."


class TableError(BridgeError):
    """The message table is not one."""

    exit_code = 3
    remedy = "Correct sel1.toml; its first lines say how fields are written."
