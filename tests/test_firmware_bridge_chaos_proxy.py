"""The chaos proxy: what its lines do reaches the ends, at the right time, and ends may come and go."""

import itertools
import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.board_shell import BoardShell, open_pty
from firmware_bridge.chaos import ChaosProxy, LinkedPty
from firmware_bridge.chaos_settings import PROFILES, SETTING_DEFAULTS, ChaosLines, change_lines
from firmware_bridge.cli_chaos import chaos
from firmware_bridge.clock import ManualClock, SystemClock
from firmware_bridge.command_line import run_command_line
from firmware_bridge.errors import BridgeError, TransportClosedError, TransportError
from firmware_bridge.line_faults import FaultCounters, FaultSettings, FaultyLine
from firmware_bridge.link import Link
from firmware_bridge.transport import Transport
from firmware_bridge.transport_memory import MemoryTransport, memory_pair
from firmware_bridge.transport_serial import open_serial
from firmware_bridge.virtual_board import VirtualBoard

MS = 1_000_000
US = 1_000
WAIT_S = 10.0


@dataclass
class Bench:
    """A proxy in virtual time between two memory transports that are made anew as often as it asks."""

    to_board: FaultSettings = field(default_factory=FaultSettings)
    to_host: FaultSettings = field(default_factory=FaultSettings)
    board_refusals: int = 0  # attempts to open the board's end that fail from now on

    def __post_init__(self) -> None:
        self.clock = ManualClock()
        self.hosts: list[MemoryTransport] = []
        self.boards: list[MemoryTransport] = []
        rng = random.Random(1)
        self.lines = [FaultyLine(faults, rng) for faults in (self.to_board, self.to_host)]
        self.proxy = ChaosProxy(
            self.open_host, self.open_board, to_board=self.lines[0], to_host=self.lines[1], clock=self.clock
        )

    def open_host(self) -> Transport:
        mine, its = memory_pair()
        self.hosts.append(mine)
        return its

    def open_board(self) -> Transport:
        if self.board_refusals:
            self.board_refusals -= 1
            raise TransportError("no such port")
        mine, its = memory_pair()
        self.boards.append(mine)
        return its

    @property
    def host(self) -> MemoryTransport:
        return self.hosts[-1]

    @property
    def board(self) -> MemoryTransport:
        return self.boards[-1]

    def run_to(self, end_ns: int) -> None:
        while self.clock.monotonic_ns() < end_ns:
            self.proxy.run_once((end_ns - self.clock.monotonic_ns()) / 1e9)

    def is_up(self) -> bool:
        return self.proxy.is_up

    def has_work(self, written_b: int) -> bool:
        """Tell whether less was delivered than the ends have written."""
        return sum(counters.delivered_b for counters in self.counters()) < written_b

    def counters(self) -> tuple[FaultCounters, FaultCounters]:
        return self.proxy.counters


@dataclass
class Wall:
    """An end that takes nothing and says nothing."""

    refusal: TransportError

    def read(self, max_b: int, timeout_s: float) -> bytes:
        return b""

    def write(self, data: bytes) -> None:
        raise self.refusal

    def close(self) -> None:
        pass


def hit_the_wall(refusal: TransportError) -> ChaosProxy:
    """Let five bytes cross the line to an end that refuses them; it cannot be opened again."""
    (host, its), ends = memory_pair(), [Wall(refusal)]

    def open_board() -> Transport:
        if not ends:
            raise TransportError("gone for good")
        return ends.pop()

    lines = [FaultyLine(FaultSettings(), random.Random(1)) for _ in range(2)]
    proxy = ChaosProxy(lambda: its, open_board, to_board=lines[0], to_host=lines[1], clock=ManualClock())
    host.write(b"12345")
    proxy.run_once(0.0)
    proxy.run_once(0.0)
    return proxy


