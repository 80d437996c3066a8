"""The C reference core and the pure-Python board are one controller: equal input, equal bytes, pulses and states."""

import random
from collections import Counter

import pytest
from board_stories import Story

from firmware_bridge import messages as m
from firmware_bridge.board import BoardSettings
from firmware_bridge.codec import decode_payload
from firmware_bridge.endpoint import Endpoint
from firmware_bridge.native_board import NativeBoard
from firmware_bridge.native_build import is_native_available
from firmware_bridge.virtual_board import VirtualBoard

pytestmark = pytest.mark.skipif(not is_native_available(), reason="no C compiler on this computer")


def settings_of(seed: int) -> BoardSettings:
    rng = random.Random(seed)
    return BoardSettings(
        n_valves=rng.choice((28, 32)),
        slots=rng.choice((16, 64, 1024)),
        tick_offset=rng.choice((0, 2**32 - 300_000)),
        drift_ppm=rng.choice((0, 73, -40)),
        encoder_hz=rng.choice((0, 10_000)),
        readings={3: (0, 0), 5: (180, 4000)},
    )


def assert_twins(seed: int, steps: int) -> None:
    settings = settings_of(seed)
    python, native = Story(seed, (VirtualBoard(settings), NativeBoard(settings))).tell(steps)
    for number, (expected, actual) in enumerate(zip(python.output, native.output, strict=True)):
        assert expected == actual, f"seed {seed}: output of step {number} differs"
    assert python.states == native.states
    assert python.pulses == native.pulses
    assert python.transfers == native.transfers


@pytest.mark.parametrize("seed", range(40))
def test_twins_live_through_the_same_story_alike(seed: int) -> None:
    assert_twins(seed, 400)


@pytest.mark.long
@pytest.mark.parametrize("part", range(8))
def test_twins_live_through_many_long_stories_alike(part: int) -> None:
    for seed in range(1000 * (part + 1), 1000 * (part + 1) + 60):
        assert_twins(seed, 3000)


def test_stories_reach_what_they_are_meant_to_compare() -> None:
    """A twin test that never fires, merges or falls silent would prove nothing."""
    reasons: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    states = set()
    pulses = transfers = 0
    for seed in range(40):
        (seen,) = Story(seed, (VirtualBoard(settings_of(seed)),)).tell(400)
        pulses += len(seen.pulses)
        transfers += len(seen.transfers)
        states |= {state for state, _ in seen.states}
        listener = Endpoint(is_host=True)
        for frame in listener.deframer.feed(b"".join(seen.output)):
            listener.start_session(frame.epoch8)
            if frame.epoch8 == 0:
                continue
            message = decode_payload(frame.type, frame.payload)
            kinds[type(message).__name__] += 1
            if isinstance(message, m.EjectExc):
                reasons.update(report.reason.name for report in message.reports)
    assert {reason.name for reason in m.EjectReason} == set(reasons)
    assert set(m.BoardState) - {m.BoardState.BOOT} <= states
    assert pulses > 2000
    assert transfers > 20
    assert {
        "SelftestRes",
        "DictData",
        "ErrorReport",
        "Fault",
        "CfgVal",
        "XferAck",
        "XferDone",
        "TriggerStamp",
        "ClockRsp",
    } <= set(kinds)
