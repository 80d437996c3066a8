"""Which model sorts: two sets of workers, one that sorts and one that is warm, and the change between them.

A new folder is tried in processes of its own while sorting goes on: the gate first, then the workers' own golden crops.
Only then is each capture told to announce to the other set, from its next frame on: a frame has one worker, and a
worker one model. Knows how a set is changed; what a set's processes are is told to it.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final, Literal

import msgspec
import structlog

from edge_runtime.errors import ConfigError, ModelFolderError
from edge_runtime.live.commands import CommandReply
from edge_runtime.live.messages import Announce, NewOrigin
from edge_runtime.live.roles import Roles
from edge_runtime.live.supervisor import Supervisor
from edge_runtime.residual import Origin
from firmware_bridge.clock import NS_PER_S, Clock

__all__ = ["ModelSet", "ModelSets"]

_GATE_NS: Final = 120 * NS_PER_S  # a gate takes seconds; one on a disk that hangs shall not hold up the next swap
_log = structlog.get_logger(__name__)


class ModelSet(msgspec.Struct, frozen=True):
    """A model folder and what its records are marked with."""

    model: Path
    origin: Origin


class ModelSets:
    """The sets of one run.

    Args:
        supervisor: of the run.
        roles: of the run.
        first: what the run begins with; its workers are set 0.
        origin_of: what records of a model are marked with.
        clock: monotonic.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        roles: Roles,
        first: ModelSet,
        origin_of: Callable[[Path], Origin],
        clock: Clock,
    ) -> None:
        self._supervisor = supervisor
        self._roles = roles
        self._clock = clock
        self._sets: list[ModelSet | None] = [first, None]
        self._origin_of = origin_of
        self._state: Literal["idle", "gating", "starting"] = "idle"
        self._gate: _Gate | None = None
        self._wanted: ModelSet | None = None
        self.active = 0
        self.swaps = 0
        self.told = "no swap yet"

    @property
    def model_id(self) -> str:
        """Return which model sorts."""
        found = self._sets[self.active]
        assert found is not None, "the active set has a model"
        return found.origin.model_id

    def origins(self) -> dict[int, Origin]:
        """Return what the records of each set are marked with."""
        return {index: one.origin for index, one in enumerate(self._sets) if one is not None}

    def swap(self, model: Path) -> CommandReply:
        """Begin to change to a model; the set that is warm now is given up for it."""
        if self._state != "idle":
            return CommandReply("refused", "a swap is under way; ask again when it is done")
        try:
            self._wanted = ModelSet(model, self._origin_of(model))
        except (ModelFolderError, ConfigError) as error:
            self.told = str(error)
            return CommandReply("refused", self.told)
        self._gate = _Gate(model, until_ns=self._clock.monotonic_ns() + _GATE_NS)
        self._state, self.told = "gating", f"{model} is being tried"
        return CommandReply("begun", self.told)

    def back(self) -> CommandReply:
        """Change to the set that is warm."""
        other = self._sets[1 - self.active]
        if self._state == "starting" or other is None:
            return CommandReply("refused", "no other model is warm")
        if not self._supervisor.are_ready(self._roles.worker_names(1 - self.active)):
            return CommandReply("refused", "the other model's workers are not ready")
        self._activate(1 - self.active)
        return CommandReply("done", self.told)

    def look(self) -> None:
        """Go on with a swap that is under way; it waits for nothing."""
        match self._state:
            case "gating":
                self._look_at_gate()
            case "starting":
                self._look_at_start()
            case _:
                pass

    def close(self) -> None:
        """Give up a swap that is under way."""
        if self._gate is not None:
            self._gate.close()

    def _look_at_gate(self) -> None:
        assert self._gate is not None and self._wanted is not None, "gating"
        fault = self._gate.fault(now_ns=self._clock.monotonic_ns())
        if fault is None:
            return
        self._gate.close()
        self._gate = None
        if fault:
            self._refuse(fault)
            return
        other = 1 - self.active
        workers = self._roles.workers(other, self._wanted.model, self._wanted.origin.model_id)
        self._supervisor.fill(self._roles.worker_names(other), workers)
        self._state = "starting"

    def _look_at_start(self) -> None:
        assert self._wanted is not None, "starting"
        other = 1 - self.active
        names = self._roles.worker_names(other)
        if failure := self._supervisor.take_failure(names):
            self._supervisor.fill(names, [])
            self._sets[other] = None
            self._refuse(failure)
        elif self._supervisor.are_ready(names) and self._supervisor.record(NewOrigin(other, self._wanted.origin)):
            self._sets[other] = self._wanted  # the recorder learns it before the first of its records
            self._state, self._wanted = "idle", None
            self._activate(other)

    def _activate(self, index: int) -> None:
        self.active = index
        self.swaps += 1
        self.told = f"model {self.model_id[:12]} sorts"
        self._supervisor.stand_by(self._roles.worker_names(1 - index))
        self._supervisor.tell("capture", Announce(index))
        _log.info("run.swapped", model_id=self.model_id, swaps=self.swaps)

    def _refuse(self, why: str) -> None:
        self._state, self._wanted, self.told = "idle", None, f"refused: {why}"
        _log.error("run.swap_refused", why=why)


class _Gate:
    """A model folder that is being tried, in a process of its own: `sortloop-edge check`."""

    def __init__(self, model: Path, *, until_ns: int) -> None:
        self._until_ns = until_ns
        self._text: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - `close` does; a pipe nobody empties would block
        command = [sys.executable, "-m", "edge_runtime", "check", "--model", str(model)]
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._text
        )

    def fault(self, *, now_ns: int) -> str | None:
        """Return what is wrong with the folder; empty for nothing, None while it is being tried."""
        code = self._process.poll()
        if code is None:
            return None if now_ns < self._until_ns else f"not done after {_GATE_NS // NS_PER_S} s: is its disk there?"
        self._text.seek(0)
        return "" if code == 0 else self._text.read().decode("utf-8", "replace").strip() or f"exit {code}"

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._text.close()
