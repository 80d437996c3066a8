"""The controller's tick on the host's clock: the stated bound always holds, and the estimate is as good as promised."""

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.clock_fit import DEFAULT_RATE_LIMIT_PPM, MIN_POINTS, ClockFit
from firmware_bridge.errors import LinkStateError

US = 1_000
MS = 1_000_000
S = 1_000_000_000


@dataclass(frozen=True)
class Path:
    """One way of a line: a base, an exponential part, and sometimes a stall, all in microseconds."""

    base_us: float
    jitter_us: float
    stall_share: float = 0.0
    stall_us: float = 0.0

    def delay_ns(self, rng: random.Random) -> int:
        stall_us = rng.uniform(0, self.stall_us) if rng.random() < self.stall_share else 0.0
        jitter_us = rng.expovariate(1 / self.jitter_us) if self.jitter_us else 0.0
        return round((self.base_us + jitter_us + stall_us) * US)


@dataclass(frozen=True)
class Clocks:
    """The controller's tick as a function of the host's time."""

    offset: int
    drift_ppm: int

    def tick_at(self, now_ns: int) -> int:
        return self.offset + now_ns * (1_000_000 + self.drift_ppm) // S


def exchange(fit: ClockFit, clocks: Clocks, at_ns: int, there_ns: int, back_ns: int, *, busy_ns: int = 0) -> int:
    """Ask once and return when the answer was there."""
    rx_ns = at_ns + there_ns
    fit.add_exchange(
        sent_ns=at_ns,
        received_ns=rx_ns + busy_ns + back_ns,
        rx_tick=clocks.tick_at(rx_ns),
        tx_tick=clocks.tick_at(rx_ns + busy_ns),
    )
    return rx_ns + busy_ns + back_ns