def test_bytes_pass_unchanged_both_ways_when_all_faults_are_off() -> None:
    bench, every = Bench(), bytes(range(256)) * 10
    bench.host.write(every)
    bench.board.write(every[::-1])
    bench.proxy.run_once(0.0)
    assert bench.board.read(10_000, 0.0) == every
    assert bench.host.read(10_000, 0.0) == every[::-1]


def test_each_direction_has_its_own_faults() -> None:
    bench = Bench(to_host=FaultSettings(frame_drop_rate=1.0))
    bench.host.write(b"there\0")
    bench.board.write(b"back\0")
    bench.proxy.run_once(0.0)
    assert bench.board.read(100, 0.0) == b"there\0"
    assert bench.host.read(100, 0.0) == b""
    assert [counters.frames_dropped for counters in bench.counters()] == [0, 1]


def test_a_frame_on_a_throttled_line_is_complete_in_its_nanosecond_in_few_steps() -> None:
    bench = Bench(to_board=FaultSettings(baud=921_600))
    bench.host.write(bytes(140))
    bench.proxy.run_once(0.0)
    came, n_steps = b"", 0
    while len(came) < 140:
        bench.proxy.run_once(1.0)
        came += bench.board.read(1000, 0.0)
        n_steps += 1
    assert 1_519_098 <= bench.clock.monotonic_ns() <= 1_519_100  # sleeps are seconds in a float
    assert n_steps <= 12  # not one a byte


@settings(deadline=None, max_examples=50)
@given(
    script=st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=60), st.binary(max_size=60)), max_size=6),
    baud=st.sampled_from([None, 115_200, 921_600]),
    buffer_b=st.sampled_from([None, 16]),
    timer_ms=st.sampled_from([0, 5]),
)
def test_a_sound_line_delivers_everything_in_order_whatever_the_pace(
    script: list[tuple[int, bytes, bytes]], baud: int | None, buffer_b: int | None, timer_ms: int
) -> None:
    faults = FaultSettings(baud=baud, buffer_b=buffer_b, blocks=True, latency_timer_ms=timer_ms, delay_us=100)
    bench = Bench(to_board=faults, to_host=faults)
    now_ns = 0
    for pause_us, there, back in script:
        now_ns += pause_us * US
        bench.run_to(now_ns)
        bench.host.write(there)
        bench.board.write(back)
    while bench.has_work(sum(len(there) + len(back) for _, there, back in script)):
        bench.proxy.run_once(0.01)
    assert bench.board.read(10_000, 0.0) == b"".join(there for _, there, _ in script)
    assert bench.host.read(10_000, 0.0) == b"".join(back for _, _, back in script)


def test_a_line_that_blocks_holds_the_sender_and_loses_nothing() -> None:
    bench = Bench(to_board=FaultSettings(baud=1_000_000, buffer_b=100, blocks=True))
    for number in range(20):
        bench.host.write(bytes((number,)) * 50)
    bench.run_to(5 * MS)
    taken_b = bench.counters()[0].taken_b
    assert 500 <= taken_b <= 600  # those on the line, and the buffer's
    bench.run_to(11 * MS)
    assert bench.board.read(10_000, 0.0) == b"".join(bytes((number,)) * 50 for number in range(20))


# ----- hang-ups


def test_at_a_hang_up_the_hosts_port_is_gone_and_comes_back_as_another_one() -> None:
    bench = Bench(
        to_board=FaultSettings(hang_up_every_ms=100, hang_up_ms=30),
        to_host=FaultSettings(hang_up_every_ms=100, hang_up_ms=30, delay_us=5_000),
    )
    bench.run_to(69 * MS)
    bench.board.write(b"on its way")
    bench.run_to(71 * MS)
    assert not bench.is_up()
    with pytest.raises(TransportClosedError):
        bench.hosts[0].read(10, 0.0)
    bench.board.write(b"nobody there")
    bench.run_to(99 * MS)
    assert len(bench.hosts) == 1
    bench.run_to(101 * MS)
    assert bench.is_up()
    assert len(bench.hosts) == 2
    assert len(bench.boards) == 1  # the cable to the host hangs up, not the controller's port
    bench.board.write(b"welcome back")
    bench.run_to(107 * MS)
    assert bench.host.read(100, 0.0) == b"welcome back"
    assert bench.counters()[1].hang_up_b == len(b"on its way") + len(b"nobody there")


