"""The C reference controller in builds of its own: same bytes as its library, no byte out of bounds, no dead line."""

import contextlib
import hashlib
import json
import random
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from board_scripts import Player, Script, ToldBoard, compared_answers, play
from board_stories import Story
from bridge_vectors import Vector
from c_programs import SANITIZED, STRICT, compile_c, needs_compiler, needs_gcov, needs_sanitizers

from firmware_bridge import messages as m
from firmware_bridge.board import Board, BoardSettings
from firmware_bridge.codec import decode_payload, encode_payload, message_type
from firmware_bridge.config_keys import DEFAULT_CONFIG, ConfigKey, config_crc
from firmware_bridge.endpoint import Endpoint
from firmware_bridge.errors import LinkStateError, MessageError
from firmware_bridge.framing import encode_frame
from firmware_bridge.native_board import NativeBoard
from firmware_bridge.native_build import C_FOLDER, is_native_available
from firmware_bridge.virtual_board import VirtualBoard

HEADERS: Final = sorted(path.name for path in C_FOLDER.glob("*.h"))
COVERED: Final = ("sel_eject.h", "sel_control.h", "sel_controller.h", "sel_msgs.h", "sel_repack.h")
VECTORS: Final = Path(__file__).parent / "golden" / "sel1_vectors.jsonl"
COMPILER: Final = next((name for name in ("gcc", "cc", "clang") if shutil.which(name)), "cc")
MS: Final = 1_000_000

pytestmark = needs_compiler


# ---- stories ----


class FullStory(Story):
    """The common story beside an inspection that reports verdicts."""

    def _rare(self) -> None:
        super()._rare()
        verdict = m.Verdict(self.rng.randrange(99), 1, 255, m.VerdictSource.OPERATOR_KEY, self.rng.getrandbits(32))
        for _ in range(self.rng.choice((0, 1, 5, 20))):
            for board in self.boards:
                with contextlib.suppress(LinkStateError):  # no session
                    board.report_verdict(verdict)


def story_settings(seed: int, **changes: int) -> BoardSettings:
    rng = random.Random(seed)
    settings = BoardSettings(
        n_valves=rng.choice((28, 32)),
        slots=rng.choice((16, 64, 1024)),
        tick_offset=rng.choice((0, 2**32 - 300_000)),
        drift_ppm=rng.choice((0, 73, -40)),
        encoder_hz=rng.choice((0, 10_000)),
        readings={3: (0, 0), 5: (180, 4000)},
    )
    return msgspec.structs.replace(settings, **changes)


def tell_story(seed: int, board: Board) -> ToldBoard:
    told = ToldBoard(board)
    FullStory(seed, (told,)).tell(400)
    return told


class Host:
    """A host that says what a test wants, and hears nothing but the answers to it."""

    def __init__(self, board: Board) -> None:
        self.board, self.end = board, Endpoint(is_host=True)
        self.now_ns = self.control_seq = 0
        self.config = dict(DEFAULT_CONFIG)

    def hello(self, epoch: int = 0x101, versions: tuple[int, int] = (1, 1)) -> None:
        self.control_seq = 0
        self.end.start_session(epoch & 0xFF)
        self.board.feed(self.end.encode_session(m.Hello(*versions, epoch, 250), 7), self.now_ns)

    def arm(self, epoch: int = 0x101) -> None:
        self.hello(epoch)
        self.say_control(m.SetState(m.BoardState.ARMED))
        self.say(self.beat())

    def beat(self, flags: m.HeartbeatFlag = m.HeartbeatFlag.ARMED_WANTED) -> m.Heartbeat:
        return m.Heartbeat(0, config_crc(self.config), flags)

    def set_limit(self, key: ConfigKey, value: int) -> None:
        self.config[key] = value
        self.say_control(m.CfgSet(key, value))

    def tick(self, ahead: int) -> int:
        return (self.board.tick_at(self.now_ns) + ahead) % 2**32

    def say(self, *messages: m.Message) -> None:
        self.board.feed(b"".join(self.end.encode(message) for message in messages), self.now_ns)

    def say_control(self, *messages: m.Message) -> None:
        """Without a window, and each once."""
        frames = b""
        for message in messages:
            type_id = message_type(message, to_host=False)
            frames += encode_frame(type_id, self.end.epoch8, self.control_seq, encode_payload(message))
            self.control_seq += 1
        self.board.feed(frames, self.now_ns)

    def wait(self, ms: int, *, beat: m.Heartbeat | None = None) -> None:
        for _ in range(ms):
            self.now_ns += MS
            self.board.advance(self.now_ns)
        if beat is not None:
            self.say(beat)


def batch(
    evid: int, tick: int, *, valve: int = 1, pulse_us: int = 900, flags: m.BatchFlag = m.BatchFlag.NONE
) -> m.EjectBatch:
    return m.EjectBatch(evid, tick, flags, (m.EjectItem(0, valve, 1, pulse_us),))