def errors_us(
    there: Path, back: Path, *, period_ms: int, for_s: int = 120, seed: int = 1
) -> tuple[list[float], ClockFit]:
    """Return sorted errors of the estimate, sampled between the exchanges once 3 s have passed."""
    rng, clocks, fit = random.Random(seed), Clocks(987_654_321, 50), ClockFit(1_000_000)
    errors: list[float] = []
    for number in range(for_s * 1000 // period_ms):
        at_ns = number * period_ms * MS
        done_ns = exchange(fit, clocks, at_ns, there.delay_ns(rng), back.delay_ns(rng))
        if at_ns > 3 * S:
            for _ in range(3):
                now_ns = done_ns + rng.randrange(period_ms * MS)
                reading, truth = fit.read(now_ns), clocks.tick_at(now_ns)
                assert abs(reading.tick - truth) <= reading.error_bound_us
                errors.append(abs(reading.tick - truth))
    return sorted(errors), fit


def p99(values: list[float]) -> float:
    return values[len(values) * 99 // 100]


LOW_LATENCY = (Path(600, 300), Path(400, 300, 0.02, 4000))  # 0.2 ms asymmetry
LATENCY_TIMER = (Path(600, 300), Path(400, 300, 0.3, 16_000))


@pytest.mark.parametrize("paths", [LOW_LATENCY, LATENCY_TIMER], ids=["low latency", "16 ms latency timer, busy host"])
def test_at_ten_a_second_99_of_100_readings_are_within_215_us(paths: tuple[Path, Path]) -> None:
    """Half the asymmetry, 100 us, is a floor that no measurement of round trips can remove."""
    found = [errors_us(*paths, period_ms=100, seed=seed) for seed in range(3)]
    assert all(p99(errors) <= 215 for errors, _ in found)
    assert all(80 <= errors[len(errors) // 2] <= 130 for errors, _ in found)
    assert all(abs(fit.drift_ppm - 50) < 15 for _, fit in found)
    assert all(fit.residual_us < 100 for _, fit in found)


@pytest.mark.parametrize("paths", [LOW_LATENCY, LATENCY_TIMER], ids=["low latency", "16 ms latency timer, busy host"])
def test_at_one_a_second_99_of_100_readings_are_within_350_us(paths: tuple[Path, Path]) -> None:
    found = [errors_us(*paths, period_ms=984, for_s=400, seed=seed) for seed in range(3)]
    assert all(p99(errors) <= 350 for errors, _ in found)


def test_one_stall_is_left_out_and_counted() -> None:
    fit, clocks = ClockFit(1_000_000), Clocks(0, 0)
    for number in range(50):
        exchange(fit, clocks, number * 100 * MS, 400 * US, 400 * US)
    exchange(fit, clocks, 5 * S, 400 * US, 8 * MS)
    assert (fit.outliers, fit.points) == (1, 50)
    assert abs(fit.tick_at(5 * S + 10 * MS) - clocks.tick_at(5 * S + 10 * MS)) <= 1


def test_the_time_the_controller_takes_to_answer_is_no_part_of_the_round_trip() -> None:
    fit, clocks = ClockFit(1_000_000), Clocks(0, 0)
    for number in range(20):
        exchange(fit, clocks, number * 100 * MS, 300 * US, 300 * US, busy_ns=number % 5 * MS)
    assert fit.outliers == 0
    assert fit.residual_us <= 1.0
    assert fit.read(2 * S).error_bound_us <= 350


DELAYS = st.integers(0, 20_000).map(lambda us: us * US) | st.integers(0, 500).map(lambda us: us * US)


@given(
    offset=st.integers(0, 2**40),
    drift=st.integers(-DEFAULT_RATE_LIMIT_PPM, DEFAULT_RATE_LIMIT_PPM),
    story=st.lists(st.tuples(st.integers(1, 3_000_000), DELAYS, DELAYS, st.integers(0, 3000)), min_size=1, max_size=40),
    looks=st.lists(st.integers(-10_000_000, 600_000_000), min_size=1, max_size=5),
)
def test_the_bound_holds_for_every_path_and_every_rate_within_the_limit(
    offset: int, drift: int, story: list[tuple[int, int, int, int]], looks: list[int]
) -> None:
    """Looks reach from 10 s in the past to 10 minutes ahead, for example through an unplugged cable."""
    fit, clocks = ClockFit(1_000_000), Clocks(offset, drift)
    now_ns = S
    for pause_us, there_ns, back_ns, busy_us in story:
        now_ns = exchange(fit, clocks, now_ns + pause_us * US, there_ns, back_ns, busy_ns=busy_us * US)
    for look_us in looks:
        at_ns = max(now_ns + look_us * US, 0)
        reading = fit.read(at_ns)
        assert abs(reading.tick - clocks.tick_at(at_ns)) <= reading.error_bound_us
    assert fit.restarts == 0


@given(
    changes=st.lists(st.tuples(st.integers(1, 50), st.floats(-200, 200)), min_size=1, max_size=30),
    delays=st.lists(st.tuples(DELAYS, DELAYS), min_size=30, max_size=30),
)
def test_the_bound_holds_for_a_rate_that_wanders_within_the_limit(
    changes: list[tuple[int, float]], delays: list[tuple[int, int]]
) -> None:
    fit, now_ns, tick = ClockFit(1_000_000), 0, 0.0
    for (tenths, ppm), (there_ns, back_ns) in zip(changes, delays, strict=False):
        rate = (1 + ppm / 1e6) / 1000  # ticks a nanosecond

        sent_ns, rx_ns = now_ns, now_ns + there_ns
        got_ns = rx_ns + back_ns
        rx_tick = tick + there_ns * rate
        fit.add_exchange(sent_ns=sent_ns, received_ns=got_ns, rx_tick=int(rx_tick), tx_tick=int(rx_tick))
        tick, now_ns = tick + (got_ns - now_ns + tenths * S // 10) * rate, got_ns + tenths * S // 10
        reading = fit.read(now_ns)
        assert abs(reading.tick - tick) <= reading.error_bound_us + 0.01  # of the truth's own float
    assert fit.restarts == 0


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 20_000)), max_size=40))
def test_stamps_of_other_messages_never_break_the_bound_and_only_tighten_it(stamps: list[tuple[int, int]]) -> None:
    clocks, plain, helped = Clocks(2**32 - 500_000, 70), ClockFit(1_000_000), ClockFit(1_000_000)
    now_ns = exchange(plain, clocks, 0, 2 * MS, 3 * MS)
    exchange(helped, clocks, 0, 2 * MS, 3 * MS)
    for pause_us, delay_us in stamps:
        made_ns = now_ns + pause_us * US
        now_ns = made_ns + delay_us * US
        helped.add_stamp(clocks.tick_at(made_ns) & 0xFFFFFFFF, now_ns)
        reading = helped.read(now_ns)
        assert abs(reading.tick - clocks.tick_at(now_ns)) <= reading.error_bound_us
    assert helped.read(now_ns).error_bound_us <= plain.read(now_ns).error_bound_us


def test_a_late_stamp_teaches_nothing_and_a_quick_one_does() -> None:
    fit, clocks = ClockFit(1_000_000), Clocks(1000, 0)
    now_ns = exchange(fit, clocks, 0, 1 * MS, 9 * MS)
    before = fit.read(now_ns)
    fit.add_stamp(clocks.tick_at(now_ns - 9 * MS) & 0xFFFFFFFF, now_ns)
    assert fit.read(now_ns) == before
    fit.add_stamp(clocks.tick_at(now_ns), now_ns)
    assert abs(fit.tick_at(now_ns) - clocks.tick_at(now_ns)) <= 1001
    assert fit.read(now_ns).error_bound_us < before.error_bound_us


def test_a_stamp_from_nowhere_and_one_before_any_exchange_change_nothing() -> None:
    fit, clocks = ClockFit(1_000_000), Clocks(1000, 0)
    fit.add_stamp(12345, 0)
    assert fit.points == 0
    now_ns = exchange(fit, clocks, 0, MS, MS)
    before = fit.read(now_ns)
    fit.add_stamp(clocks.tick_at(now_ns) + 10**6, now_ns)
    assert fit.read(now_ns) == before


def test_a_clock_that_jumped_is_learnt_anew_at_once() -> None:
    fit = ClockFit(1_000_000)
    for number in range(20):
        exchange(fit, Clocks(10**9, 0), number * 100 * MS, 400 * US, 400 * US)
    clocks = Clocks(5_000, 0)  # the controller restarted
    now_ns = exchange(fit, clocks, 2 * S, 400 * US, 400 * US)
    assert fit.restarts == 1
    assert not fit.is_ready
    assert abs(fit.tick_at(now_ns) - clocks.tick_at(now_ns)) <= 1


def test_an_answer_that_contradicts_itself_is_not_taken() -> None:
    fit, clocks = ClockFit(1_000_000), Clocks(0, 0)
    now_ns = exchange(fit, clocks, 0, MS, MS)
    before = fit.read(now_ns)
    fit.add_exchange(sent_ns=S, received_ns=S + MS, rx_tick=10**6, tx_tick=10**6 + 5000)
    assert fit.read(now_ns) == before
    assert (fit.outliers, fit.restarts) == (1, 0)


def test_five_exchanges_are_enough_and_none_is_an_error() -> None:
    fit, clocks = ClockFit(1_000_000), Clocks(0, 0)
    for ask in (lambda: fit.tick_at(0), lambda: fit.read(0), lambda: fit.ns_of(0, 0), lambda: fit.drift_ppm):
        with pytest.raises(LinkStateError, match="controller's tick is not known"):
            ask()
    for number in range(MIN_POINTS):
        assert not fit.is_ready
        exchange(fit, clocks, number * 50 * MS, MS, MS)
    assert fit.is_ready


def test_old_exchanges_leave_the_line_but_32_stay() -> None:
    fit, clocks = ClockFit(1_000_000), Clocks(0, 0)
    for number in range(300):
        exchange(fit, clocks, number * 100 * MS, 400 * US, 400 * US)
    assert 100 <= fit.points <= 102
    for number in range(30, 100):
        exchange(fit, clocks, number * S, 400 * US, 400 * US)
    assert fit.points in {32, 33}


@pytest.mark.parametrize("tick_hz", [1000, 32_768, 1_000_000, 168_000_000])
def test_any_tick_rate_is_read_and_turned_back_into_time(tick_hz: int) -> None:
    fit = ClockFit(tick_hz)
    for number in range(10):
        at_ns = S + number * 100 * MS
        tick = (at_ns + MS) * tick_hz // S
        fit.add_exchange(sent_ns=at_ns, received_ns=at_ns + 2 * MS, rx_tick=tick, tx_tick=tick)
    now_ns = 2 * S
    assert abs(fit.tick_at(now_ns) - now_ns * tick_hz // S) <= 1
    later = (now_ns + 300 * MS) * tick_hz // S & 0xFFFFFFFF
    assert abs(fit.ns_of(later, now_ns) - (now_ns + 300 * MS)) <= 2 * S // tick_hz + 1
    assert fit.residual_us <= 2e6 / tick_hz
