"""Progress on stderr: a moving line on a terminal, one line an event otherwise, nothing when quiet."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from trainer.pool.round_record import RoundRecord

__all__ = ["TerminalProgress"]


class TerminalProgress:
    """Shows an import or a run; use it in a `with` statement.

    Args:
        quiet: show nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(file=sys.stderr, quiet=quiet)
        columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        is_live = self._console.is_terminal and not quiet
        self._bars = Progress(*columns, console=self._console, transient=True, disable=not is_live)
        self._task: tuple[str, TaskID] | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take note that `done` of `total` things of a stage are done."""
        self.step(stage, done, total)

    def step(self, what: str, done: int, total: int) -> None:
        """Take note that `done` of `total` things of `what` are done."""
        if self._task is None or self._task[0] != what:
            if self._task is not None:
                self._bars.remove_task(self._task[1])
            self._task = (what, self._bars.add_task(what, total=total))
        self._bars.update(self._task[1], completed=done, total=total)

    def round_done(self, record: RoundRecord, seconds: float) -> None:
        """Show a finished round as one line."""
        self.say(
            f"round {record.number:>2}: {record.training_samples:>6} samples in training, "
            f"{record.residual:>6} still wrong, validation macro-F1 {record.macro_f1:.4f}, "
            f"worst recall {record.worst_class_recall:.3f}, {seconds:.1f} s"
        )

    def say(self, text: str) -> None:
        """Show one line that stays."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)  # a log file has no width
