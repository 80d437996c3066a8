"""What every process under the supervisor does besides its work: obey orders, give signs of life, say how it fares.

Knows no work. A child whose supervisor is gone learns it here (`PeerGoneError`) and ends.
"""

from collections.abc import Sequence

import msgspec

from edge_runtime.live.messages import ArmingLost, Order, ProcessFailed, ProcessReady, decode_order, encode
from edge_runtime.live.packets import Packets, wait_for
from edge_runtime.live.shared_memory import SharedMemory
from edge_runtime.live.vitals import Vitals
from edge_runtime.realtime import RealtimeSettings, RealtimeSystem, enter_realtime
from firmware_bridge.clock import Clock
from firmware_bridge.product_error import ProductError

__all__ = ["Child", "ChildPlan"]


class ChildPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the supervisor gives to every process.

    Attributes:
        number: of the process; a new one after every start.
        row: its row in the vitals.
        control_fd, vitals_fd: inherited.
        machine: machine file.
        realtime: what to ask the system for.
        name: of the place that the process fills, for the log.
    """

    number: int
    row: int
    control_fd: int
    vitals_fd: int
    machine: str
    realtime: RealtimeSettings
    name: str = ""


class Child:
    """One process's side of the bargain.

    Args:
        plan: of this process.
        clock: monotonic, the same for all processes of a computer.
    """

    def __init__(self, plan: ChildPlan, clock: Clock) -> None:
        self.clock = clock
        self.vitals = Vitals(SharedMemory.attach(plan.vitals_fd))
        self._plan = plan
        self._control = Packets.attach(plan.control_fd)
        self._row = self.vitals.row(plan.row)

    @property
    def control_fd(self) -> int:
        """Return the file descriptor that has something to read when an order has come."""
        return self._control.fileno()

    def ready(self, system: RealtimeSystem | None = None) -> None:
        """Become punctual, as far as the system grants it, and tell the supervisor that the work begins.

        Args:
            system: whom to ask; None asks this computer.

        Raises:
            PeerGoneError: the supervisor is gone.
        """
        grants = enter_realtime(self._plan.realtime, system)
        self._row.enter("working")
        self.beat()  # before the message: who is ready is watched for signs of life
        self._control.send(encode(ProcessReady({str(step): why for step, why in grants.refused.items()})))

    def failed(self, error: ProductError) -> None:
        """Tell the supervisor why this process cannot work.

        Raises:
            PeerGoneError: the supervisor is gone.
        """
        self._control.send(encode(ProcessFailed(type(error).__name__, f"{error}\n{error.remedy}")))

    def arming_lost(self, detail: str) -> None:
        """Tell the supervisor that the machine fires no more until it is wanted again.

        Raises:
            PeerGoneError: the supervisor is gone.
        """
        self._control.send(encode(ArmingLost(detail)))

    def begin_slow_work(self) -> None:
        """Say that the next sign of life may take as long as a start; `ready` or `end_slow_work` ends that."""
        self._row.enter("starting")

    def end_slow_work(self) -> None:
        """Say that signs of life come as often again."""
        self.beat()
        self._row.enter("working")

    def beat(self) -> None:
        """Give a sign of life; call it at least a few times within `live.hang_s`."""
        self._row.beat(now_ns=self.clock.monotonic_ns())

    def wait(self, inputs: Sequence[Packets], timeout_s: float) -> bool:
        """Wait until one of the inputs or an order has something to read; tell whether it is an order."""
        return self._control in wait_for([self._control, *inputs], timeout_s)

    def orders(self) -> list[Order]:
        """Return what the supervisor has ordered since the last call.

        Raises:
            PeerGoneError: the supervisor is gone.
        """
        found: list[Order] = []
        while (message := self._control.receive()) is not None:
            found.append(decode_order(message))
        return found

    def stopping(self) -> None:
        """Say that the work ends, as ordered."""
        self._row.enter("stopping")

    def close(self) -> None:
        """Give up the way to the supervisor; a process that ends need not."""
        self._control.close()