def tell_of_a_crowd(board: Board) -> ToldBoard:
    """Nobody takes the reports: there is room for 2,048, then nothing is taken any more."""
    told = ToldBoard(board)
    host = Host(told)
    host.hello()
    for start in range(0, 3072, 1024):
        host.say(m.EjectCancel(start, start + 1024))
    host.say(batch(3072, 9000), batch(1, 9000))
    host.wait(3)
    return told


def tell_of_late_hosts(board: Board) -> ToldBoard:
    """Too many events come late, then none, in a session whose host acknowledges nothing and grants no credit."""
    told = ToldBoard(board)
    host = Host(told)
    host.arm()
    host.say(m.CtrlAck(0, 0))
    host.say(m.EjectMask(200, host.tick(9000), m.BatchFlag.NONE, (m.MaskItem(0, 0, 1 << 31, 900),)))
    for evid in range(100):
        host.say(batch(evid, host.tick(-1000 if evid < 90 else 5000), flags=m.BatchFlag.ALLOW_LATE))
    for _ in range(40):
        host.wait(50, beat=host.beat())
    host.say(*(batch(evid, host.tick(5000)) for evid in (5000, 5001, 5001, 3000)))
    host.wait(20)
    return told


def tell_of_odd_words(board: Board) -> ToldBoard:
    """What is allowed, and nobody says: odd versions, keys, types, more than there is room for."""
    told = ToldBoard(board)
    host = Host(told)
    for versions in ((0, 0), (2, 3), (0, 3)):
        host.hello(0x101, versions)
    host.hello(0x202)
    host.hello(0x101)
    host.end.start_session(0x02)
    host.say_control(m.CfgSet(999, 1), m.Verdict(1, 2, 3, m.VerdictSource.OPERATOR_KEY, 4))
    host.say(m.Log(m.LogLevel.INFO, b"hello"), m.ErrorReport(0x44, 1, m.ErrorCode.UNKNOWN_TYPE))
    told.feed(b"".join(encode_frame(0x60, 0x02, seq, b"") for seq in range(12)), host.now_ns)
    for mode in m.SelftestMode:
        host.say_control(m.Selftest(2, 3, 65_535, mode), m.Selftest(2, 3, 200, mode), m.Selftest(2, 3, 200, mode))
        host.wait(30)
    host.say_control(*(m.DictRead(at, 200) for at in range(18)))  # all but the last one or two have an answer
    host.say(m.CtrlAck(1, 3), m.CtrlAck(0, 0), m.CtrlAck(9, 1), m.CtrlAck(9, 1), m.CtrlAck(17, 8))
    host.wait(3)
    host.hello(0x303)
    host.wait(240)
    host.say_control(m.SetState(m.BoardState.ARMED))
    host.wait(260)
    host.say(host.beat())  # too late: what silence latched stays so
    wishes = ((0, 0), (1, 9), (1, 9), (2, 18), (3, 1 << 30), (4, 27))
    host.say(*(m.XferOpen(number, size_b, bytes(16), m.TransferKind.FILE, 8, b"") for number, size_b in wishes))
    host.wait(3)
    return told


def tell_of_new_limits(board: Board) -> ToldBoard:
    """Limits change while pulses wait and valves are open, and a stop comes while a valve waits for its pause."""
    told = ToldBoard(board)
    host = Host(told)
    host.arm()
    host.say(*(batch(evid, host.tick(5000), valve=evid, pulse_us=5000) for evid in range(2)))
    host.wait(1)
    host.set_limit(ConfigKey.MAX_PULSE_US, 1500)  # 0 and 1: 1500 us instead of 5000
    host.wait(9)
    host.set_limit(ConfigKey.MIN_OFF_US, 0)
    # 2, 3: one pulse of 1500, since nothing lies between them
    host.say(*(batch(2 + n, host.tick(2000 + 900 * n), valve=2) for n in range(2)))
    host.wait(10)
    host.set_limit(ConfigKey.MIN_OFF_US, 3000)
    host.set_limit(ConfigKey.MAX_PULSE_US, 20_000)
    # 4 closes at 2 ms; 5 waits until 5 ms, but all is stopped at 3 ms; 6 comes at the very tick of the stop
    host.say(*(batch(4 + n, host.tick(1000 + 1500 * n), valve=4, pulse_us=1000 + 4000 * n) for n in range(2)))
    host.wait(3)
    host.say_control(m.SetState(m.BoardState.SAFE))
    host.arm(0x202)
    host.say(batch(6, host.tick(0), valve=4, pulse_us=5000))
    host.wait(10)
    return told


