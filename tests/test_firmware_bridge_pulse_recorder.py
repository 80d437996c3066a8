"""What the observer of the valves writes down, and when."""

from firmware_bridge.pulse_recorder import SELFTEST_EVID, FiredPulse, PulseRecorder


def recorder_of(*pulses: FiredPulse) -> PulseRecorder:
    recorder = PulseRecorder()
    for pulse in pulses:
        recorder.open(pulse)
    return recorder


def test_a_pulse_is_written_down_at_the_tick_of_its_end() -> None:
    pulse = FiredPulse(1, 2, 2, 100, 150)
    recorder = recorder_of(pulse)
    recorder.run_until(149)
    assert recorder.fired == []
    recorder.run_until(150)
    assert recorder.fired == [pulse]


def test_pulses_come_in_the_order_of_their_ends() -> None:
    late, early, middle = FiredPulse(0, 0, 1, 0, 90), FiredPulse(2, 1, 1, 5, 40), FiredPulse(1, 2, 1, 6, 60)
    recorder = recorder_of(late, early, middle)
    recorder.run_until(70)
    assert recorder.take() == [early, middle]
    recorder.run_until(1000)
    assert recorder.take() == [late]


def test_what_was_taken_is_forgotten_and_what_was_looked_at_is_not() -> None:
    pulse = FiredPulse(0, 0, 1, 0, 10)
    recorder = recorder_of(pulse)
    recorder.run_until(10)
    recorder.fired.clear()  # a copy: nobody can take pulses away by it
    assert recorder.fired == [pulse]
    assert recorder.take() == [pulse]
    assert recorder.take() == recorder.fired == []


def test_a_cut_ends_what_is_open_leaves_what_was_over_and_forgets_what_had_not_begun() -> None:
    over, running = FiredPulse(0, 0, 1, 10, 45), FiredPulse(1, 1, 1, 20, 90)
    begins_now, to_come = FiredPulse(2, 2, 1, 50, 70), FiredPulse(3, 3, 1, 60, 95)
    recorder = recorder_of(to_come, running, begins_now, over)
    recorder.cut(50)
    assert recorder.fired == [over, running._replace(close_tick=50)]
    recorder.run_until(1000)
    assert recorder.take() == [over, running._replace(close_tick=50)]


def test_a_cut_keeps_what_was_written_down_before() -> None:
    first, second = FiredPulse(0, 0, 1, 0, 10), FiredPulse(1, 0, 1, 20, 40)
    recorder = recorder_of(first)
    recorder.run_until(15)
    recorder.open(second)
    recorder.cut(30)
    assert recorder.take() == [first, second._replace(close_tick=30)]


def test_the_self_test_has_an_id_that_no_event_can_have() -> None:
    assert SELFTEST_EVID == -1
