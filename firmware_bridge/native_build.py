"""The C code of this package as a shared library: compiled once a computer, kept in the user's cache, loaded by ctypes.

Wheels stay pure: they carry the sources in `c/`, and the computer's own compiler makes the library at first use. Where
that fails the caller gets `NativeUnavailableError` and goes on in pure Python. What the library offers is not known
here: everything that `c/sel_lib_*.c` defines.

>>> from firmware_bridge.errors import NativeUnavailableError
>>> try:
...     load_native(compiler="no-such-compiler")
... except NativeUnavailableError as error:
...     print(error)
C compiler no-such-compiler not found: install one (Debian, Ubuntu: `apt install gcc libc6-dev`) or do without: the \
pure-Python codec and board do the same work, slower
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from firmware_bridge.errors import NativeUnavailableError

__all__ = ["C_FOLDER", "build_board_program", "is_native_available", "load_native"]

C_FOLDER: Final = Path(__file__).parent / "c"
_T = TypeVar("_T")

_COMPILERS: Final = ("cc", "gcc", "clang")
_FLAGS: Final = ("-std=c99", "-O2")  # no -march: a cache folder may be shared by computers
_LIBRARY_FLAGS: Final = ("-fPIC", "-shared")
_PROGRAM: Final = "sel_board.c"
_SHOWN_LINES: Final = 5
_NO_HARM: Final = "the pure-Python codec and board do the same work, slower"
_INSTALL: Final = f"install one (Debian, Ubuntu: `apt install gcc libc6-dev`) or do without: {_NO_HARM}"


@functools.cache
def load_native(
    *,
    compiler: str | None = None,
    cache_dir: Path | None = None,
    sources_dir: Path = C_FOLDER,
    timeout_s: float = 60.0,
) -> ctypes.CDLL:
    """Return the library of all `sel_lib_*.c`, compiled now where the cache does not have it.

    Args:
        compiler: command of the C compiler and its options; None is the first of cc, gcc, clang on the PATH.
        cache_dir: where libraries are kept; None is `sortloop/native` in the user's cache folder.
        sources_dir: folder of the C files.
        timeout_s: how long the compiler may take.

    Raises:
        NativeUnavailableError: no compiler, it fails or takes too long, or its library does not load.

    Note:
        The first call costs a second or so, later ones the milliseconds in which the compiler tells its version, and
        none at all in one process. Processes may call at once: each compiles into a file of its own and renames it.
    """
    command = _find_compiler(compiler)
    try:
        name = f"{_digest(command, sources_dir, timeout_s)}.so"
        sources = [str(path) for path in sorted(sources_dir.glob("sel_lib_*.c"))]
        whole = [*command, *_FLAGS, *_LIBRARY_FLAGS, "-I", str(sources_dir), *sources]
        compile_it = functools.partial(_compile, whole, name, timeout_s)
        return _load(cache_dir or _user_cache_dir(), name, compile_it)
    except OSError as error:
        raise NativeUnavailableError(f"the C library cannot be kept or loaded here: {error}; {_NO_HARM}") from error


def build_board_program(
    *,
    compiler: str | None = None,
    cache_dir: Path | None = None,
    sources_dir: Path = C_FOLDER,
    timeout_s: float = 60.0,
) -> Path:
    """Return the program of `sel_board.c`, compiled now where the cache does not have it.

    Args:
        compiler: as for `load_native`.
        cache_dir: as for `load_native`.
        sources_dir: folder of the C files.
        timeout_s: how long the compiler may take.

    Raises:
        NativeUnavailableError: no compiler, it fails or takes too long, or there is no folder to keep the program in.
    """
    command = _find_compiler(compiler)
    cache = cache_dir or _user_cache_dir()
    if cache is None:
        raise NativeUnavailableError(f"no home folder to keep the board program in: set XDG_CACHE_HOME; {_NO_HARM}")
    try:
        made = cache / f"{_digest(command, sources_dir, timeout_s)}-board"
        if not made.exists():
            cache.mkdir(parents=True, exist_ok=True)
            source = str(sources_dir / _PROGRAM)
            _build([*command, *_FLAGS, "-I", str(sources_dir), source], made, timeout_s, lambda _: None)
    except OSError as error:
        raise NativeUnavailableError(f"the board program cannot be kept in {cache}: {error}; {_NO_HARM}") from error
    return made


def is_native_available() -> bool:
    """Return whether `load_native()` works here; compiles when it must."""
    try:
        load_native()
    except NativeUnavailableError:
        return False
    return True


def _find_compiler(compiler: str | None) -> list[str]:
    for name in _COMPILERS if compiler is None else (compiler,):
        words = name.split()
        if words and (path := shutil.which(words[0])) is not None:
            return [path, *words[1:]]
    tried = " or ".join(_COMPILERS) if compiler is None else compiler
    raise NativeUnavailableError(f"C compiler {tried} not found: {_INSTALL}")


def _user_cache_dir() -> Path | None:
    """Return the folder of the XDG base directory specification, or None for a user without a home."""
    root = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        root = root if root.is_absolute() else Path.home() / ".cache"  # the specification has relative paths ignored
    except RuntimeError:
        return None
    return root / "sortloop" / "native"


def _digest(command: list[str], sources_dir: Path, timeout_s: float) -> str:
    """Return a name that differs whenever what is compiled could."""
    version = _run([*command, "--version"], timeout_s, "does not tell its version").stdout
    digest = hashlib.sha256()
    for part in (*command, *_FLAGS, version, sys.platform, platform.machine(), str(sys.maxsize)):
        digest.update(part.encode() + b"\0")
    for path in sorted(sources_dir.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def _load(cache: Path | None, name: str, compile_into: Callable[[Path], ctypes.CDLL]) -> ctypes.CDLL:
    if cache is not None:
        with contextlib.suppress(OSError):  # a library that does not load was torn by a crash: compile it again
            return ctypes.CDLL(str(cache / name))
        with contextlib.suppress(OSError):  # no permission, no space, or nothing there may be executed: below
            cache.mkdir(parents=True, exist_ok=True)
            return compile_into(cache)
    with tempfile.TemporaryDirectory(prefix="sortloop-native-") as private:  # what is loaded may be deleted
        return compile_into(Path(private))


def _compile(command: list[str], name: str, timeout_s: float, folder: Path) -> ctypes.CDLL:
    """Compile into `folder` and load; OSError is about that folder alone."""
    return _build(command, folder / name, timeout_s, lambda made: ctypes.CDLL(str(made)))


def _build(command: list[str], target: Path, timeout_s: float, use: Callable[[Path], _T]) -> _T:
    """Compile beside `target`, use the result, then rename it into place."""
    with tempfile.TemporaryDirectory(prefix="building-", dir=target.parent) as building:
        made = Path(building) / target.name
        _run([*command, "-o", str(made)], timeout_s, "fails")
        with made.open("rb") as file:  # opened only now: linkers make a new file
            os.fsync(file.fileno())
        used = use(made)
        made.replace(target)
        return used


def _run(command: list[str], timeout_s: float, what: str) -> subprocess.CompletedProcess[str]:
    try:
        # The command is the user's own compiler; an untranslated message is one that can be searched for.
        return subprocess.run(  # noqa: S603
            command,
            capture_output=True,
            check=True,
            encoding="utf-8",
            env={**os.environ, "LC_ALL": "C"},
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise NativeUnavailableError(f"{command[0]} not done within {timeout_s} s; {_NO_HARM}") from error
    except subprocess.CalledProcessError as error:
        lines = "\n".join(error.stderr.splitlines()[:_SHOWN_LINES])
        raise NativeUnavailableError(f"{command[0]} {what} (exit {error.returncode}); {_NO_HARM}\n{lines}") from error
    except OSError as error:
        raise NativeUnavailableError(f"{command[0]} cannot be run: {error}; {_NO_HARM}") from error
