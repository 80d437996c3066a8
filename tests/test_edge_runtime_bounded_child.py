"""A program may hang, flood, die or leave children behind: the caller always comes back, soon, with what happened."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.bounded_child import MOST_OUTPUT_B, ChildEnd, run_bounded
from edge_runtime.errors import StorageError
from firmware_bridge.clock import NS_PER_S, SystemClock

SHORT_S = 1.5  # for programs that never end; all others have a minute
LONG_S = 60.0
ROOT = Path(__file__).parents[1]


def run_code(code: str, request: bytes = b"", wall_s: float = LONG_S) -> ChildEnd:
    return run_bounded([sys.executable, "-I", "-c", code], request, wall_s=wall_s, clock=SystemClock())


def seconds_of(code: str, request: bytes = b"", wall_s: float = SHORT_S) -> tuple[ChildEnd, float]:
    clock = SystemClock()
    started_ns = clock.monotonic_ns()
    end = run_code(code, request, wall_s)
    return end, (clock.monotonic_ns() - started_ns) / NS_PER_S


def test_request_goes_in_and_output_comes_out() -> None:
    end = run_code("import sys; sys.stdout.write(sys.stdin.read().upper()); sys.exit(3)", b"request")
    assert (end.code, end.output, end.killed) == (3, b"REQUEST", "")


def test_a_large_request_goes_in_whole() -> None:
    assert run_code("import sys; print(len(sys.stdin.buffer.read()))", b"x" * 1_000_000).output == b"1000000\n"


def test_complaints_are_kept_apart_and_their_end_is_kept() -> None:
    end = run_code("import sys; sys.stderr.write('a' * 100_000 + 'last words'); print('result')")
    assert end.output == b"result\n"
    assert len(end.complaints) == MOST_OUTPUT_B
    assert end.complaints.endswith(b"last words")


@pytest.mark.parametrize(
    "code",
    [
        "import signal; signal.pause()",
        "import os, signal; os.close(0); os.close(1); os.close(2); signal.pause()",
        "while True: pass",
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); signal.pause()",
    ],
    ids=["waits", "closes all", "computes", "ignores"],
)
def test_a_program_that_does_not_end_is_killed(code: str) -> None:
    end, seconds = seconds_of(code, b"request" * 100_000)
    assert end.code is None
    assert end.killed == "it had not ended after 1.5 s"
    assert seconds < SHORT_S + 10


def test_a_program_that_floods_is_killed_long_before_its_time() -> None:
    end = run_code("import sys\nwhile True: sys.stdout.write('x' * 4096)")
    assert end.killed == f"it wrote more than {MOST_OUTPUT_B} bytes"
    assert len(end.output) == MOST_OUTPUT_B


def test_a_program_that_is_killed_by_a_signal_is_told() -> None:
    assert run_code("import os; os.kill(os.getpid(), 9)").code == -signal.SIGKILL
    assert run_code("import os; os.abort()").code == -signal.SIGABRT


def test_a_program_that_does_not_want_its_request_is_no_fault() -> None:
    assert run_code("import os; os.close(0); print('done')", b"x" * 1_000_000).output == b"done\n"


def test_what_a_killed_program_started_is_killed_with_it(tmp_path: Path) -> None:
    """The grandchild holds a pipe's other end: the pipe ends when it does."""
    held = tmp_path / "held"
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    code = f"import os, signal\nos.open({str(held)!r}, os.O_WRONLY)\nos.fork()\nsignal.pause()"
    assert run_code(code, wall_s=SHORT_S).killed
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_what_outlives_its_program_is_killed_and_told_as_late() -> None:
    """It holds the pipes, as a shell's background job does."""
    end, seconds = seconds_of("import os, signal\nos.fork() or signal.pause()")
    assert (end.code, end.killed) == (None, "it had not ended after 1.5 s")
    assert seconds < SHORT_S + 10


@pytest.mark.parametrize("is_silent", [False, True], ids=["speaks", "silent"])
def test_what_outlives_its_program_does_not_outlive_the_call(tmp_path: Path, is_silent: bool) -> None:
    held = tmp_path / "held"
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    silence = "[os.close(pipe) for pipe in range(3)]" if is_silent else ""
    code = f"import os, signal\nos.open({str(held)!r}, os.O_WRONLY)\nif not os.fork():\n {silence}\n signal.pause()"
    end = run_code(code, wall_s=LONG_S if is_silent else SHORT_S)
    assert end.killed == ("it ended and left a process running" if is_silent else "it had not ended after 1.5 s")
    os.set_blocking(reader, True)
    assert select.select([reader], [], [], LONG_S)[0]
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_a_program_that_waits_for_its_own_is_no_fault() -> None:
    end = run_code("import os\nif os.fork(): os.wait(); print('done')")
    assert (end.code, end.output, end.killed) == (0, b"done\n", "")


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_a_program_ends_with_the_process_that_runs_it(tmp_path: Path, by: signal.Signals) -> None:
    """The child holds a pipe's other end: the pipe ends when it does."""
    held = tmp_path / "held"
    os.mkfifo(held)
    child = (
        "import os, signal, sys; from edge_runtime.bounded_child import die_with_parent; "
        f"die_with_parent(int(sys.argv[1])); os.open({str(held)!r}, os.O_WRONLY); signal.pause()"
    )
    code = (
        "import os, sys; from edge_runtime.bounded_child import run_bounded; "
        "from firmware_bridge.clock import SystemClock; "
        f"run_bounded([sys.executable, '-c', {child!r}, str(os.getpid())], b'', wall_s={LONG_S}, clock=SystemClock())"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as parent, held.open("rb") as pipe:
        parent.send_signal(by)  # the pipe is open at both ends: the child waits
        assert select.select([pipe], [], [], LONG_S)[0]
        assert pipe.read(1) == b""
    assert parent.returncode == -by


def test_a_child_of_another_parent_does_not_begin() -> None:
    """As after a parent's end between the start and the request."""
    code = "from edge_runtime.bounded_child import die_with_parent; die_with_parent(1); print('began')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=LONG_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"process 1, which asked, is gone\n")


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot start .*nothing: No such file"):
        run_bounded([str(tmp_path / "nothing")], b"", wall_s=LONG_S, clock=SystemClock())
