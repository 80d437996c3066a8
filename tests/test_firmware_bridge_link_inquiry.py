"""Self-test and dictionary as the host asks for them: complete, refused with a reason, or timed out."""

import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.board import BoardSettings
from firmware_bridge.clock import ManualClock
from firmware_bridge.dictionary import DICTIONARY, DICTIONARY_CRC, read_dictionary
from firmware_bridge.errors import (
    LinkDownError,
    LinkStateError,
    LinkTimeoutError,
    MessageError,
    SelftestRefusedError,
)
from firmware_bridge.link import Link
from firmware_bridge.link_inquiry import ANSWER_TIMEOUT_S, DictionaryRead, SelftestRun, refusal_text
from firmware_bridge.messages import CapabilityFlag, DictData, Selftest, SelftestFlag, SelftestMode, SelftestRes
from firmware_bridge.transport_board import BoardTransport
from firmware_bridge.virtual_board import VirtualBoard

NS_PER_S = 1_000_000_000
WISH = Selftest(3, 5, 1000, SelftestMode.FIRE)


def link_to(board: VirtualBoard) -> tuple[Link, ManualClock]:
    clock = ManualClock()
    link = Link(BoardTransport(board, clock), clock)
    link.connect(1.0)
    return link, clock


def res(valve: int, flags: SelftestFlag = SelftestFlag.NONE) -> SelftestRes:
    return SelftestRes(valve, 180, 900, flags)


# ----- through a link


def test_every_valve_answers_once_in_order() -> None:
    board = VirtualBoard(BoardSettings(n_valves=20, readings={4: (0, 0)}))
    link, _ = link_to(board)
    results = link.selftest(2, 19, pulse_us=1000, mode=SelftestMode.FIRE)
    assert [answer.valve for answer in results] == list(range(2, 20))
    assert [answer.valve for answer in results if answer.coil_ma == 0] == [4]
    assert [(pulse.first_valve, pulse.valve_count) for pulse in board.take_fired()] == [(n, 1) for n in range(2, 20)]


def test_measuring_opens_nothing() -> None:
    board = VirtualBoard(BoardSettings(n_valves=4))
    link, _ = link_to(board)
    assert len(link.selftest(0, 3, pulse_us=300, mode=SelftestMode.MEASURE)) == 4
    assert board.take_fired() == []


@pytest.mark.parametrize(
    ("first", "last", "pulse_us", "words"),
    [(0, 4, 1000, "valve 4 is beyond its last, 3"), (0, 3, 20_001, "a pulse of 20001 us > its limit 20000 us")],
)
def test_a_controller_that_refuses_says_why(first: int, last: int, pulse_us: int, words: str) -> None:
    link, _ = link_to(VirtualBoard(BoardSettings(n_valves=4)))
    with pytest.raises(SelftestRefusedError, match=words):
        link.selftest(first, last, pulse_us=pulse_us, mode=SelftestMode.FIRE)


def test_it_is_refused_while_the_feeder_runs_and_while_armed() -> None:
    link, _ = link_to(VirtualBoard())
    link.set_feeder(500)
    with pytest.raises(SelftestRefusedError, match="the feeder runs"):
        link.selftest(0, 3, pulse_us=1000, mode=SelftestMode.FIRE)
    link.set_feeder(0)
    link.configure({})
    link.arm(1.0)
    with pytest.raises(SelftestRefusedError, match="it is ARMED, not IDLE"):
        link.selftest(0, 3, pulse_us=1000, mode=SelftestMode.FIRE)


def test_after_a_refusal_it_can_be_asked_again() -> None:
    link, _ = link_to(VirtualBoard(BoardSettings(n_valves=4)))
    with pytest.raises(SelftestRefusedError):
        link.selftest(0, 4, pulse_us=1000, mode=SelftestMode.FIRE)
    assert len(link.selftest(0, 3, pulse_us=1000, mode=SelftestMode.FIRE)) == 4


