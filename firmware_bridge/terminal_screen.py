r"""A block of lines that is drawn over itself on a terminal, with plain ANSI sequences; only its text stays behind.

>>> import io
>>> out = io.StringIO()
>>> with TerminalScreen(out, lambda: (80, 24)) as screen:
...     screen.draw(["one", "two"])
...     screen.draw(["one", "three"])
>>> out.getvalue().count("three"), out.getvalue().endswith("\x1b[?25h")
(1, True)
"""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self, TextIO

__all__ = ["TerminalScreen"]

_HIDE_CURSOR: Final = "\x1b[?25l"
_SHOW_CURSOR: Final = "\x1b[?25h"
_ERASE_TO_EOL: Final = "\x1b[K"
_ERASE_BELOW: Final = "\x1b[J"


class TerminalScreen:
    """Draws while it is open; at the end, also after Ctrl-C, the cursor is back and below the text.

    Args:
        out: the terminal.
        size: returns its columns and lines, asked at every draw: it may be resized.
    """

    def __init__(self, out: TextIO, size: Callable[[], tuple[int, int]]) -> None:
        self._out = out
        self._size = size
        self._drawn = 0

    def __enter__(self) -> Self:
        self._out.write(_HIDE_CURSOR)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._out.write(_SHOW_CURSOR)
        self._out.flush()

    def draw(self, lines: Sequence[str]) -> None:
        """Replace what was drawn before; lines that do not fit are cut, so that nothing wraps or scrolls."""
        columns, rows = self._size()
        shown = [line[: columns - 1] for line in lines[: rows - 1]]
        back = f"\x1b[{self._drawn}A" if self._drawn else ""
        body = "".join(f"{line}{_ERASE_TO_EOL}\n" for line in shown)
        self._out.write(f"\r{back}{body}{_ERASE_BELOW}")
        self._out.flush()
        self._drawn = len(shown)