def test_a_hang_up_of_one_line_is_one_of_both() -> None:
    bench = Bench(to_board=FaultSettings(hang_up_every_ms=100, hang_up_ms=30))
    bench.run_to(75 * MS)
    bench.board.write(b"unheard")
    bench.run_to(80 * MS)
    assert not bench.is_up()
    assert bench.proxy.unclaimed_to_host_b == len(b"unheard")


def test_the_edges_of_a_hang_up_are_met_exactly() -> None:
    bench = Bench(to_board=FaultSettings(hang_up_every_ms=100, hang_up_ms=30))
    edges, was_up = [], True
    while bench.clock.monotonic_ns() < 250 * MS:
        bench.proxy.run_once(1.0)
        if bench.is_up() != was_up:
            edges.append(bench.clock.monotonic_ns())
            was_up = bench.is_up()
    assert edges == [70 * MS, 100 * MS, 170 * MS, 200 * MS]


def test_a_proxy_that_starts_in_a_hang_up_offers_its_port_at_the_end_of_it() -> None:
    clock, opened_ns = ManualClock(), []
    clock.advance_ns(75 * MS)

    def open_host() -> Transport:
        opened_ns.append(clock.monotonic_ns())
        return memory_pair()[1]

    lines = [FaultyLine(FaultSettings(hang_up_every_ms=100, hang_up_ms=30), random.Random(1)) for _ in range(2)]
    proxy = ChaosProxy(open_host, lambda: memory_pair()[1], to_board=lines[0], to_host=lines[1], clock=clock)
    proxy.run(lambda: clock.monotonic_ns() >= 110 * MS)
    assert opened_ns == [100 * MS]


# ----- ends that come and go


def test_a_controller_that_vanishes_takes_the_hosts_port_with_it_until_it_is_back() -> None:
    bench = Bench()
    bench.board_refusals = 3
    bench.board.close()
    bench.run_to(50 * MS)
    assert not bench.is_up()
    bench.run_to(250 * MS)
    assert (len(bench.boards), len(bench.hosts)) == (1, 1)
    bench.run_to(350 * MS)
    assert bench.is_up()
    bench.host.write(b"again")
    bench.run_to(360 * MS)
    assert bench.board.read(100, 0.0) == b"again"


def test_a_host_that_closes_gets_a_new_port_at_once() -> None:
    bench = Bench()
    bench.host.close()
    bench.run_to(10 * MS)
    assert (bench.is_up(), len(bench.hosts)) == (True, 2)


@pytest.mark.parametrize(
    ("refusal", "is_up"), [(TransportError("no room"), True), (TransportClosedError("hung up"), False)], ids=str
)
def test_bytes_that_an_end_does_not_take_are_lost_and_counted(refusal: TransportError, is_up: bool) -> None:
    proxy = hit_the_wall(refusal)
    assert (proxy.unclaimed_to_board_b, proxy.unclaimed_to_host_b, proxy.is_up) == (5, 0, is_up)


def test_a_proxy_whose_ends_cannot_be_opened_is_not_made() -> None:
    with pytest.raises(TransportError, match="no such port"):
        Bench(board_refusals=1)
    boards: list[MemoryTransport] = []

    def open_board() -> Transport:
        mine, its = memory_pair()
        boards.append(mine)
        return its

    def refuse() -> Transport:
        raise TransportError("no pseudo-terminal")

    line = FaultyLine(FaultSettings(), random.Random(1))
    with pytest.raises(TransportError, match="no pseudo-terminal"):
        ChaosProxy(refuse, open_board, to_board=line, to_host=line, clock=ManualClock())
    with pytest.raises(TransportClosedError):
        boards[0].read(1, 0.0)


