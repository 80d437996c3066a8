"""What the tables of this folder share: rows as text or Markdown, and a process's own memory.

>>> print(table(("way", "ms"), [("plain", "3.1")], markdown=True), end="")
| way | ms |
|---|---|
| plain | 3.1 |
"""

import os
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "machine_line", "memory_kib", "quantiles", "table"]

ROOT: Final = Path(__file__).parents[2]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool) -> str:
    """Return rows under a head, as Markdown or in columns for a terminal."""
    if markdown:
        lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
        lines.insert(1, "|" + "---|" * len(head))
        return "\n".join(lines) + "\n"
    widths = [max(len(cells[i]) for cells in (head, *rows)) for i in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        for cells in (head, *rows)
    ]
    return "\n".join(lines) + "\n"


def memory_kib() -> dict[str, int]:
    """Return resident memory of this process in KiB: VmRSS now, VmHWM at its highest, RssAnon its own share now."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if "kB" in rest}


def quantiles(values: Sequence[float], shares: Sequence[float] = (0.5, 0.99, 0.999)) -> list[float]:
    """Return, for each share, the smallest value that at least so many of the values do not exceed.

    >>> quantiles(range(1, 1001))
    [500, 990, 999]
    """
    ordered = sorted(values)
    return [ordered[max(0, ceil(round(share * len(ordered), 6)) - 1)] for share in shares]


def machine_line() -> str:
    """Return cores and load: figures of a busy machine are worth less."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} at the end\n"
