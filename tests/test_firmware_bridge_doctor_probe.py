"""The doctor's measurements: on good lines, on bad ones, and on those that nobody answers."""

import json
import re
import zlib
from pathlib import Path

import pytest
from cli_runs import RestartsOnce, board_on_pty, run

from firmware_bridge.board import BoardSettings
from firmware_bridge.board_shell import open_pty
from firmware_bridge.clock import ManualClock, SystemClock
from firmware_bridge.config_keys import ConfigKey
from firmware_bridge.dictionary import DICTIONARY_CRC
from firmware_bridge.doctor_facts import DictionaryState
from firmware_bridge.doctor_probe import Probe, ProbeSettings
from firmware_bridge.endpoint import Endpoint
from firmware_bridge.errors import TransportClosedError, TransportError
from firmware_bridge.link import Link
from firmware_bridge.link_events import DownReason
from firmware_bridge.messages import DictRead, FaultCode, Ident, Message
from firmware_bridge.port_facts import PortKind, PortTrouble, port_facts, port_holders, port_trouble, stable_name
from firmware_bridge.transport import Transport
from firmware_bridge.transport_board import BoardTransport
from firmware_bridge.transport_memory import memory_pair
from firmware_bridge.transport_open import open_transport
from firmware_bridge.virtual_board import VirtualBoard

SHORT = ProbeSettings(pings=20, watch_s=0.5)


class Wrapped:
    """A transport whose reads and writes a test bends."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    def read(self, max_b: int, timeout_s: float) -> bytes:
        return self._inner.read(max_b, timeout_s)

    def write(self, data: bytes) -> None:
        self._inner.write(data)

    def close(self) -> None:
        self._inner.close()


class Answers(Wrapped):
    """A far end that answers everything with the same bytes, or with what was written."""

    def __init__(self, clock: ManualClock, answer: bytes | None) -> None:
        near, self.far = memory_pair(clock)
        super().__init__(near)
        self._answer = answer

    def write(self, data: bytes) -> None:
        self.far.write(data if self._answer is None else self._answer)


def probe_virtual(board: VirtualBoard, clock: ManualClock | None = None) -> Probe:
    clock = clock or ManualClock()
    return Probe(BoardTransport(board, clock), clock, SHORT)


def test_a_good_line_and_board_are_measured_whole() -> None:
    answer, line, board = probe_virtual(VirtualBoard(BoardSettings(n_valves=24))).run()
    assert (answer.is_connected, answer.state_before) == (True, None)
    assert line is not None
    assert (line.pings_lost, line.damaged_here, line.down) == (0, 0, None)
    assert line.rtt is not None
    assert line.rtt.count == 20
    assert line.pings >= 20
    assert sum(one.count for one in line.histogram) == 20
    assert board is not None
    assert (board.n_valves, board.state, board.supply_mv, board.is_default_config) == (
        24,
        "IDLE",
        24_000,
        True,
    )
    assert (board.dict_crc, board.dictionary) == (DICTIONARY_CRC, DictionaryState.SAME)


def test_faults_of_the_session_before_are_heard_before_they_are_cleared() -> None:
    clock, board = ManualClock(), VirtualBoard()
    link = Link(BoardTransport(board, clock), clock)
    link.connect(1.0)
    clock.sleep_s(1.0)  # the program hangs
    board.advance(clock.monotonic_ns())
    answer, _, facts = probe_virtual(board, clock).run()
    assert (answer.state_before, answer.faults_before) == ("SAFE", 1 << FaultCode.HOST_SILENT)
    assert facts is not None
    assert facts.faults == 0


def test_settings_of_a_program_before_are_noticed() -> None:
    clock, board = ManualClock(), VirtualBoard()
    link = Link(BoardTransport(board, clock), clock)
    link.connect(1.0)
    link.configure({ConfigKey.MAX_PULSE_US: 5000})
    _, _, facts = probe_virtual(board, clock).run()
    assert facts is not None
    assert not facts.is_default_config


def test_it_moves_nothing() -> None:
    board = VirtualBoard()
    probe_virtual(board).run()
    assert board.fired == []
    assert board.feeder_permille == 0


def unanswered(answer: bytes | None) -> tuple[int, int, int, bool]:
    clock = ManualClock()
    facts, line, board = Probe(Answers(clock, answer), clock, SHORT).run()
    assert (line, board) == (None, None)
    return facts.heard_b, facts.good_frames, facts.echoed_frames, facts.is_connected


def test_silence_is_no_byte_at_all() -> None:
    assert unanswered(b"") == (0, 0, 0, False)


def test_noise_is_bytes_without_a_frame() -> None:
    heard_b, good, echoed, _ = unanswered(b"\x17\xfe\x00noise\x00")
    assert heard_b > 0
    assert (good, echoed) == (0, 0)


def test_an_echo_is_our_own_frames() -> None:
    heard_b, good, echoed, _ = unanswered(None)
    assert heard_b > 0
    assert good == 0
    assert echoed >= 40  # a HELLO every 50 ms for 2 s


def ident_of(board: VirtualBoard) -> Ident:
    clock = ManualClock()
    return Link(BoardTransport(board, clock), clock).connect(1.0)


class AnswersHello(Answers):
    """A controller of another version, or one that answers with a dictionary's checksum that is not its own."""

    def __init__(self, clock: ManualClock, **changes: int) -> None:
        super().__init__(clock, b"")
        values = {name: getattr(ident_of(VirtualBoard()), name) for name in Ident.__struct_fields__}
        self._ident = Ident(**{**values, **changes})
        self._endpoint = Endpoint(is_host=False)

    def write(self, data: bytes) -> None:
        for _, token in self._endpoint.receive(data, 0):
            self.far.write(self._endpoint.encode_session(self._ident, token))


