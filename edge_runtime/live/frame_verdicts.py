"""Which frames of one camera are still open, and when nobody will decide about one any more. Pure.

>>> verdicts = FrameVerdicts(limit_ns=100)
>>> verdicts.see(2, now_ns=0)
>>> verdicts.claim(0, worker=7)
>>> verdicts.lose_worker(7, now_ns=10), verdicts.settle(1), verdicts.open_frames
([0], True, 0)
"""

from dataclasses import dataclass

from edge_runtime.live.books import Missing

__all__ = ["FrameVerdicts"]


@dataclass(slots=True)
class _Open:
    seen_ns: int
    worker: int | None = None
    is_inherited: bool = False


class FrameVerdicts:
    """Open frames, by number. Each leaves exactly once: settled, lost with its worker, or overdue.

    Args:
        limit_ns: so long after a frame was seen its objects have passed the valves.
        first: number of the first frame that may be open.
    """

    def __init__(self, limit_ns: int, first: int = 0) -> None:
        self._limit_ns = limit_ns
        self._next = first
        self._open: dict[int, _Open] = {}  # in the order of their numbers
        self._lost_ns: int | None = None

    @property
    def open_frames(self) -> int:
        """Return how many frames have no verdict."""
        return len(self._open)

    def inherit(self, published: int, now_ns: int) -> None:
        """Take over the frames that were there before this object: a bridge that is gone may have read their news."""
        self._take(published, now_ns, is_inherited=True)

    def see(self, published: int, now_ns: int) -> None:
        """Learn how many frames there are by now."""
        self._take(published, now_ns, is_inherited=False)

    def claim(self, number: int, worker: int) -> None:
        """Note who sorts a frame; a frame with a verdict stays as it is."""
        if number in self._open:
            self._open[number].worker = worker

    def settle(self, number: int) -> bool:
        """Take a frame's verdict; False where it has one already, and this one comes too late to count."""
        return self._open.pop(number, None) is not None

    def lose_worker(self, worker: int, now_ns: int) -> list[int]:
        """Return, and forget, the frames that a worker had claimed which is gone."""
        self._lost_ns = now_ns
        lost = [number for number, frame in self._open.items() if frame.worker == worker]
        for number in lost:
            del self._open[number]
        return lost

    def overdue(self, now_ns: int) -> list[tuple[int, Missing]]:
        """Return, and forget, the frames whose objects have passed, with the reason why nobody decided."""
        found: list[tuple[int, Missing]] = []
        for number, frame in self._open.items():
            if now_ns - frame.seen_ns < self._limit_ns:
                break
            found.append((number, self._reason(frame)))
        for number, _ in found:
            del self._open[number]
        return found

    def _take(self, published: int, now_ns: int, *, is_inherited: bool) -> None:
        for number in range(self._next, published):
            self._open[number] = _Open(now_ns, is_inherited=is_inherited)
        self._next = max(self._next, published)

    def _reason(self, frame: _Open) -> Missing:
        if frame.worker is None and self._lost_ns is not None and self._lost_ns >= frame.seen_ns:
            return "worker_lost"  # it took the frame and died before it could say so
        return "bridge_lost" if frame.is_inherited else "late"
