"""Processes that measure themselves when asked, so that several can take turns: one JSON value a line, both ways."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

__all__ = ["Child", "serve"]

_HERE: Final = Path(__file__).parent


class Child:
    """A script of this folder in a process of its own; use it in a `with` statement.

    Args:
        script: file name; it ends in `serve`.
        arguments: of the script.
    """

    def __init__(self, script: str, *arguments: str) -> None:
        self._script = script
        command = [sys.executable, str(_HERE / script), *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def ask(self, question: Any) -> Any:
        """Return the child's answer.

        Raises:
            RuntimeError: it ended instead; why stands on stderr.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._script} ended with {self._process.wait()} at {question}")
        return json.loads(answer)


def serve(answer: Callable[[Any], Any]) -> None:
    """Answer questions from stdin until it ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()
