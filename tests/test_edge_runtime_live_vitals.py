"""Rows and shared values are what was written last, each by itself, in every process that maps them."""

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.live.ladder import Level
from edge_runtime.live.shared_memory import SharedMemory
from edge_runtime.live.vitals import ProcessState, RowValues, Vitals

ROWS = 3
STATES: tuple[ProcessState, ...] = get_args(ProcessState)
STEPS = st.one_of(
    st.tuples(st.just("start"), st.integers(0, ROWS - 1), st.integers(0, 1 << 40)),
    st.tuples(st.just("beat"), st.integers(0, ROWS - 1), st.integers(0, 1 << 62)),
    st.tuples(st.just("enter"), st.integers(0, ROWS - 1), st.sampled_from(STATES)),
)


def rows(vitals: Vitals) -> list[RowValues]:
    return [vitals.row(place).read() for place in range(ROWS)]


@given(st.lists(STEPS, max_size=20))
def test_a_row_is_what_its_process_wrote_and_no_other_changes(
    steps: list[tuple[str, int, int | ProcessState]],
) -> None:
    vitals = Vitals.create(ROWS)
    other = Vitals(SharedMemory.attach(vitals.memory.fd))
    expected = [RowValues(0, "absent", 0, 0)] * ROWS
    for what, place, value in steps:
        row, old = vitals.row(place), expected[place]
        match what, value:
            case "start", int():
                row.start(pid=value, now_ns=7)
                expected[place] = RowValues(value, "starting", 0, 7)
            case "beat", int():
                row.beat(now_ns=value)
                expected[place] = RowValues(old.pid, old.state, old.progress + 1, value)
            case _, str():
                row.enter(value)
                expected[place] = RowValues(old.pid, value, old.progress, old.beaten_ns)
            case _:
                raise AssertionError(what)
        assert rows(vitals) == rows(other) == expected
    for table in (other, vitals):
        table.memory.close()


@given(st.sampled_from(list(Level)), st.integers(0, 1000), st.booleans(), st.integers(-(1 << 62), 1 << 62))
def test_shared_values_are_read_as_written_and_leave_the_rows_alone(
    level: Level, permille: int, is_armed: bool, lag_ns: int
) -> None:
    vitals = Vitals.create(ROWS)
    before = rows(vitals)
    vitals.level, vitals.feeder_permille, vitals.is_armed, vitals.lag_ns = level, permille, is_armed, lag_ns
    other = Vitals(SharedMemory.attach(vitals.memory.fd))

    assert (other.level, other.feeder_permille, other.is_armed, other.lag_ns) == (level, permille, is_armed, lag_ns)
    assert rows(other) == before
    for table in (other, vitals):
        table.memory.close()
