"""From news about frames to pulses that are due, and from outcomes to the books. No port, no wait.

One axis of time for pulses: microseconds of the controller since some tick of its own, not wrapped, for one session.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np

from edge_runtime.belts import SteadyBelt
from edge_runtime.decisions import Pulses
from edge_runtime.live.books import FrameBooks, ObjectEnd
from edge_runtime.live.frame_verdicts import FrameVerdicts
from edge_runtime.live.messages import FrameClaimed, FrameDecided, FrameMissed, FrameNews
from edge_runtime.live.pulse_desk import DeskRules, End, PulseDesk, TargetFrame
from edge_runtime.schedule import schedule_boxes
from edge_runtime.schemas import Camera, Machine
from firmware_bridge.clock import NS_PER_S
from firmware_bridge.link_events import EjectOutcome

__all__ = ["Firing", "StampOf", "flight_ns"]

_US_PER_S: Final = 1_000_000


class StampOf(msgspec.Struct, frozen=True):
    """When a frame's first line was exposed: microseconds on the controller's axis."""

    camera: int
    number: int
    at_us: int


class Firing:
    """Frames and objects of all cameras that have no verdict or end yet.

    Args:
        machine: lanes, ways, times.
        books: of each camera, in the machine's order; this object is the one that writes them.
        published: frames in each camera's ring when this object is made: those without a verdict are inherited.
        now_ns: host's monotonic time.
    """

    def __init__(self, machine: Machine, books: Sequence[FrameBooks], published: Sequence[int], *, now_ns: int) -> None:
        self._machine = machine
        self._books = tuple(books)
        self._belt = SteadyBelt(machine.belt_mm_s, machine.timing_spread_us)
        self._desk = PulseDesk(_rules(machine))
        self._unstamped: deque[FrameDecided] = deque()
        self._ended: list[End] = []
        self._verdicts: list[FrameVerdicts] = []
        for camera, own, count in zip(machine.cameras, self._books, published, strict=True):
            own.abandon(count)
            own.miss_below(count - machine.live.ring_frames)  # after a long time without a bridge there are many
            verdicts = FrameVerdicts(flight_ns(machine, camera), own.folded)
            self._verdicts.append(verdicts)
            verdicts.inherit(count, now_ns)
            for number in range(own.folded, count):
                if own.has_verdict(number):
                    verdicts.settle(number)

    @property
    def unstamped(self) -> Sequence[FrameDecided]:
        """Return the decided frames of which nobody knows yet when they were exposed, oldest first."""
        return tuple(self._unstamped)

    def take_ended(self) -> list[End]:
        """Return which objects have met their end since the last call, for those who record it."""
        ended, self._ended = self._ended, []
        return ended

    @property
    def has_waiting(self) -> bool:
        """Tell whether there are objects to be fired at of which the controller was not told yet."""
        return bool(self._unstamped) or self._desk.has_waiting

    def see(self, published: Sequence[int], *, now_ns: int) -> None:
        """Learn how many frames each ring has had by now; frames whose objects have passed are missing.

        Raises:
            OverloadError: frames so old are still open that the books have no room.
        """
        for verdicts, own, count in zip(self._verdicts, self._books, published, strict=True):
            verdicts.see(count, now_ns)
            for number, reason in verdicts.overdue(now_ns):
                own.miss(number, reason)
            own.fold(count)

    def on_news(self, news: FrameNews, *, now_ns: int) -> None:
        """Take what a worker says of a frame, seen or not; what comes after the frame's verdict changes nothing.

        Raises:
            OverloadError: frames so old are still open that the books have no room.
        """
        verdicts, own = self._verdicts[news.camera], self._books[news.camera]
        verdicts.see(news.number + 1, now_ns)  # a worker may be faster than the next look at the ring
        match news:
            case FrameClaimed():
                verdicts.claim(news.number, news.worker)
            case FrameMissed():
                if verdicts.settle(news.number):
                    own.miss(news.number, news.reason)
            case FrameDecided():
                if verdicts.settle(news.number):
                    ejected = len(news.boxes) // 32  # four int64 each
                    own.decide(news.number, objects=news.objects, passed=news.objects - ejected, ends={})
                    if ejected:  # a time in the future would never pass
                        self._unstamped.append(msgspec.structs.replace(news, exposed_ns=min(news.exposed_ns, now_ns)))

    def lose_worker(self, worker: int, *, now_ns: int) -> None:
        """Learn that a worker is gone; call it when all that it said before has been taken."""
        for verdicts, own in zip(self._verdicts, self._books, strict=True):
            for number in verdicts.lose_worker(worker, now_ns):
                own.miss(number, "worker_lost")

    def queue_full(self, camera: int, number: int, *, now_ns: int) -> None:
        """Learn that a frame, seen or not, was never announced."""
        self._verdicts[camera].see(number + 1, now_ns)
        if self._verdicts[camera].settle(number):
            self._books[camera].miss(number, "queue_full")

    def stamp(self, stamps: Iterable[StampOf], *, now_us: int) -> None:
        """Learn when decided frames were exposed: their pulses can be scheduled now.

        Args:
            stamps: of frames among `unstamped`.
            now_us: time on the controller's axis.
        """
        known = {(stamp.camera, stamp.number): stamp.at_us for stamp in stamps}
        for news in list(self._unstamped):
            at_us = known.get((news.camera, news.number))
            if at_us is not None:
                self._unstamped.remove(news)
                self._schedule(news, at_us, now_us)

    def give_up_unstamped(self, *, now_ns: int) -> None:
        """End the objects of frames whose stamp has not come before they passed."""
        while self._unstamped and self._has_passed(self._unstamped[0], now_ns):
            news = self._unstamped.popleft()
            self._end(_all(news, "untold"))

    def take_due(self, *, now_us: int) -> Pulses:
        """Return united pulses to be sent now; `sent` or `refuse` must come next."""
        due = self._desk.take_due(now_us=now_us)
        self._end(due.ends)
        return due.pulses

    def sent(self, evids: Sequence[int]) -> None:
        """Learn the ids of the pulses that `take_due` returned."""
        self._desk.sent(evids)

    def refuse(self) -> None:
        """Give up what `take_due` returned: the machine is not armed."""
        self._end(self._desk.refuse("unsorted"))

    def disarm(self) -> None:
        """Give up everything that was not sent yet: the machine does not fire."""
        self._end(self._desk.drop_waiting("unsorted"))
        while self._unstamped:
            news = self._unstamped.popleft()
            self._end(_all(news, "unsorted"))

    def close(self, published: Sequence[int], *, now_ns: int) -> None:
        """End what is still open and not told to the controller: nobody decides and nobody fires any more.

        Raises:
            OverloadError: frames so old are still open that the books have no room.
        """
        self.disarm()
        self.see(published, now_ns=now_ns + max(flight_ns(self._machine, camera) for camera in self._machine.cameras))

    def on_outcome(self, outcome: EjectOutcome) -> None:
        """Take what became of a pulse."""
        self._end(self._desk.on_outcome(outcome))

    def _schedule(self, news: FrameDecided, at_us: int, now_us: int) -> None:
        frame = TargetFrame(news.camera, news.number)
        boxes = np.frombuffer(news.boxes, np.dtype("<i8")).reshape(-1, 4).astype(np.int64)
        boxes[:, 1] -= news.first_line  # the stamp is that of the frame's first line
        owners = range(len(boxes))
        scheduled = schedule_boxes(self._belt, owners, boxes, self._machine, self._machine.cameras[news.camera])
        pulses = scheduled.pulses
        no_lane = set(owners) - set(pulses.objects.tolist()) - set(scheduled.untold)
        self._end([End(frame, owner, "no_lane") for owner in sorted(no_lane)])
        self._end([End(frame, owner, "untold") for owner in scheduled.untold])
        at_axis = msgspec.structs.replace(pulses, open_us=pulses.open_us + at_us)
        self._end(self._desk.add(frame, at_axis, now_us=now_us))

    def _has_passed(self, news: FrameDecided, now_ns: int) -> bool:
        return now_ns - news.exposed_ns > flight_ns(self._machine, self._machine.cameras[news.camera])

    def _end(self, ends: Iterable[End]) -> None:
        counts: dict[tuple[TargetFrame, ObjectEnd], int] = {}
        for one in ends:
            counts[one.frame, one.end] = counts.get((one.frame, one.end), 0) + 1
            self._ended.append(one)
        for (frame, end), count in counts.items():
            self._books[frame.camera].end(frame.number, end, count)


def _all(news: FrameDecided, end: ObjectEnd) -> list[End]:
    """Return one end for every object of a frame that was to be ejected."""
    frame = TargetFrame(news.camera, news.number)
    return [End(frame, owner, end) for owner in range(len(news.boxes) // 32)]  # four int64 each


def flight_ns(machine: Machine, camera: Camera) -> int:
    """Return how long an object takes from the camera's line to the valves, in nanoseconds."""
    return round(camera.to_valves_mm / machine.belt_mm_s * NS_PER_S)


def _rules(machine: Machine) -> DeskRules:
    return DeskRules(
        send_ahead_us=round(machine.live.send_ahead_ms * 1000),
        min_lead_us=round(machine.min_lead_ms * 1000),
        min_pause_us=machine.min_pause_us,
        max_pulse_us=machine.max_pulse_us,
    )