def tell_of_silence(board: Board) -> ToldBoard:
    """A host falls silent with events under way: some fire while the controller drains, some never do."""
    told = ToldBoard(board)
    host = Host(told)
    for epoch, ahead in ((0x101, (251_000, 300_000, 420_000)), (0x202, (252_000, 260_000))):
        host.arm(epoch)
        host.say(batch(0, host.tick(200_000)))
        host.say(*(batch(evid + epoch, host.tick(tick)) for evid, tick in enumerate(ahead)))
        host.wait(255)
        host.say(host.beat(), batch(0x303, host.tick(5000)))  # too late: it is latched
        host.wait(200)
    host.arm(0x404)
    host.say(batch(0x404, host.tick(260_000)))
    host.now_ns += 1000 * MS
    told.advance(host.now_ns)
    return told


def tell_of_verdicts(board: Board) -> ToldBoard:
    """An inspection says more than the host takes, and another host comes."""
    told = ToldBoard(board)
    host = Host(told)
    host.hello()
    for number in range(30):
        told.report_verdict(m.Verdict(number, 1, 255, m.VerdictSource.OPERATOR_KEY, 0))
    host.hello(0x202)
    told.report_verdict(m.Verdict(99, 1, 255, m.VerdictSource.OPERATOR_KEY, 0))
    host.wait(3)
    return told


STORIES: Final = (
    tell_of_verdicts,
    tell_of_a_crowd,
    tell_of_late_hosts,
    tell_of_odd_words,
    tell_of_silence,
    tell_of_new_limits,
)


# ---- the laws ----

BOARDS: Final = [
    pytest.param(VirtualBoard, id="python"),
    pytest.param(NativeBoard, id="c", marks=pytest.mark.skipif(not is_native_available(), reason="no C compiler")),
]


@pytest.mark.parametrize("board", BOARDS)
def test_a_limit_binds_pulses_that_were_taken_before_it_and_a_stop_does_not_shorten_a_pause(
    board: Callable[[], Board],
) -> None:
    told = tell_of_new_limits(board())
    fired = [(row.evid, row.open_tick, row.close_tick) for answer in told.answers for row in answer.fired]
    assert fired == [
        (0, 5000, 6500),
        (1, 5000, 6500),
        (2, 12_000, 12_900),
        (3, 12_900, 13_500),
        (4, 21_000, 22_000),
        (6, 26_000, 28_000),
    ]


@pytest.mark.parametrize("board", BOARDS)
def test_verdicts_that_wait_when_a_session_begins_are_not_for_its_host(board: Callable[[], Board]) -> None:
    told = tell_of_verdicts(board())
    host = Endpoint(is_host=True)
    host.start_session(0x02)
    heard = host.receive(b"".join(answer.output for answer in told.answers), now_ns=0)
    assert [message.object_id for message, _ in heard if isinstance(message, m.Verdict)] == [99]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("controller")


@pytest.fixture(scope="module")
def sanitized(folder: Path) -> Path:
    return compile_c("sel_play.c", folder / "sanitized", *SANITIZED, "-O0", "-DSEL_MAX_BODY=1032")


@needs_sanitizers
def test_a_build_with_sanitizers_answers_as_the_library_and_finds_nothing(sanitized: Path) -> None:
    boards = [tell_story(seed, NativeBoard(story_settings(seed))) for seed in range(100, 116)]
    stories = [*boards, *(tell(NativeBoard()) for tell in STORIES)]
    assert compared_answers(sanitized, stories) > 1000


@needs_sanitizers
def test_a_controller_without_sensing_or_store_says_so(sanitized: Path) -> None:
    assert_is_bare(sanitized)


def vector_script() -> tuple[bytes, list[bytes]]:
    """Return calls that pack payloads again, those of the vectors and of wrong lengths, and what that must give."""
    script, expected = Script(BoardSettings()), []
    bodies = [
        bytes.fromhex(msgspec.json.decode(line, type=Vector).body_hex or "")
        for line in VECTORS.read_bytes().splitlines()
    ]
    cases = [(body[0], body[4:-4]) for body in bodies if len(body) >= 8]
    cases += [(type_id, bytes(size_b)) for type_id in range(256) for size_b in (0, 1100)]
    for type_id, payload in cases:
        script.call("K", bytes((type_id,)) + payload)
        try:
            decode_payload(type_id, payload)
            expected.append(payload)
        except MessageError:
            expected.append(b"")
    return b"".join(script.parts), expected


def repacked(output: bytes) -> list[bytes]:
    player, payloads = Player(output), []
    while player.at < len(output):
        assert output[player.at : player.at + 1] == b"k"
        player.at += 1
        payloads.append(player.sized())
    return payloads