def test_a_closed_proxy_has_hung_up_at_both_ends() -> None:
    bench = Bench()
    bench.proxy.close()
    bench.proxy.close()
    for end in (bench.host, bench.board):
        with pytest.raises(TransportClosedError):
            end.read(1, 0.0)


def test_run_asks_whether_to_stop_at_least_every_50_ms() -> None:
    bench, asked_ns = Bench(), []

    def should_stop() -> bool:
        asked_ns.append(bench.clock.monotonic_ns())
        return len(asked_ns) > 20

    bench.proxy.run(should_stop)
    assert all(later - earlier <= 50 * MS for earlier, later in itertools.pairwise(asked_ns))
    assert len(asked_ns) == 21


# ----- terminals


def test_the_link_names_the_terminal_while_it_is_open(tmp_path: Path) -> None:
    link = tmp_path / "ejector"
    pty = LinkedPty(link)
    port = open_serial(pty.path)
    port.write(b"abc")
    assert pty.read(10, WAIT_S) == b"abc"
    pty.write(b"def")
    assert port.read(10, WAIT_S) == b"def"
    assert pty.path == str(link)
    pty.close()
    pty.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TransportClosedError):
        port.read(10, WAIT_S)
    port.close()


def test_a_link_is_taken_over_and_an_old_owner_leaves_the_new_one_alone(tmp_path: Path) -> None:
    link = tmp_path / "ejector"
    old, new = LinkedPty(link), LinkedPty(link)
    old.close()
    assert link.resolve().exists()
    new.close()
    assert not link.is_symlink()


