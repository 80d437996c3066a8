"""A camera's counts go on over any number of processes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.cameras.frame_watch import WatchCounts
from edge_runtime.live.camera_tally import CameraTally
from edge_runtime.live.shared_memory import SharedMemory

NAMES = WatchCounts.__struct_fields__
COUNTS = st.builds(WatchCounts, **dict.fromkeys(NAMES, st.integers(0, 1 << 40)))


def values(counts: WatchCounts) -> list[int]:
    return [getattr(counts, name) for name in NAMES]


@given(st.lists(st.lists(COUNTS, max_size=3), max_size=5))
def test_counts_are_those_of_all_processes_together(processes: list[list[WatchCounts]]) -> None:
    memory = SharedMemory.create("tally", CameraTally.SIZE_B)
    expected = np.zeros(len(NAMES), np.uint64)
    for written in processes:
        tally = CameraTally(memory)
        for counts in written:
            tally.write(counts)  # of this process since it began: the last one counts
        expected += np.array(values(written[-1]) if written else [0] * len(NAMES), np.uint64)
        assert values(tally.read()) == expected.tolist()
    memory.close()


def test_a_frame_that_was_kept_when_the_process_was_killed_is_counted_once() -> None:
    memory = SharedMemory.create("tally", CameraTally.SIZE_B)
    CameraTally(memory).write(WatchCounts(shown=5, kept=4, stale=1))
    for _ in range(2):
        heir = CameraTally(memory)
        heir.resume(kept=5)
        assert heir.read() == WatchCounts(shown=6, kept=5, stale=1)
    heir.write(WatchCounts(shown=2, kept=2))
    assert heir.read() == WatchCounts(shown=8, kept=7, stale=1)
    memory.close()
