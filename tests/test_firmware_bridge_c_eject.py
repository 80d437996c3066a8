"""sel_eject.h is EjectDesk: after every call the same pulses, reports, counters and outputs, at every limit."""

import ctypes
import random
from collections.abc import Iterator, Sequence
from typing import Final

import pytest
from c_programs import compile_c, needs_compiler

from firmware_bridge.board_ejects import EjectDesk, Limits
from firmware_bridge.messages import BatchFlag, EjectMask, EjectReason, MaskItem
from firmware_bridge.pulse_recorder import FiredPulse, PulseRecorder

pytestmark = needs_compiler

CUT: Final = -(2**63)
NEVER: Final = 2**63 - 1
N_VALVES = 6
MAX_PULSE, MIN_OFF, LATE_TOL, HORIZON = 400, 20, 15, 1000
Row = tuple[int, ...]
I64 = ctypes.c_int64


class Log(PulseRecorder):
    """Writes down what the Python desk tells its recorder."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []

    def open(self, pulse: FiredPulse) -> None:
        self.rows.append((pulse.evid, pulse.open_tick, pulse.close_tick, pulse.first_valve, pulse.valve_count))
        super().open(pulse)

    def cut(self, tick: int) -> None:
        self.rows.append((CUT, tick, 0, 0, 0))
        super().cut(tick)


class Twins:
    """Both desks, told the same; `compare` fails where they differ.

    Args:
        library: the compiled one.
        now: the tick at which they begin.
        n_valves: how many there are.
        slots: how many events can wait.
    """

    def __init__(self, library: ctypes.CDLL, now: int, *, n_valves: int = N_VALVES, slots: int = 5) -> None:
        self.library = library
        self.log = Log()
        self.n_valves = n_valves
        self.desk = EjectDesk(n_valves=n_valves, slots=slots, recorder=self.log)
        self.limits = Limits(LATE_TOL, HORIZON)
        self.now = now
        library.t_init(n_valves, slots)
        self.set_limits(MAX_PULSE, MIN_OFF, 4096, 1000)

    def set_limits(self, max_pulse: int, min_off: int, max_open: int, max_duty: int) -> None:
        bank = self.desk.bank
        bank.max_pulse_ticks, bank.min_off_ticks = max_pulse, min_off
        bank.max_open_valves, bank.max_duty_permille = max_open, max_duty
        self.library.t_limits((ctypes.c_uint32 * 6)(max_pulse, min_off, LATE_TOL, HORIZON, max_open, max_duty))

    def take(self, evid: int, tick: int, item: MaskItem, flags: BatchFlag, *, is_firing: bool = True) -> None:
        base_evid, base_tick = evid % 2**32, (tick - item.dt_ticks) % 2**32
        batch = EjectMask(base_evid, base_tick, flags, (item,))
        self.desk.take_batch(batch, now=self.now, limits=self.limits, is_firing=is_firing)
        wish = (ctypes.c_uint32 * 5)(item.dt_ticks, item.first_valve, item.pulse_us, item.mask, int(flags))
        self.library.t_take(base_evid, base_tick, wish, I64(self.now), is_firing)

    def try_valve(self, valve: int, pulse: int) -> None:
        self.desk.bank.test_pulse(valve, self.now, pulse)
        self.library.t_test_pulse(valve, I64(self.now), pulse)

    def run(self, tick: int) -> None:
        self.now = max(self.now, tick)
        self.desk.run_until(tick)
        self.library.t_run(I64(tick))

    def stop(self) -> None:
        self.desk.stop(self.now)
        self.library.t_stop(I64(self.now))

    def cancel(self, start: int, count: int) -> None:
        self.desk.cancel(start % 2**32, (start + count) % 2**32)
        self.library.t_cancel(start % 2**32, (start + count) % 2**32)

    def start_session(self) -> None:
        assert self.desk.start_session(self.now) == self.library.t_start_session(I64(self.now))

    def judge(self) -> None:
        assert self.desk.late_rate.judge(self.now).value == self.library.t_judge(I64(self.now))

    def take_reports(self, count: int) -> list[EjectReason]:
        rows = (I64 * 3 * 255)()
        got = self.library.t_take_reports(count, rows)
        reports = self.desk.take_reports(count)
        assert [(it.evid, it.reason, it.lateness_10us) for it in reports] == [tuple(row) for row in rows[:got]]
        return [report.reason for report in reports]

    def compare(self, base_evid: int) -> None:
        desk, counters, rows = self.desk, (I64 * 8)(), (I64 * 5 * 4096)()
        self.library.t_counters(counters)
        bank, window = desk.bank, desk.window
        told = (desk.late, desk.duplicates, desk.queue_high, desk.has_overrun, bank.pending, window.next_evid)
        assert (bank.fired_count, *told, bank.is_quiet) == tuple(counters)
        assert self.log.rows == [tuple(row) for row in rows[: self.library.t_take_rows(rows)]]
        self.log.rows.clear()
        assert desk.received_from(base_evid % 2**32) == self.library.t_received(base_evid % 2**32)
        for tick in (self.now - 1, self.now, self.now + 1, *bank._until, *bank._since):
            assert open_valves(desk, tick) == [
                self.library.t_is_open(valve, I64(tick)) for valve in range(self.n_valves)
            ]
            assert next_change(desk, tick) == self.library.t_next(I64(tick))


def open_valves(desk: EjectDesk, tick: int) -> list[bool]:
    spans = zip(desk.bank._since, desk.bank._until, strict=True)
    return [since <= tick < until for since, until in spans]


def next_change(desk: EjectDesk, tick: int) -> int:
    spans = zip(desk.bank._since, desk.bank._until, strict=True)
    changes = [since if since > tick else until for since, until in spans if until > tick]
    return min([event.tick for event in desk.bank._queue] + changes, default=NEVER)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    target = tmp_path_factory.mktemp("eject") / "eject.so"
    compile_c("sel_eject_calls.c", target, "-O1", "-fPIC", "-shared", "-DSEL_SLOTS=64", "-DSEL_VALVES=40")
    made = ctypes.CDLL(str(target))
    made.t_received.restype, made.t_next.restype = ctypes.c_uint64, I64
    return made


def ticks_near(twins: Twins, rng: random.Random) -> int:
    """Return a time for an event: at or beside a limit, or beside something that a valve does."""
    bank = twins.desk.bank
    valve = rng.randrange(N_VALVES)
    edges = (twins.now, twins.now - LATE_TOL, twins.now + HORIZON, bank._until[valve], bank._since[valve])
    edge = rng.choice((*edges, bank._until[valve] + bank.min_off_ticks, twins.now + rng.randrange(300)))
    return edge + rng.choice((-1, 0, 0, 1)) if abs(edge - twins.now) < 3000 else twins.now + rng.randrange(30)


def evids_near(twins: Twins, rng: random.Random) -> int:
    ahead = rng.choices((0, 1, 3, -1, -2, -rng.randrange(1, 40)), weights=(60, 4, 2, 4, 2, 4))[0]
    if rng.random() < 0.03:
        ahead = rng.choice((-1022, -1023, -1024, -1025, -1026, 1022, 1023, 1024, 1025, 5000, 2**31 - 1))
    return twins.desk.window.next_evid + ahead


def some_event(twins: Twins, rng: random.Random) -> None:
    item = MaskItem(
        rng.choice((0, 0, 7, 65_535)),
        rng.randrange(N_VALVES),
        rng.choice((1, 1, 1, 0b11, 0b101, 0b111, 0b11_0001, 1 << 31)),
        rng.choice((1, 10, 50, 150, 300, MAX_PULSE - 1, MAX_PULSE, MAX_PULSE + 1, 60_000)),
    )
    flags = BatchFlag(rng.choices((4, 0, 2, 1, 5), weights=(12, 4, 2, 1, 1))[0])
    twins.take(evids_near(twins, rng), ticks_near(twins, rng), item, flags, is_firing=rng.random() < 0.93)


def rare_call(twins: Twins, rng: random.Random) -> None:
    match rng.randrange(10):
        case 0:
            twins.stop()
        case 1:
            twins.start_session()
        case 2 | 3:
            twins.cancel(evids_near(twins, rng), rng.choice((1, 2, 5, 40)))
        case 4 | 5:
            twins.try_valve(rng.randrange(N_VALVES), rng.choice((1, 50, 350, 500)))
        case 6:
            max_open = rng.choice((1, 2, 3, N_VALVES - 1, N_VALVES, 4096))
            limits = (rng.choice((MAX_PULSE, 120)), rng.choice((MIN_OFF, 0, 200)))
            twins.set_limits(*limits, max_open, rng.choice((1000, 1000, 999, 1, 2)))
        case 7:
            twins.run(twins.now + rng.choice((999_999, 1_000_000, 1_000_001)))
        case _:
            twins.judge()


def live(twins: Twins, rng: random.Random, steps: int) -> Iterator[EjectReason]:
    for _ in range(steps):
        choice = rng.random()
        if choice < 0.55:
            some_event(twins, rng)
        elif choice < 0.8:
            twins.run(twins.now + rng.choice((0, 1, 5, 20, 49, 60, 150, 400)))
        elif choice < 0.9:
            rare_call(twins, rng)
        else:
            yield from twins.take_reports(rng.choice((1, 3, 35)))
        twins.compare(evids_near(twins, rng) - rng.randrange(70))


def seen_in(library: ctypes.CDLL, seeds: Sequence[int], steps: int) -> set[EjectReason]:
    seen: set[EjectReason] = set()
    for seed in seeds:
        rng = random.Random(seed)
        twins = Twins(library, rng.choice((0, 2**32 - 2000)), slots=rng.choice((5, 64)))
        seen |= set(live(twins, rng, steps))
    return seen


def test_both_desks_do_the_same_after_any_calls(library: ctypes.CDLL) -> None:
    assert set(EjectReason) == seen_in(library, range(60), 250)


def test_both_desks_judge_every_share_of_late_events_alike(library: ctypes.CDLL) -> None:
    for events, lates in (
        (19, (0, 1, 19)),
        (20, (0, 1, 4, 5)),
        (100, (1, 2, 20, 21)),
        (199, (1, 2)),
        (1000, (200, 201)),
    ):
        for late in lates:
            twins = Twins(library, 2**32 - 2000)
            twins.start_session()
            for number in range(events):
                tick = twins.now - 1 if number < late else twins.now
                twins.take(number, tick, MaskItem(0, 0, 1, 1), BatchFlag.NONE)
            for now in (twins.now + 999_999, twins.now + 1_000_000, twins.now + 1_999_999, twins.now + 2_000_000):
                twins.run(now)
                twins.judge()
            twins.compare(0)
            assert twins.now == 2**32 - 2000 + 2_000_000


def test_both_desks_count_open_time_to_the_tick(library: ctypes.CDLL) -> None:
    twins = Twins(library, 5000)
    twins.set_limits(20_000, MIN_OFF, 4096, 1000)
    for number, pulse in enumerate((500, 1000)):
        twins.take(number, twins.now, MaskItem(0, 0, 1, pulse), BatchFlag.NONE)
    twins.run(twins.now)
    twins.set_limits(20_000, MIN_OFF, 4096, 1)
    for number, pulse in enumerate((1001, 1000), start=2):
        twins.take(number, twins.now, MaskItem(0, 0, 1, pulse), BatchFlag.NONE)
    twins.run(twins.now)
    twins.compare(0)
    assert twins.take_reports(9) == [EjectReason.MERGED, EjectReason.DUTY_LIMIT, EjectReason.MERGED]


def test_both_desks_find_the_highest_valve_of_every_mask(library: ctypes.CDLL) -> None:
    for n_valves, is_refused in ((32, True), (33, False)):
        twins = Twins(library, 5000, n_valves=n_valves)
        for bit in range(32):
            twins.take(bit, twins.now, MaskItem(0, 1, 1 << bit, 10), BatchFlag.NONE)
            twins.run(twins.now)
            twins.compare(0)
        assert twins.take_reports(99) == [EjectReason.BAD_VALVE] * is_refused
        twins.take(32, twins.now + 100, MaskItem(0, 0, 2**32 - 1, 10), BatchFlag.NONE)
        twins.run(twins.now + 100)
        twins.compare(0)


def test_both_desks_fire_a_full_queue_in_order(library: ctypes.CDLL) -> None:
    for seed in range(20):
        rng = random.Random(seed)
        twins = Twins(library, 5000, slots=64)
        for number in range(64):
            twins.take(number, twins.now + rng.randrange(1, 90), MaskItem(0, number % 6, 1, 10), BatchFlag.NONE)
        for start in rng.sample(range(64), 12):
            twins.cancel(start, 1)
        twins.compare(0)
        for _ in range(9):
            twins.run(twins.now + 10)
            twins.compare(0)
        assert twins.desk.bank.pending == 0


def test_both_desks_have_room_for_the_same_reports(library: ctypes.CDLL) -> None:
    for waiting in (0, 1, 5):
        twins = Twins(library, 1000)
        for number in range(2060):
            is_good = number < waiting
            twins.take(number, twins.now + 100 + number, MaskItem(0, 0 if is_good else 6, 1, 1), BatchFlag.NONE)
        twins.compare(2000)
        twins.cancel(0, 3)
        twins.cancel(2050, 3)
        twins.compare(2040)
        twins.run(twins.now + 5000)
        while twins.take_reports(255):
            twins.compare(2040)
        assert twins.desk.take_reports(1) == []


def test_a_new_session_starts_the_second_and_forgets_the_reports_in_both(library: ctypes.CDLL) -> None:
    twins = Twins(library, 5000)
    for number in range(40):
        twins.take(number, twins.now - 1, MaskItem(0, 0, 1, 1), BatchFlag.NONE)
    twins.start_session()
    assert twins.take_reports(35) == []
    twins.run(twins.now + 1_000_000)
    twins.judge()
    twins.compare(0)