def bare_answers(program: Path, store: int) -> list[m.Message]:
    """Tell a controller without sensing, inspection and recorder, with a store or without, and return what it says."""
    told = ToldBoard(VirtualBoard(BoardSettings(max_body_b=264)))
    told.script = Script(told.settings, bare=1 + store)
    told.script.power_on(1)
    host = Host(told)
    host.hello()
    host.say_control(m.Selftest(1, 1, 100, m.SelftestMode.FIRE))
    data = b"grain"
    digest = hashlib.sha256(data).digest()[:16]
    host.say(m.XferOpen(1, 5, digest, m.TransferKind.FILE, 8, b""), m.XferData(1, 0, data))
    host.wait(15)
    host.say_control(m.SetState(m.BoardState.SAFE))
    player = Player(play(program, b"".join(told.script.parts)), is_watched=False)
    output = b"".join(answer.output for answer in player.answers())
    return [item.message for item in host.end.receive(output, host.now_ns)]


def assert_is_bare(program: Path) -> None:
    for has_store in (False, True):
        messages = bare_answers(program, has_store)
        (ident,) = (message for message in messages if isinstance(message, m.Ident))
        (result,) = (message for message in messages if isinstance(message, m.SelftestRes))
        assert bool(ident.caps & m.CapabilityFlag.BULK) is has_store
        assert result == m.SelftestRes(1, 0, 0, m.SelftestFlag.LAST | m.SelftestFlag.NO_SENSE)
        assert any(isinstance(message, m.XferDone) for message in messages) is has_store


@needs_gcov
def test_stories_and_vectors_reach_every_line_and_nearly_every_branch(tmp_path: Path) -> None:
    """With the limits of a small controller: 264 bytes of body."""
    program = compile_c("sel_play.c", tmp_path / "play", "-O0", "--coverage")
    settings = [story_settings(seed, max_body_b=264) for seed in range(200, 212)]
    boards = [tell_story(seed, VirtualBoard(row)) for seed, row in enumerate(settings)]
    small = BoardSettings(max_body_b=264)
    assert compared_answers(program, [*boards, *(tell(VirtualBoard(small)) for tell in STORIES)]) > 0
    assert_is_bare(program)
    script, expected = vector_script()
    assert expected == repacked(play(program, script))
    refusals = Script(BoardSettings())
    for fill in (0, 0xFF):
        refusals.call("R", bytes((fill,)))
    assert [bytes((17,)), bytes((23,))] == repacked(play(program, b"".join(refusals.parts)))
    for name, lines in coverage_of(tmp_path).items():
        branches = [branch["count"] for line in lines for branch in line["branches"]]
        assert (name, [line["line_number"] for line in lines if line["count"] == 0]) == (name, [])
        assert sum(count > 0 for count in branches) >= 0.95 * len(branches), name


def coverage_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return gcov's lines of each header that must be covered."""
    counts = [str(path) for path in folder.glob("*.gcda")]
    gcov = ["gcov", "--json-format", "--branch-probabilities", "--stdout", *counts]
    report = json.loads(subprocess.run(gcov, check=True, capture_output=True, cwd=folder, timeout=60).stdout)
    lines = {Path(file["file"]).name: file["lines"] for file in report["files"]}
    return {name: lines[name] for name in COVERED}


# ---- compilers ----


def test_every_header_compiles_alone_with_its_own_limits(folder: Path) -> None:
    sources = [folder / f"alone_{Path(header).stem}.c" for header in HEADERS]
    for header, source in zip(HEADERS, sources, strict=True):
        source.write_text(f'#include "{header}"\n', encoding="ascii")
    assert complaints([*sources, C_FOLDER / "sel_board.c"], folder, "-O0", "-fkeep-inline-functions") == ""


@pytest.mark.parametrize("level", ["-O2", "-Os"])
def test_every_function_compiles_without_a_warning(folder: Path, level: str) -> None:
    """Some warnings need the optimizer, which must not drop what is not called."""
    source = folder / "whole.c"
    source.write_text("".join(f'#include "{header}"\n' for header in HEADERS), encoding="ascii")
    assert complaints([source], folder, level, "-fkeep-inline-functions") == ""


def test_the_headers_compile_for_32_bits(folder: Path) -> None:
    source = folder / "wide.c"
    source.write_text("#include <stdint.h>\n#include <string.h>\nint main(void) { return 0; }\n", encoding="ascii")
    if complaints([source], folder, "-m32"):
        pytest.skip("this compiler has no headers for -m32")
    source.write_text('#include "sel_controller.h"\n#include "sel_repack.h"\n', encoding="ascii")
    assert complaints([source], folder, "-m32", "-O2", "-fkeep-inline-functions") == ""


def complaints(sources: Sequence[Path], folder: Path, *flags: str) -> str:
    """Compile each for itself, in one run of the compiler, and return what it says about them."""
    command = [COMPILER, *STRICT, *flags, "-c", "-I", str(C_FOLDER), *map(str, sources)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, timeout=60)
    return done.stderr or ("" if done.returncode == 0 else f"exit {done.returncode}")