def test_a_file_is_never_replaced_by_a_link(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work", encoding="utf-8")
    with pytest.raises(TransportError, match="no symlink"):
        LinkedPty(precious)
    with pytest.raises(TransportError, match="cannot be made"):
        LinkedPty(tmp_path / "no such folder" / "link")
    assert precious.read_text(encoding="utf-8") == "years of work"


def test_without_a_link_the_path_is_the_terminals() -> None:
    pty = LinkedPty()
    assert os.ttyname(os.open(pty.path, os.O_RDWR | os.O_NOCTTY)) == pty.path
    pty.close()


@contextmanager
def running(loop: Callable[[Callable[[], bool]], None]) -> Iterator[None]:
    """Run a loop in a thread until the block ends."""
    stop = threading.Event()
    thread = threading.Thread(target=loop, args=(stop.is_set,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(WAIT_S)


def ping_until_lost(path: str, clock: SystemClock) -> int:
    """Open a session and ask until it is lost; return how many answers came."""
    answers = 0
    try:
        link = Link(open_serial(path), clock)
    except TransportError:
        return 0
    try:
        link.connect(2.0)
        while True:
            link.ping(0.2)
            answers += 1
    except BridgeError:
        return answers
    finally:
        link.close()


def test_a_session_on_terminals_lives_with_loss_and_comes_back_after_a_hang_up(tmp_path: Path) -> None:
    clock, board_pty = SystemClock(), open_pty()
    link = tmp_path / "ejector"
    opened: queue.Queue[str] = queue.Queue()
    faults = FaultSettings(frame_drop_rate=0.01, hang_up_every_ms=800, hang_up_ms=100)
    rng, start_ns = random.Random(5), clock.monotonic_ns()
    lines = [FaultyLine(faults, rng, start_ns=start_ns) for _ in range(2)]

    def open_host() -> Transport:
        pty = LinkedPty(link)
        opened.put(pty.path)
        return pty

    proxy = ChaosProxy(open_host, lambda: open_serial(board_pty.path), to_board=lines[0], to_host=lines[1], clock=clock)
    shell = BoardShell(VirtualBoard(), board_pty.transport, clock)
    sessions: list[int] = []
    try:
        with running(shell.run), running(proxy.run):
            while len(sessions) < 8 and sum(answers > 0 for answers in sessions) < 2:
                sessions.append(ping_until_lost(opened.get(timeout=WAIT_S), clock))
    finally:
        proxy.close()
        board_pty.close()
    assert sum(answers > 0 for answers in sessions) == 2
    assert lines[0].counters.hang_ups >= 1
    assert not link.is_symlink()


# ----- settings


def test_texts_change_both_directions_or_one() -> None:
    lines = change_lines(
        ChaosLines(),
        ["bit_error_rate=1e-6", "to_host.frame_drop_rate = 0.5", "to_board.burst_byte=ones", "to_host.blocks=true"],
    )
    assert lines.to_board == FaultSettings(bit_error_rate=1e-6, burst_byte="ones")
    assert lines.to_host == FaultSettings(bit_error_rate=1e-6, frame_drop_rate=0.5, blocks=True)


def test_texts_apply_on_top_of_a_profile_and_none_takes_a_limit_away() -> None:
    lines = change_lines(PROFILES["921600"], ["to_host.baud=none", "to_host.baud=19200", "to_board.baud=none"])
    assert (lines.to_board.baud, lines.to_host.baud, lines.to_host.buffer_b) == (None, 19_200, 4096)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame_drp_rate=1", r"unknown key frame_drp_rate; did you mean frame_drop_rate\?"),
        ("to_hst.delay_us=1", r"unknown key to_hst\.delay_us; did you mean to_host\.delay_us\?"),
        ("both.delay_us=1", "unknown key both.delay_us"),
        ("to_host.=1", "unknown key to_host"),
        ("xyzzy=1", r"unknown key xyzzy; known keys: bit_error_rate, .*hang_up_ms"),
        ("delay_us", "--set delay_us is not key=value: write for example --set to_host.frame_drop_rate=0.01"),
        ("delay_us=fast", r"--set delay_us=fast: Expected `int`, got `str`"),
        ("delay_us=-1", r"--set delay_us=-1: Expected `int` >= 0"),
        ("baud=none2", r"Expected `int \| null`, got `str`"),
        ("delay_us=none", r"Expected `int`, got `null`"),
        ("burst_byte=twos", "Invalid enum value 'twos'"),
        ("frame_drop_rate=nan", "--set.*frame_drop_rate"),
        ("stall_ms=5", "choose 0 < stall_ms < stall_every_ms"),
    ],
)
def test_a_wrong_text_is_refused_with_what_to_do(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        change_lines(ChaosLines(), [text])


def test_every_key_can_be_set_to_its_own_default() -> None:
    texts = [f"{key}={str(value).lower()}" for key, value in SETTING_DEFAULTS.items()]
    assert change_lines(ChaosLines(), texts) == ChaosLines()


def test_the_profiles_are_what_their_names_say() -> None:
    assert list(PROFILES) == ["clean", "usb-serial-16ms", "noisy-rs422", "bad-cable", "921600", "flapping"]
    assert PROFILES["clean"] == ChaosLines()
    assert PROFILES["usb-serial-16ms"].to_host.latency_timer_ms == 16
    assert PROFILES["usb-serial-16ms"].to_board.latency_timer_ms == 0  # the timer is the adapter's way to the host
    assert PROFILES["noisy-rs422"].to_host.bit_error_rate < PROFILES["bad-cable"].to_host.bit_error_rate
    assert PROFILES["921600"].to_board.baud == 921_600
    assert PROFILES["flapping"].to_board.hang_up_ms == PROFILES["flapping"].to_host.hang_up_ms > 0


# ----- the command


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command as the shell would: exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as stop:
        run_command_line(chaos, arguments)
    captured = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, captured.out, captured.err


def test_help_has_an_example_and_every_key() -> None:
    text = CliRunner().invoke(chaos, ["--help"]).output
    assert "Example: sortloop-link chaos" in text
    assert [key for key in SETTING_DEFAULTS if f"  {key}=" not in text] == []


def test_json_is_two_versioned_objects(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    link = str(tmp_path / "ejector")
    arguments = ["--port", "virtual", "--link", link, "--profile", "921600", "--seed", "7", "--for-s", "0", "--json"]
    code, out, _ = run(capsys, *arguments, "--set", "to_host.delay_us=5")
    first, last = (json.loads(line) for line in out.splitlines())
    assert code == 0
    assert (first["schema_version"], first["path"], first["seed"], first["profile"]) == (1, link, 7, "921600")
    assert (first["to_host"]["delay_us"], first["to_board"]["delay_us"], first["to_host"]["baud"]) == (5, 0, 921_600)
    assert last["schema_version"] == 1
    assert last["to_board"]["counters"]["taken_b"] == 0
    assert last["to_host"]["unclaimed_b"] == 0


def test_text_is_the_path_and_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--port", "virtual", "--for-s", "0")
    path, head, *rows = out.splitlines()
    assert code == 0
    assert path.startswith("/dev/")
    assert head.split() == ["to_board", "to_host"]
    assert [row.split()[0] for row in rows][-1] == "unclaimed_b"
    assert all(row.split()[1:] == ["0", "0"] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--port", "virtual", "--set", "frame_drop=1"], 3, "did you mean frame_drop_rate?"),
        (["--port", "virtual", "--set", "bit_error_rate=2"], 3, "--set bit_error_rate=2: Expected `float` <= 1.0"),
        (["--port", "virtual", "--profile", "cleen"], 2, "'cleen' is not one of 'clean'"),
        (["--prt", "virtual"], 2, "No such option"),
        (["--port", "/dev/not-there"], 4, "/dev/not-there at 921600 baud cannot be opened"),
    ],
    ids=str,
)
def test_exit_codes(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str) -> None:
    got_code, out, err = run(capsys, *arguments, "--for-s", "0")
    assert (got_code, out) == (code, "")
    assert message in err


def start_command(*arguments: str) -> "subprocess.Popen[str]":
    code = (
        "from firmware_bridge.cli_chaos import chaos; from firmware_bridge.command_line import run_command_line;"
        "run_command_line(chaos)"
    )
    command = [sys.executable, "-c", code, "--port", "virtual", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_new_path_is_told_when_there_is_no_link() -> None:
    faults = ["--set", "hang_up_every_ms=2000", "--set", "hang_up_ms=50"]
    with start_command("--for-s", "20", *faults) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        path = process.stdout.readline().strip()
        holder_fd = os.open(path, os.O_RDWR | os.O_NOCTTY)  # a host that has not noticed: its terminal's name is taken
        news = process.stderr.readline()
        os.close(holder_fd)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=WAIT_S)
    assert news.startswith("the port is now /dev/")
    assert news.split()[-1] != path


def test_a_command_that_starts_in_a_hang_up_prints_its_port_at_the_end_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    faults = ["--set", "hang_up_every_ms=300", "--set", "hang_up_ms=299"]  # opening takes longer than 1 ms
    code, out, _ = run(capsys, "--port", "virtual", "--for-s", "0", *faults)
    assert code == 0
    assert out.startswith("/dev/")


def test_the_command_carries_a_session_and_counts_it_when_interrupted(tmp_path: Path) -> None:
    link, clock = tmp_path / "ejector", SystemClock()
    with start_command("--link", str(link), "--json") as process:
        assert process.stdout is not None
        path = json.loads(process.stdout.readline())["path"]
        session = Link(open_serial(path), clock)
        session.connect(WAIT_S)
        assert session.ping(WAIT_S) > 0
        session.close()
        process.send_signal(signal.SIGINT)
        report = json.loads(process.communicate(timeout=WAIT_S)[0])
    assert process.returncode == 130
    for direction in (report["to_board"], report["to_host"]):
        assert direction["counters"]["delivered_b"] == direction["counters"]["taken_b"] > 0
    assert not link.is_symlink()