def test_a_second_one_beside_the_first_is_the_callers_mistake() -> None:
    link, _ = link_to(VirtualBoard())
    link.start_selftest(WISH)
    with pytest.raises(LinkStateError, match="runs already"):
        link.start_selftest(WISH)


def test_a_value_out_of_range_never_leaves_and_spoils_nothing() -> None:
    link, _ = link_to(VirtualBoard())
    with pytest.raises(MessageError):
        link.selftest(5, 4, pulse_us=1000, mode=SelftestMode.FIRE)
    assert len(link.selftest(4, 5, pulse_us=1000, mode=SelftestMode.FIRE)) == 2


def test_a_session_that_ends_takes_the_self_test_with_it() -> None:
    board = VirtualBoard()
    link, clock = link_to(board)
    link.start_selftest(WISH)
    board.reboot(clock.monotonic_ns())
    with pytest.raises(LinkDownError):
        link.ping(1.0)
    link.connect(1.0)
    with pytest.raises(LinkStateError, match="no self-test was started"):
        link.check_selftest()
    assert link.selftest_results == ()


def test_the_dictionary_arrives_whole_and_again() -> None:
    link, _ = link_to(VirtualBoard())
    for _ in range(2):
        data = link.read_dictionary(1.0)
        assert zlib.crc32(data) == DICTIONARY_CRC
    assert read_dictionary(data).protocol == 1


# ----- the rules


def run_of(*answers: SelftestRes, now_ns: int = 0) -> SelftestRun:
    run = SelftestRun()
    run.start(WISH, now_ns=0)
    for answer in answers:
        run.take(answer, now_ns)
    return run


def test_it_is_done_with_the_last_answer_and_takes_no_more() -> None:
    run = run_of(res(3), res(4), res(5, SelftestFlag.LAST), res(6))
    assert run.check(now_ns=0)
    assert [answer.valve for answer in run.results] == [3, 4, 5]


def test_a_stop_half_way_is_a_refusal_at_that_valve() -> None:
    run = run_of(res(3), res(4, SelftestFlag.REFUSED | SelftestFlag.LAST))
    with pytest.raises(SelftestRefusedError, match="at valve 4"):
        run.check(now_ns=0)
    assert [answer.valve for answer in run.results] == [3]


def test_a_controller_without_a_self_test_is_told() -> None:
    link, _ = link_to(VirtualBoard())
    assert link.ident is not None
    poor = msgspec.structs.replace(link.ident, caps=CapabilityFlag.NONE)
    assert refusal_text(WISH, 3, ident=poor, status=link.status).endswith("it has no self-test")


def test_silence_names_the_valve_that_did_not_answer() -> None:
    limit_ns = round(ANSWER_TIMEOUT_S * NS_PER_S) + WISH.pulse_us * 1000
    run = run_of(res(3), now_ns=500)
    assert not run.check(now_ns=500 + limit_ns)
    with pytest.raises(LinkTimeoutError, match="no answer about valve 4"):
        run.check(now_ns=501 + limit_ns)


def test_an_answer_that_nobody_asked_for_is_ignored() -> None:
    run = SelftestRun()
    run.take(res(3), now_ns=0)
    assert run.results == ()


@given(st.integers(0, 2000))
def test_pieces_make_the_whole_for_any_length(size_b: int) -> None:
    whole, reader = DICTIONARY[:size_b].ljust(size_b, b"x"), DictionaryRead()
    for _ in range(20):
        question = reader.request()
        reader.take(DictData(question.offset, whole[question.offset : question.offset + question.length]))
        assert reader.has_answered(question)
        if reader.is_done:
            break
    assert reader.data == whole


def test_a_piece_twice_or_from_elsewhere_changes_nothing() -> None:
    reader = DictionaryRead()
    first = DictData(0, bytes(240))
    for piece in (first, first, DictData(960, b"far")):
        reader.take(piece)
    assert (len(reader.data), reader.is_done) == (240, False)
