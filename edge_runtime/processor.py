"""Which kind of processor this is, as far as integer arithmetic cares.

>>> kind_of("x86_64", frozenset({"avx2", "avx512_vnni"}))
'x86_64-vnni'
>>> kind_of("aarch64", frozenset({"asimd", "asimddp"}))
'aarch64-dotprod'
"""

import platform
from functools import lru_cache
from pathlib import Path
from typing import Final

__all__ = ["kind_of", "processor_flags", "processor_kind", "sums_may_overflow"]

_CPUINFO: Final = Path("/proc/cpuinfo")
_FLAG_LINES: Final = ("flags", "Features")  # of x86 and of ARM
_KINDS: Final = (  # the first flag found names the kind
    ("avx512_vnni", "vnni"),
    ("avx_vnni", "vnni"),
    ("avx2", "avx2"),
    ("i8mm", "i8mm"),
    ("asimddp", "dotprod"),
)


@lru_cache(maxsize=1)
def processor_kind() -> str:
    """Return the kind of this computer's processor; just its machine name where the system tells no flags."""
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return kind_of(platform.machine() or "unknown", processor_flags(text))


def processor_flags(cpuinfo: str) -> frozenset[str]:
    """Return the flags that every core of /proc/cpuinfo has: a slow core beside fast ones decides."""
    cores = [
        frozenset(flags.split())
        for name, found, flags in (line.partition(":") for line in cpuinfo.splitlines())
        if found and name.strip() in _FLAG_LINES
    ]
    return frozenset.intersection(*cores) if cores else frozenset()


def kind_of(machine: str, flags: frozenset[str]) -> str:
    """Return machine name and, after a hyphen, the best integer instructions of `flags`, if it has any."""
    extras = [extra for flag, extra in _KINDS if flag in flags]
    return f"{machine}-{extras[0]}" if extras else machine


def sums_may_overflow(kind: str) -> bool:
    """Tell whether products of 8 bits are added in 16 bits here, so that two large ones do not fit.

    x86 without VNNI: unsigned pixels times signed weights saturate at 32767. There onnxruntime must be told to take
    wider products, or it gives other classes without a word (docs/int8.md).
    """
    return kind.startswith(("x86_64", "AMD64", "i686")) and not kind.endswith("-vnni")
