"""What the operating system says about a port: is it there, may one use it, who holds it, how it is held back.

The folders of the system are arguments, so that a test can bring its own. It opens nothing.

>>> port_facts("tcp://127.0.0.1:7000").kind
<PortKind.TCP: 'tcp'>
"""

import errno
import grp
import os
import socket
import stat
from enum import Enum
from pathlib import Path
from typing import Final

import msgspec

from firmware_bridge.errors import TransportError
from firmware_bridge.transport_open import VIRTUAL

__all__ = ["PortFacts", "PortKind", "PortTrouble", "port_facts", "port_holders", "port_trouble", "stable_name"]

_BY_ID: Final = Path("/dev/serial/by-id")
_SYS_TTY: Final = Path("/sys/class/tty")
_PROC: Final = Path("/proc")
_TROUBLE: Final = {
    errno.ENOENT: "missing",
    errno.ENXIO: "missing",
    errno.ENODEV: "missing",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EAGAIN: "busy",
    errno.EBUSY: "busy",
    errno.ENOTTY: "no_terminal",
    errno.ECONNREFUSED: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ETIMEDOUT: "unreachable",
}


class PortKind(Enum):
    """What the name of a port stands for."""

    SERIAL = "serial"
    TCP = "tcp"
    VIRTUAL = "virtual"


class PortTrouble(Enum):
    """Why a port cannot be opened."""

    MISSING = "missing"
    DENIED = "denied"
    BUSY = "busy"
    NO_TERMINAL = "no_terminal"
    UNREACHABLE = "unreachable"
    OTHER = "other"


class PortFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One port, before it is opened.

    Attributes:
        port: the name that was given.
        kind: what it stands for.
        stable_name: another name of the device that stays the same after a replug, None where there is none.
        is_stable: the given name stays the same after a replug.
        group: the group that may use the device, None where it has none or there is no device.
        latency_timer_ms: how long the adapter may hold bytes back, None where it has no such timer.
        device_name: the kernel's name of it, "" where it is no device.
    """

    port: str
    kind: PortKind
    stable_name: str | None = None
    is_stable: bool = True
    group: str | None = None
    latency_timer_ms: int | None = None
    device_name: str = ""


def port_facts(port: str, *, by_id: Path = _BY_ID, sys_tty: Path = _SYS_TTY) -> PortFacts:
    """Return what is known about a port without opening it.

    Args:
        port: as for `open_transport`.
        by_id: folder of the stable names.
        sys_tty: folder of the system's terminals.
    """
    if port == VIRTUAL:
        return PortFacts(port=port, kind=PortKind.VIRTUAL)
    if "://" in port:
        return PortFacts(port=port, kind=PortKind.TCP)
    device = Path(port).resolve()
    found = stable_name(port, by_id=by_id)
    return PortFacts(
        port=port,
        kind=PortKind.SERIAL,
        stable_name=found,
        is_stable=found is None or Path(port).is_symlink(),
        group=_group_of(device),
        latency_timer_ms=_number_in(sys_tty / device.name / "device" / "latency_timer"),
        device_name=device.name,
    )


def stable_name(port: str, *, by_id: Path = _BY_ID) -> str | None:
    """Return the name below `by_id` that points to the same device, None where there is none."""
    device = Path(port).resolve()
    try:
        names = sorted(by_id.iterdir())
    except OSError:
        return None
    return next((str(name) for name in names if name.resolve() == device), None)


def port_trouble(error: TransportError) -> PortTrouble:
    """Return why `open_transport` failed, from the system's error behind it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TimeoutError | socket.gaierror):
            return PortTrouble.UNREACHABLE
        number = cause.args[0] if cause.args else None  # of an OSError, and of termios.error, which is none
        if number in _TROUBLE:
            return PortTrouble(_TROUBLE[number])
        cause = cause.__cause__ or cause.__context__
    return PortTrouble.OTHER


def port_holders(port: str, *, proc: Path = _PROC) -> tuple[str, ...]:
    """Return the other processes that have the device open, as far as this user may see, as `name (pid N)`."""
    device = Path(port).resolve()
    own = str(os.getpid())
    folders = sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name))
    holding = [folder for folder in folders if folder.name != own and _has_open(folder, device)]
    return tuple(f"{_text_in(folder / 'comm') or 'a program'} (pid {folder.name})" for folder in holding)


def _has_open(folder: Path, device: Path) -> bool:
    try:
        return any(Path(os.readlink(handle)) == device for handle in (folder / "fd").iterdir())  # noqa: PTH115 - text
    except OSError:  # it ended meanwhile, or belongs to another user
        return False


def _group_of(device: Path) -> str | None:
    try:
        status = device.stat()
        return grp.getgrgid(status.st_gid).gr_name if stat.S_ISCHR(status.st_mode) else None
    except (OSError, KeyError):
        return None


def _number_in(path: Path) -> int | None:
    text = _text_in(path)
    return int(text) if text.isascii() and text.isdigit() else None


def _text_in(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
