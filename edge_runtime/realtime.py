"""What keeps a sorting process punctual: a core, a priority, memory that stays, no garbage collection.

Each is asked of the operating system by itself. What it refuses is told with the reason and with what would grant it,
and the process goes on without: a desk without permissions sorts too, only less evenly. Knows no frames and no clock.

>>> class Desk(LinuxSystem):
...     def raise_priority(self, priority: int) -> None:
...         raise PermissionError(1, "Operation not permitted")
...     def lock_memory(self) -> None: ...
...     def keep_heap(self) -> None: ...
...     def hold_garbage(self) -> None: ...
...     def stay_single(self) -> None: ...
>>> enter_realtime(RealtimeSettings(priority=50), Desk()).refused
{'priority': 'Operation not permitted: run as root, or give the service LimitRTPRIO=99; priorities are 1 to 99'}
"""

import ctypes
import gc
import os
from collections.abc import Callable
from typing import Annotated, Final, Literal, Protocol

import msgspec

__all__ = ["Grants", "LinuxSystem", "RealtimeSettings", "RealtimeStep", "RealtimeSystem", "enter_realtime"]

RealtimeStep = Literal["core", "priority", "memory", "heap", "garbage", "threads"]

_REMEDIES: Final[dict[RealtimeStep, str]] = {
    "core": "name one of the cores that this process may use",
    "priority": "run as root, or give the service LimitRTPRIO=99; priorities are 1 to 99",
    "memory": "run as root, or give the service LimitMEMLOCK=infinity",
    "heap": "only glibc can be told to keep its heap",
    "garbage": "nothing can be done",
    "threads": "nothing can be done",
}
# /usr/include/malloc.h and /usr/include/x86_64-linux-gnu/bits/mman-linux.h; the same on ARM.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2
_MCL_ONFAULT: Final = 4
_LARGEST_KEPT_B: Final = 32 << 20  # glibc takes no larger threshold; a frame of 16384 x 512 in three bands is 24 MiB
_NEVER_TRIM_B: Final = 2**31 - 1


class RealtimeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to ask for.

    Attributes:
        core: core to stay on, counted from 0; null leaves the choice to the system.
        priority: 1 to 99 among the processes that run before all others (SCHED_FIFO); 0 stays an ordinary process.
        is_memory_locked: what was touched once is never paged out.
    """

    core: Annotated[int, msgspec.Meta(ge=0, le=4095)] | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=99)] = 0
    is_memory_locked: bool = True


class Grants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of each thing asked for, in the order of asking.

    Attributes:
        granted: what holds now.
        refused: why not, and what would grant it.
    """

    granted: tuple[RealtimeStep, ...]
    refused: dict[RealtimeStep, str]


class RealtimeSystem(Protocol):
    """What the operating system may grant; each method raises OSError where it does not."""

    def pin(self, core: int) -> None:
        """Keep this process on one core."""
        ...

    def raise_priority(self, priority: int) -> None:
        """Let the calling thread run before every ordinary process, until it waits."""
        ...

    def lock_memory(self) -> None:
        """Keep every page that was or will be touched."""
        ...

    def keep_heap(self) -> None:
        """Let freed memory stay with the process, so that the next frame finds it mapped."""
        ...

    def hold_garbage(self) -> None:
        """Switch the search for reference cycles off."""
        ...

    def stay_single(self) -> None:
        """Let OpenCV compute in the calling thread only."""
        ...


class LinuxSystem:
    """This computer."""

    def pin(self, core: int) -> None:
        """Keep this process on one core.

        Raises:
            OSError: there is no such core, or the process may not use it.
        """
        os.sched_setaffinity(0, {core})

    def raise_priority(self, priority: int) -> None:
        """Let the calling thread run before every ordinary process, until it waits; children start as ordinary ones.

        Raises:
            OSError: the process lacks the permission, or there is no such priority.
        """
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))

    def lock_memory(self) -> None:
        """Keep every page that was or will be touched; pages never touched take no memory.

        Raises:
            OSError: the process lacks the permission, or may not lock as much.
        """
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def keep_heap(self) -> None:
        """Let freed memory of up to 32 MiB a piece stay with the process.

        Raises:
            OSError: this is another C library than glibc.

        Note:
            As shipped, glibc gives the large buffers of a frame back to the system when it is done, and the next frame
            gets pages that the system clears one by one when they are first written to.
        """
        libc = ctypes.CDLL(None)
        if not hasattr(libc, "mallopt"):
            raise OSError(0, "this C library has no mallopt")
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_B)
        libc.mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM_B)

    def hold_garbage(self) -> None:
        """Switch the search for reference cycles off; what has none is freed as before.

        Note:
            The stages make no cycles. A shell that does calls `gc.collect()` while it waits for a frame.
        """
        gc.collect()
        gc.freeze()
        gc.disable()

    def stay_single(self) -> None:
        """Let OpenCV compute in the calling thread only.

        Note:
            Its helpers have no priority: a sorting thread that waits for one of them waits for every other process.
        """
        import cv2  # noqa: PLC0415 - takes as long to import as everything else here

        cv2.setNumThreads(1)


def enter_realtime(asked: RealtimeSettings, system: RealtimeSystem | None = None) -> Grants:
    """Ask the system for everything that keeps this process punctual.

    Args:
        asked: core, priority, memory; heap, garbage and threads are always asked for.
        system: None takes this computer.

    Returns:
        What was granted and what was refused; nothing is taken back when something is refused.

    Note:
        Call it in the thread that sorts, when the model is open and before the first frame; then sort a few frames
        whose decisions are dropped, so that every buffer has its pages.
    """
    refused: dict[RealtimeStep, str] = {}
    granted: list[RealtimeStep] = []
    for step, ask in _requests(asked, system or LinuxSystem()).items():
        try:
            ask()
            granted.append(step)
        except OSError as error:
            refused[step] = f"{error.strerror}: {_REMEDIES[step]}"
    return Grants(tuple(granted), refused)


def _requests(asked: RealtimeSettings, system: RealtimeSystem) -> dict[RealtimeStep, Callable[[], None]]:
    """Return what to call; the priority comes last, so that nothing slow is done with it."""
    requests: dict[RealtimeStep, Callable[[], None]] = {
        "heap": system.keep_heap,
        "garbage": system.hold_garbage,
        "threads": system.stay_single,
    }
    core, priority = asked.core, asked.priority
    if asked.is_memory_locked:
        requests["memory"] = system.lock_memory
    if core is not None:
        requests["core"] = lambda: system.pin(core)
    if priority > 0:
        requests["priority"] = lambda: system.raise_priority(priority)
    return requests