def test_another_version_is_told_by_its_number() -> None:
    clock = ManualClock()
    answer, line, _ = Probe(AnswersHello(clock, proto=9), clock, SHORT).run()
    assert (answer.is_connected, answer.their_version, line) == (False, 9, None)


class BadDictionary(VirtualBoard):
    """A board whose identity tells another checksum than its dictionary has."""

    def __init__(self, dict_crc: int) -> None:
        super().__init__()
        self._crc = dict_crc

    def _ident(self) -> Ident:
        ident = super()._ident()
        return Ident(**{**{name: getattr(ident, name) for name in Ident.__struct_fields__}, "dict_crc": self._crc})


@pytest.mark.parametrize(
    ("dict_crc", "state"), [(0, DictionaryState.NONE), (zlib.crc32(b"other"), DictionaryState.DAMAGED)]
)
def test_a_dictionary_is_read_and_compared(dict_crc: int, state: DictionaryState) -> None:
    _, _, facts = probe_virtual(BadDictionary(dict_crc)).run()
    assert facts is not None
    assert facts.dictionary is state


class Deaf(VirtualBoard):
    """A board that does not answer one kind of message."""

    def __init__(self, kind: type[Message]) -> None:
        super().__init__()
        self._kind = kind

    def _dispatch(self, message: Message, seq: int) -> None:
        if not isinstance(message, self._kind):
            super()._dispatch(message, seq)


def test_a_dictionary_that_does_not_come_is_unread() -> None:
    _, line, facts = probe_virtual(Deaf(DictRead)).run()
    assert line is not None
    assert line.down is None
    assert facts is not None
    assert facts.dictionary is DictionaryState.UNREAD


def test_requests_that_are_never_answered_are_lost_one_by_one() -> None:
    """The link asks again by itself: an answer to that must not hide what was lost."""
    clock, board = ManualClock(), VirtualBoard()

    class CutForASecond(Wrapped):
        def read(self, max_b: int, timeout_s: float) -> bytes:
            data = super().read(max_b, timeout_s)
            return b"" if 0.5 < clock.monotonic_ns() / 1e9 < 0.85 else data

    probe = Probe(CutForASecond(BoardTransport(board, clock)), clock, ProbeSettings(pings=400, watch_s=2.0))
    _, line, _ = probe.run()
    assert line is not None
    assert line.down is None
    assert line.pings_lost >= 1


