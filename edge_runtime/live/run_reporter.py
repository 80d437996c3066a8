"""What the supervisor tells others once a second: the service manager in one line, the services process in full.

Knows no process. A report that cannot be made now is made a second later.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import structlog

from edge_runtime.errors import OverloadError
from edge_runtime.live.bulletin import Bulletin
from edge_runtime.live.run_report import LiveReport
from edge_runtime.live.run_text import run_line
from edge_runtime.live.systemd_notify import SystemdNotify, watchdog_period_s
from firmware_bridge.clock import NS_PER_S, Clock

__all__ = ["RunReporter"]

_EVERY_NS: Final = NS_PER_S
_log = structlog.get_logger(__name__)


class RunReporter:
    """Reports a run for as long as it goes on.

    Args:
        report: makes a report of the run as it is now.
        environ: as the process was started with.
        clock: monotonic.

    Raises:
        OverloadError: there is no memory left for the bulletin.
    """

    def __init__(self, report: Callable[[], LiveReport], environ: Mapping[str, str], clock: Clock) -> None:
        self.bulletin = Bulletin.create()
        self._report = report
        self._clock = clock
        self._notify = SystemdNotify(environ)
        self._alive_ns = round((watchdog_period_s(environ) or 0) * NS_PER_S)
        self._next_report_ns = self._next_alive_ns = clock.monotonic_ns()
        self._has_begun = False

    def look(self, *, is_sorting: bool) -> None:
        """Report what is due; call it as often as the run is looked at.

        Args:
            is_sorting: the run has begun to sort; said once, it stays said.
        """
        now_ns = self._clock.monotonic_ns()
        if is_sorting and not self._has_begun:
            self._has_begun = True
            self._notify.ready("sorting")
            self._next_report_ns = now_ns
        if self._alive_ns and now_ns >= self._next_alive_ns:
            self._next_alive_ns = now_ns + self._alive_ns
            self._notify.watchdog()
        if now_ns >= self._next_report_ns:
            self._next_report_ns = now_ns + _EVERY_NS
            self._tell(now_ns)

    def stopping(self) -> None:
        """Say that the run ends."""
        self._notify.stopping("stopping: feeder off, belt runs empty")

    def close(self) -> None:
        """Give up the memory and the way to the service manager."""
        self._notify.close()
        self.bulletin.memory.close()

    def _tell(self, now_ns: int) -> None:
        try:
            report = self._report()
        except OverloadError as error:
            _log.warning("run.not_reported", error=str(error))
            return
        self._notify.status(run_line(report))
        if not self.bulletin.post(msgspec.json.encode(report), now_ns=now_ns):
            _log.warning("run.report_too_long")
