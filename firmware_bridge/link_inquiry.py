"""What the host asks a controller about itself: its valves one after another, and its dictionary piece by piece.

Pure: messages in, messages to send out; `link_core` moves them, `valve_verdict` judges what the valves say.

>>> from firmware_bridge.messages import SelftestMode
>>> run = SelftestRun()
>>> run.start(Selftest(3, 4, 1000, SelftestMode.MEASURE), now_ns=0)
>>> run.take(SelftestRes(3, coil_ma=180, open_us=0, flags=SelftestFlag(0)), now_ns=11_000_000)
>>> run.check(now_ns=12_000_000), run.results[0].coil_ma
(False, 180)
"""

from typing import Final

from firmware_bridge.errors import LinkStateError, LinkTimeoutError, SelftestRefusedError
from firmware_bridge.messages import (
    BoardState,
    CapabilityFlag,
    DictData,
    DictRead,
    Ident,
    Selftest,
    SelftestFlag,
    SelftestRes,
    Status,
)

__all__ = ["ANSWER_TIMEOUT_S", "DictionaryRead", "SelftestRun", "refusal_text"]

ANSWER_TIMEOUT_S: Final = 2.0  # for one valve beyond its pulse: a controller may let its air supply recover
_PIECE_B: Final = 240
_MAX_DICTIONARY_B: Final = 0xFFFF  # offsets are u16
_US: Final = 1_000


class SelftestRun:
    """At most one self-test at a time, as the controller has it."""

    def __init__(self) -> None:
        self.forget()

    @property
    def results(self) -> tuple[SelftestRes, ...]:
        """Return the answers so far, in the order of the valves."""
        return tuple(self._results)

    def forget(self) -> None:
        """End it without a result: the session is over."""
        self._wish: Selftest | None = None
        self._results: list[SelftestRes] = []
        self._refused_valve: int | None = None
        self._is_done = False
        self._heard_ns = 0

    def start(self, wish: Selftest, now_ns: int) -> None:
        """Expect the answers to `wish`, which leaves now.

        Raises:
            LinkStateError: one runs already.
        """
        if self._wish is not None and not self._is_done:
            raise LinkStateError("a self-test runs already: wait for its end")
        self.forget()
        self._wish, self._heard_ns = wish, now_ns

    def take(self, answer: SelftestRes, now_ns: int) -> None:
        """Take the answer about one valve; one that nobody waits for is ignored."""
        wish = self._wish
        if wish is None or self._is_done:
            return
        self._heard_ns = now_ns
        if answer.flags & SelftestFlag.REFUSED:
            self._refused_valve = answer.valve
        else:
            self._results.append(answer)
        self._is_done = bool(answer.flags & (SelftestFlag.LAST | SelftestFlag.REFUSED))

    def check(self, now_ns: int, *, ident: Ident | None = None, status: Status | None = None) -> bool:
        """Tell whether every valve has answered.

        Args:
            now_ns: to notice that nothing more comes.
            ident: of the controller, to say why it refuses.
            status: of the controller, likewise.

        Raises:
            LinkStateError: no self-test was started in this session.
            SelftestRefusedError: the controller does not do it, or stopped half-way.
            LinkTimeoutError: nothing more comes.
        """
        wish = self._wish
        if wish is None:
            raise LinkStateError("no self-test was started in this session")
        if self._refused_valve is not None:
            raise SelftestRefusedError(refusal_text(wish, self._refused_valve, ident=ident, status=status))
        if self._is_done:
            return True
        if now_ns - self._heard_ns > wish.pulse_us * _US + ANSWER_TIMEOUT_S * 1e9:
            valve = wish.first_valve + len(self._results)
            raise LinkTimeoutError(f"no answer about valve {valve} within {ANSWER_TIMEOUT_S} s of its pulse")
        return False


class DictionaryRead:
    """Gathers the pieces of the controller's dictionary; `firmware_bridge.dictionary` reads the whole."""

    def __init__(self) -> None:
        self.is_done = False
        self._data = bytearray()

    @property
    def data(self) -> bytes:
        """Return what has arrived, from the start on."""
        return bytes(self._data)

    def forget(self) -> None:
        """Begin anew, as for another controller."""
        self.is_done = False
        self._data.clear()

    def take(self, piece: DictData) -> None:
        """Append a piece; one that was not asked for is ignored, one shorter than asked for is the last."""
        if self.is_done or piece.offset != len(self._data):
            return
        self._data += piece.data
        self.is_done = len(piece.data) < _PIECE_B or len(self._data) > _MAX_DICTIONARY_B - _PIECE_B

    def request(self) -> DictRead:
        """Return the question for the next piece."""
        return DictRead(len(self._data), _PIECE_B)

    def has_answered(self, question: DictRead) -> bool:
        """Tell whether the piece that was asked for is there."""
        return self.is_done or len(self._data) > question.offset


def refusal_text(wish: Selftest, valve: int, *, ident: Ident | None, status: Status | None) -> str:
    """Return why a controller does not try `valve`, as far as the host can know: it only says no.

    >>> from firmware_bridge.messages import SelftestMode
    >>> refusal_text(Selftest(0, 7, 1000, SelftestMode.FIRE), 0, ident=None, status=None)
    'controller refuses the self-test at valve 0: the feeder runs, or a self-test runs already'
    """
    reasons = []
    if status is not None and status.state is not BoardState.IDLE:
        reasons.append(f"it is {status.state.name}, not IDLE")
    if ident is not None and wish.last_valve >= ident.n_valves:
        reasons.append(f"valve {wish.last_valve} is beyond its last, {ident.n_valves - 1}")
    if ident is not None and wish.pulse_us > ident.max_pulse_us:
        reasons.append(f"a pulse of {wish.pulse_us} us > its limit {ident.max_pulse_us} us")
    if ident is not None and not ident.caps & CapabilityFlag.SELFTEST:
        reasons.append("it has no self-test")
    if not reasons:
        reasons.append("the feeder runs, or a self-test runs already")
    return f"controller refuses the self-test at valve {valve}: {'; '.join(reasons)}"
