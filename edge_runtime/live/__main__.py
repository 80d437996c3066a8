"""The entry of every process under the supervisor: `python -m edge_runtime.live ROLE PLAN`; not for people."""

import signal
import sys
from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from edge_runtime.errors import PeerGoneError
from edge_runtime.live.child import Child, ChildPlan
from edge_runtime.live.log_lines import configure_live_logs, log_crashes
from firmware_bridge.clock import SystemClock
from firmware_bridge.product_error import ProductError

__all__ = ["main"]


class _HasChild(Protocol):
    @property
    def child(self) -> ChildPlan: ...


_Plan = TypeVar("_Plan", bound=_HasChild)


def _capture(plan: bytes) -> None:
    from edge_runtime.live.capture import CapturePlan, run_capture  # noqa: PLC0415 - a process has one role

    _run(msgspec.json.decode(plan, type=CapturePlan), run_capture)


def _vision(plan: bytes) -> None:
    from edge_runtime.live.vision import VisionPlan, run_vision  # noqa: PLC0415

    _run(msgspec.json.decode(plan, type=VisionPlan), run_vision)


def _bridge(plan: bytes) -> None:
    from edge_runtime.live.bridge import BridgePlan, run_bridge  # noqa: PLC0415

    _run(msgspec.json.decode(plan, type=BridgePlan), run_bridge)


def _recorder(plan: bytes) -> None:
    from edge_runtime.live.recorder import RecorderPlan, run_recorder  # noqa: PLC0415

    _run(msgspec.json.decode(plan, type=RecorderPlan), run_recorder)


def _services(plan: bytes) -> None:
    from edge_runtime.live.services import ServicesPlan, run_services  # noqa: PLC0415

    _run(msgspec.json.decode(plan, type=ServicesPlan), run_services)


def _run(plan: _Plan, role: Callable[[_Plan, Child], None]) -> None:
    clock = SystemClock()
    configure_live_logs(plan.child.name, clock)
    log_crashes()
    child = Child(plan.child, clock)
    try:
        role(plan, child)
    except PeerGoneError as error:
        sys.exit(error.exit_code)
    except ProductError as error:
        child.failed(error)
        sys.exit(error.exit_code)


def main() -> None:
    """Run one role.

    Raises:
        SystemExit: with the error's exit code, where the role cannot go on.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a service manager sends it to all at once; the supervisor says when
    roles = {
        "capture": _capture,
        "vision": _vision,
        "bridge": _bridge,
        "recorder": _recorder,
        "services": _services,
    }
    roles[sys.argv[1]](sys.argv[2].encode())


if __name__ == "__main__":
    main()
