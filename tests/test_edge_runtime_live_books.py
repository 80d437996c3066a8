"""The books of frames and objects add up after a kill between any two stores."""

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.errors import OverloadError
from edge_runtime.live.books import CameraCounts, FrameBooks, Missing, ObjectEnd
from edge_runtime.live.shared_memory import SharedMemory

ENDS: tuple[ObjectEnd, ...] = ("fired", "merged", "late", "lost")
MISSING: tuple[Missing, ...] = ("worker_lost", "late", "overrun")
Event = tuple[str, int, int, int]


def adds_up(counts: CameraCounts) -> bool:
    frames = counts.frames_in == counts.processed + sum(counts.missing.values()) + counts.open_frames
    objects = counts.objects == counts.passed + sum(counts.ends.values()) + counts.open_objects
    return frames and objects and counts.open_frames >= 0 and counts.open_objects >= 0


@st.composite
def stories(draw: st.DrawFn) -> list[Event]:
    """Draw what happens to frames 0..n: verdicts out of order, ends of open objects, folds between them."""
    count = draw(st.integers(1, 12))
    events: list[Event] = []
    for number in draw(st.permutations(range(count))):
        if draw(st.booleans()):
            objects = draw(st.integers(0, 9))
            passed = draw(st.integers(0, objects))
            events.append(("decide", number, objects, passed))
            events += [("end", number, draw(st.integers(0, len(ENDS) - 1)), 0)] * (objects - passed)
        else:
            events.append(("miss", number, draw(st.integers(0, len(MISSING) - 1)), 0))
        if draw(st.booleans()):
            events.append(("fold", count, 0, 0))
    return events


def play(books: FrameBooks, event: Event) -> None:
    what, number, one, other = event
    match what:
        case "decide":
            books.decide(number, objects=one, passed=other, ends={})
        case "end":
            books.end(number, ENDS[one])
        case "miss":
            books.miss(number, MISSING[one])
        case _:
            books.fold(number)


@given(stories())
def test_every_frame_and_object_is_counted_once(events: list[Event]) -> None:
    books = FrameBooks.create("test")
    frames = len({number for what, number, _, _ in events if what != "fold"})
    for event in events:
        play(books, event)
        assert adds_up(books.counts(frames))

    counts = books.counts(frames)
    decided = [event for event in events if event[0] == "decide"]
    assert (counts.processed, counts.open_frames, counts.open_objects) == (len(decided), 0, 0)
    assert counts.objects == sum(event[2] for event in decided)
    assert sum(counts.missing.values()) == frames - len(decided)


@given(stories())
def test_folding_changes_no_count(events: list[Event]) -> None:
    folded, plain = FrameBooks.create("folded"), FrameBooks.create("plain")
    frames = len({number for what, number, _, _ in events if what != "fold"})
    for event in events:
        play(folded, event)
        if event[0] != "fold":
            play(plain, event)

    assert folded.counts(frames) == plain.counts(frames)
    folded.fold(frames)
    assert folded.folded == frames
    assert folded.counts(frames) == plain.counts(frames)


def kills(books: FrameBooks, event: Event) -> Iterator[FrameBooks]:
    """Yield the books as a kill would leave them, after each line that this event runs through in books.py."""
    moments: list[bytes] = []
    memory = books.memory.array(0, np.dtype(np.uint8), (books.memory.size_b,))

    def watch(frame: FrameType, what: str, _: Any) -> Any:
        if frame.f_code.co_filename.endswith("live/books.py"):
            moments.append(memory.tobytes())
        return watch

    sys.settrace(watch)
    try:
        play(books, event)
    finally:
        sys.settrace(None)
    for moment in dict.fromkeys(moments):
        copy = SharedMemory.create("copy", books.memory.size_b)
        copy.array(0, np.dtype(np.uint8), (copy.size_b,))[:] = np.frombuffer(moment, np.uint8)
        yield FrameBooks(copy)
        copy.close()


@settings(deadline=None, max_examples=12)
@given(stories())
def test_a_kill_at_any_line_leaves_books_that_add_up_and_can_go_on(events: list[Event]) -> None:
    books = FrameBooks.create("test")
    frames = len({number for what, number, _, _ in events if what != "fold"})
    for event in events:
        for left in kills(books, event):
            counts = left.counts(frames)
            assert adds_up(counts)
            lost = left.abandon(frames)
            left.miss_below(frames)
            closed = left.counts(frames)
            assert adds_up(closed)
            assert (closed.open_frames, closed.open_objects) == (0, 0)
            assert closed.ends.get("bridge_lost", 0) == lost == counts.open_objects
            assert closed.objects == counts.objects


def test_entries_come_round_when_the_frames_before_are_closed() -> None:
    books = FrameBooks.create("test")
    for number in range(10_000):
        books.decide(number, objects=2, passed=1, ends={"fired": 1})
        books.fold(number + 1)

    counts = books.counts(10_000)
    assert (counts.processed, counts.objects, counts.ends) == (10_000, 20_000, {"fired": 10_000})


def test_a_frame_too_far_ahead_of_an_open_one_is_refused() -> None:
    books = FrameBooks.create("test")
    with pytest.raises(OverloadError, match="frame 0 is still open"):
        books.miss(4096, "late")
