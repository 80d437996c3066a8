"""The C library is made once, shared without a clash, and missed without harm."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from c_programs import needs_compiler

from firmware_bridge.errors import NativeUnavailableError
from firmware_bridge.native_build import C_FOLDER, is_native_available, load_native

SOURCE = "int sel_answer(void);\nint sel_answer(void) { return ANSWER; }\n"
Compiler = Callable[[str], str]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A small library of two files and a header; its one function returns 42."""
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / "answer.h").write_text("#define ANSWER 42\n", encoding="utf-8")
    (folder / "sel_lib_answer.c").write_text('#include "answer.h"\n' + SOURCE, encoding="utf-8")
    (folder / "sel_lib_other.c").write_text(
        "int sel_other(void);\nint sel_other(void) { return 7; }\n", encoding="utf-8"
    )
    (folder / "program.c").write_text("#error not of the library\n", encoding="utf-8")
    return folder


@pytest.fixture
def compiler(tmp_path: Path) -> Compiler:
    """Write a shell script that is taken for a compiler; `$CC` in it is a real one."""

    def write(script: str) -> str:
        path = tmp_path / f"cc{len(list(tmp_path.iterdir()))}"
        path.write_text(f"#!/bin/sh\nCC={shutil.which('gcc') or shutil.which('cc')}\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    return write


def answer_of(library: ctypes.CDLL) -> int:
    answer: int = library.sel_answer()
    return answer


def libraries(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.so"))


@needs_compiler
def test_all_library_sources_and_nothing_else_are_compiled(sources: Path, tmp_path: Path) -> None:
    library = load_native(sources_dir=sources, cache_dir=tmp_path / "cache")
    assert (answer_of(library), library.sel_other()) == (42, 7)


@needs_compiler
def test_the_own_library_has_the_codec() -> None:
    assert is_native_available()
    assert load_native().sel_lib_decoder_size() > 264
    assert load_native() is load_native()


@needs_compiler
def test_a_second_process_finds_the_library_and_compiles_nothing(
    sources: Path, tmp_path: Path, compiler: Compiler
) -> None:
    log = tmp_path / "log"
    counted = compiler(f'echo "$1" >> {log}; exec $CC "$@"')
    cache = tmp_path / "cache"
    answer_of(load_native(compiler=counted, sources_dir=sources, cache_dir=cache))
    load_native.cache_clear()
    assert answer_of(load_native(compiler=counted, sources_dir=sources, cache_dir=cache)) == 42
    assert log.read_text().split() == ["--version", "-std=c99", "--version"]
    assert len(libraries(cache)) == 1


@needs_compiler
def test_a_changed_source_flag_or_compiler_gives_another_library(
    sources: Path, tmp_path: Path, compiler: Compiler
) -> None:
    cache, plain = tmp_path / "cache", compiler('exec $CC "$@"')
    load_native(compiler=plain, sources_dir=sources, cache_dir=cache)
    load_native(compiler=f"{plain} -O1", sources_dir=sources, cache_dir=cache)
    newer = compiler('[ "$1" = --version ] && echo "cc 99.1" || exec $CC "$@"')
    load_native(compiler=newer, sources_dir=sources, cache_dir=cache)
    assert len(libraries(cache)) == 3
    (sources / "answer.h").write_text("#define ANSWER 43\n", encoding="utf-8")
    load_native.cache_clear()
    assert answer_of(load_native(compiler=plain, sources_dir=sources, cache_dir=cache)) == 43
    assert len(libraries(cache)) == 4


@needs_compiler
def test_a_torn_library_is_made_again(sources: Path, tmp_path: Path, compiler: Compiler) -> None:
    cache, plain = tmp_path / "cache", compiler('exec $CC "$@"')
    name = subprocess.run(
        [sys.executable, "-c", LOADER, sources, cache, plain], check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()
    assert name == "42"
    [kept] = libraries(cache)
    kept.write_bytes(kept.read_bytes()[:100])
    assert answer_of(load_native(compiler=plain, sources_dir=sources, cache_dir=cache)) == 42
    assert kept.stat().st_size > 1000


LOADER = """
import sys
from pathlib import Path
from firmware_bridge.native_build import load_native
sources, cache, compiler = sys.argv[1:]
print(load_native(compiler=compiler, sources_dir=Path(sources), cache_dir=Path(cache)).sel_answer())
"""


@needs_compiler
def test_processes_that_start_at_once_do_not_clash(sources: Path, tmp_path: Path, compiler: Compiler) -> None:
    cache, plain = tmp_path / "cache", compiler('exec $CC "$@"')
    command = [sys.executable, "-c", LOADER, str(sources), str(cache), plain]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [process.communicate(timeout=60)[0].strip() for process in started]
    assert answers == ["42"] * 4
    assert [path.name for path in cache.iterdir()] == [path.name for path in libraries(cache)]
    assert len(libraries(cache)) == 1


@needs_compiler
@pytest.mark.parametrize("obstacle", ["a file in its place", "a folder that refuses"])
def test_a_cache_that_cannot_be_written_is_done_without(sources: Path, tmp_path: Path, obstacle: str) -> None:
    """A file where the folder should be, and a folder in which nobody may create: root ignores permissions."""
    blocked = tmp_path / "blocked"
    blocked.write_bytes(b"")
    cache = blocked / "cache" if obstacle == "a file in its place" else Path("/proc/sortloop")
    assert answer_of(load_native(sources_dir=sources, cache_dir=cache)) == 42


@needs_compiler
@pytest.mark.parametrize("base", ["{home}/xdg", "relative/ignored", ""])
def test_the_cache_is_where_the_user_has_caches(sources: Path, tmp_path: Path, base: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    base = base.format(home=home)
    script = LOADER.replace("Path(cache)", "None")
    subprocess.run(
        [sys.executable, "-c", script, sources, "", shutil.which("gcc") or "cc"],
        check=True,
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(home), "XDG_CACHE_HOME": base, "PYTHONPATH": str(C_FOLDER.parents[1])},
        timeout=60,
    )
    expected = home / ("xdg" if base.startswith("/") else ".cache") / "sortloop" / "native"
    assert len(libraries(expected)) == 1


def refusal(**arguments: object) -> str:
    with pytest.raises(NativeUnavailableError) as caught:
        load_native(**arguments)
    return str(caught.value)


def test_no_compiler_says_what_to_install_and_that_nothing_is_lost(tmp_path: Path) -> None:
    text = refusal(compiler="no-such-cc", cache_dir=tmp_path)
    assert "no-such-cc not found" in text
    assert "apt install gcc" in text
    assert "pure-Python" in text
    assert "cc or gcc or clang not found" in run_without_path(tmp_path)
    assert refusal(compiler="  ", cache_dir=tmp_path).startswith("C compiler")
    assert NativeUnavailableError("x").exit_code == 3


def run_without_path(folder: Path) -> str:
    """Return what load_native says in a process whose PATH has no compiler."""
    script = (
        "from firmware_bridge.native_build import *\n"
        "assert not is_native_available()\n"
        "try: load_native()\n"
        "except Exception as error: print(error)\n"
    )
    environment = {**os.environ, "PATH": str(folder), "PYTHONPATH": str(C_FOLDER.parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, env=environment, text=True, timeout=60
    )
    return done.stdout


@needs_compiler
def test_a_compiler_that_fails_is_quoted(sources: Path, tmp_path: Path) -> None:
    (sources / "sel_lib_other.c").write_text("this is no C\n" * 50, encoding="utf-8")
    text = refusal(sources_dir=sources, cache_dir=tmp_path / "cache")
    assert "fails (exit 1)" in text
    assert "error: " in text
    assert len(text.splitlines()) == 6
    assert list((tmp_path / "cache").iterdir()) == []


@needs_compiler
def test_a_compiler_that_hangs_is_given_up(sources: Path, tmp_path: Path, compiler: Compiler) -> None:
    hung = compiler('[ "$1" = --version ] && exit 0; exec tail -f /dev/null')
    text = refusal(compiler=hung, sources_dir=sources, cache_dir=tmp_path / "cache", timeout_s=0.5)
    assert "not done within 0.5 s" in text


def test_a_compiler_without_a_version_is_refused(sources: Path, tmp_path: Path, compiler: Compiler) -> None:
    mute = compiler("echo broken installation >&2; exit 3")
    text = refusal(compiler=mute, sources_dir=sources, cache_dir=tmp_path / "cache")
    assert "does not tell its version (exit 3)" in text
    assert text.endswith("broken installation")


def test_a_compiler_that_the_system_cannot_run_is_refused(sources: Path, tmp_path: Path) -> None:
    broken = tmp_path / "cc"
    broken.write_text("#!/no/such/interpreter\n", encoding="utf-8")
    broken.chmod(0o755)
    assert "cannot be run" in refusal(compiler=str(broken), sources_dir=sources, cache_dir=tmp_path / "cache")


def test_a_library_that_does_not_load_is_refused(sources: Path, tmp_path: Path, compiler: Compiler) -> None:
    """As one made for another processor would not."""
    script = 'for last; do :; done; while [ "$1" != -o ] && [ $# -gt 1 ]; do shift; done; echo no ELF > "$2"'
    foreign = compiler(f'[ "$1" = --version ] && exit 0; {script}')
    text = refusal(compiler=foreign, sources_dir=sources, cache_dir=tmp_path / "cache")
    assert "cannot be kept or loaded here" in text
    assert libraries(tmp_path / "cache") == []
