"""SIGTERM and Ctrl-C as a question that a loop can ask.

>>> with StopSignals() as signals:
...     signals.has_come()
False
"""

import signal
from contextlib import ExitStack
from types import FrameType
from typing import Self

__all__ = ["StopSignals"]


class StopSignals:
    """Takes both signals while it is entered; from the main thread only."""

    def __init__(self) -> None:
        self._has_come = False
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._undo.callback(signal.signal, number, signal.signal(number, self._on_signal))
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def has_come(self) -> bool:
        """Tell whether one of them has come."""
        return self._has_come

    def _on_signal(self, _: int, __: FrameType | None) -> None:
        self._has_come = True