class Damages(Wrapped):
    """Turns over one bit of every n-th read that has bytes, once the session is up."""

    def __init__(self, inner: Transport, every: int) -> None:
        super().__init__(inner)
        self._every, self._reads = every, 0

    def read(self, max_b: int, timeout_s: float) -> bytes:
        data = super().read(max_b, timeout_s)
        self._reads += bool(data)
        if data and self._reads > 4 and self._reads % self._every == 0:
            return bytes([*data[:-3], data[-3] ^ 0x10, *data[-2:]])
        return data


def test_damaged_frames_and_lost_answers_are_counted() -> None:
    clock = ManualClock()
    _, line, _ = Probe(Damages(BoardTransport(VirtualBoard(), clock), every=7), clock, SHORT).run()
    assert line is not None
    assert line.damaged_here > 0
    assert 0 < line.pings_lost < line.pings


def test_a_port_that_dies_while_it_is_measured_is_told() -> None:
    clock, board = ManualClock(), VirtualBoard()

    class Pulled(Wrapped):
        def read(self, max_b: int, timeout_s: float) -> bytes:
            if clock.monotonic_ns() > 600_000_000:
                raise TransportClosedError("port is gone")
            return super().read(max_b, timeout_s)

    answer, line, _ = Probe(Pulled(BoardTransport(board, clock)), clock, SHORT).run()
    assert answer.is_connected
    assert line is not None
    assert line.down is DownReason.TRANSPORT


def test_a_port_that_dies_before_is_an_error() -> None:
    clock = ManualClock()
    near, far = memory_pair(clock)
    far.close()
    with pytest.raises(TransportError):
        Probe(near, clock, SHORT).run()


def test_a_stall_of_this_program_is_measured() -> None:
    clock = ManualClock()

    class Slow(Wrapped):
        def write(self, data: bytes) -> None:
            clock.sleep_s(0.06)
            super().write(data)

    _, line, _ = Probe(Slow(BoardTransport(VirtualBoard(), clock)), clock, SHORT).run()
    assert line is not None
    assert line.longest_pause_us >= 60_000


# ----- what the system says


@pytest.fixture
def system(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A device, a folder of stable names and one of terminals."""
    device, by_id, sys_tty = tmp_path / "ttyUSB3", tmp_path / "by-id", tmp_path / "tty"
    device.touch()
    by_id.mkdir()
    (by_id / "usb-FTDI-if00").symlink_to(device)
    (sys_tty / "ttyUSB3" / "device").mkdir(parents=True)
    (sys_tty / "ttyUSB3" / "device" / "latency_timer").write_text("16\n")
    return device, by_id, sys_tty


def test_a_changing_name_has_a_lasting_one(system: tuple[Path, Path, Path]) -> None:
    device, by_id, sys_tty = system
    facts = port_facts(str(device), by_id=by_id, sys_tty=sys_tty)
    assert (facts.is_stable, facts.stable_name) == (False, str(by_id / "usb-FTDI-if00"))
    assert (facts.latency_timer_ms, facts.device_name) == (16, "ttyUSB3")


def test_a_lasting_name_is_taken_for_one(system: tuple[Path, Path, Path]) -> None:
    _, by_id, sys_tty = system
    facts = port_facts(str(by_id / "usb-FTDI-if00"), by_id=by_id, sys_tty=sys_tty)
    assert facts.is_stable
    assert facts.latency_timer_ms == 16


def test_a_device_without_names_or_timer_is_left_alone(tmp_path: Path) -> None:
    facts = port_facts(str(tmp_path / "ttyACM0"), by_id=tmp_path / "none", sys_tty=tmp_path / "none")
    assert (facts.is_stable, facts.stable_name, facts.latency_timer_ms, facts.group) == (True, None, None, None)
    assert stable_name("/dev/nothing", by_id=tmp_path / "none") is None


@pytest.mark.parametrize(("port", "kind"), [("virtual", PortKind.VIRTUAL), ("tcp://host:1", PortKind.TCP)])
def test_what_is_no_device_is_not_looked_for(port: str, kind: PortKind) -> None:
    assert port_facts(port).kind is kind


def test_another_holder_of_a_device_is_named(tmp_path: Path) -> None:
    device = tmp_path / "ttyUSB0"
    device.touch()
    fds = tmp_path / "proc" / "999999" / "fd"
    fds.mkdir(parents=True)
    (fds / "3").symlink_to(device)
    (fds.parent / "comm").write_text("minicom\n")
    assert port_holders(str(device), proc=tmp_path / "proc") == ("minicom (pid 999999)",)
    assert port_holders(str(tmp_path / "other"), proc=tmp_path / "proc") == ()


@pytest.mark.parametrize(
    ("port", "trouble"),
    [
        ("/dev/not-there", PortTrouble.MISSING),
        ("/dev/null", PortTrouble.NO_TERMINAL),
        ("tcp://127.0.0.1:1", PortTrouble.UNREACHABLE),
        ("ttyACM0", PortTrouble.OTHER),
    ],
)
def test_a_port_that_cannot_be_opened_says_why(port: str, trouble: PortTrouble) -> None:
    with pytest.raises(TransportError) as error:
        open_transport(port, clock=SystemClock())
    assert port_trouble(error.value) is trouble


def test_a_held_port_is_busy() -> None:
    line = open_pty()
    held = open_transport(line.path, clock=SystemClock())
    with pytest.raises(TransportError) as error:
        open_transport(line.path, clock=SystemClock())
    held.close()
    line.close()
    assert port_trouble(error.value) is PortTrouble.BUSY


# ----- the command

QUICK = ("--for-s", "0.3", "--pings", "10")


def test_a_good_controller_gets_exit_code_0_and_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    with board_on_pty(VirtualBoard(BoardSettings(n_valves=24))) as path:
        code, out, _ = run(capsys, "doctor", "--port", path, *QUICK)
    assert code == 0
    assert "24 valves, 1024 slots" in out
    assert re.search(r"round trips (\d+) of \1 answered", out)


def test_json_carries_findings_and_facts(capsys: pytest.CaptureFixture[str]) -> None:
    with board_on_pty(VirtualBoard()) as path:
        _, out, _ = run(capsys, "doctor", "--port", path, *QUICK, "--json")
    report = json.loads(out)
    assert report["is_answering"]
    assert report["facts"]["board"]["dictionary"] == "same"
    assert {"code", "severity", "what", "why", "remedy"} == set(report["findings"][0])


def test_a_session_that_dies_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with board_on_pty(RestartsOnce(lambda _, outputs: outputs >= 8)) as path:
        code, out, _ = run(capsys, "doctor", "--port", path, *QUICK)
    assert code == 1
    assert "The controller has restarted." in out


@pytest.mark.parametrize(
    ("port", "words"),
    [("/dev/not-there", "There is no port"), ("/dev/null", "is no serial port"), ("ttyACM0", "try /dev/ttyACM0")],
)
def test_a_port_that_cannot_be_used_is_exit_code_4(capsys: pytest.CaptureFixture[str], port: str, words: str) -> None:
    code, out, _ = run(capsys, "doctor", "--port", port)
    assert code == 4
    assert words in out


def test_silence_is_exit_code_4_and_says_what_to_check(capsys: pytest.CaptureFixture[str]) -> None:
    line = open_pty()
    code, out, _ = run(capsys, "doctor", "--port", line.path, "--lang", "zh-CN")
    line.close()
    assert code == 4
    assert "没有收到任何数据" in out


def test_a_code_from_a_log_is_explained_without_a_port(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "doctor", "--explain", "late_dropped")
    assert code == 0
    assert "reached the controller after its time" in " ".join(out.split())


@pytest.mark.parametrize(("arguments", "words"), [([], "--port"), (["--explain", "NONSENSE"], "HOST_SILENT")])
def test_without_anything_to_look_at_it_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    code, out, err = run(capsys, "doctor", *arguments)
    assert (code, out) == (2, "")
    assert words in err
