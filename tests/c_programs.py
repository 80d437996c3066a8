"""The C programs of `tests/c`: compiled as a test wants them, skipped with the reason where that cannot be."""

import functools
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import pytest

from firmware_bridge.native_build import C_FOLDER

__all__ = [
    "PROGRAMS",
    "SANITIZED",
    "STRICT",
    "compile_c",
    "needs_compiler",
    "needs_gcov",
    "needs_sanitizers",
    "run_json",
]

PROGRAMS: Final = Path(__file__).parent / "c"
STRICT: Final = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror")
SANITIZED: Final = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_COMPILER: Final = next((found for name in ("gcc", "cc", "clang") if (found := shutil.which(name))), None)

needs_compiler = pytest.mark.skipif(_COMPILER is None, reason="no C compiler on the PATH")


def compile_c(source: Path | str, target: Path, *flags: str, include: Path = C_FOLDER) -> Path:
    """Compile a program of `tests/c`, or any C file, with STRICT and these flags.

    Returns:
        `target`.
    """
    assert _COMPILER is not None, "the test lacks @needs_compiler"
    command = [_COMPILER, *STRICT, *flags, "-I", str(include), str(PROGRAMS / source), "-o", str(target)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, cwd=target.parent)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return target


def run_json(program: Path, *arguments: object, timeout_s: float = 60.0) -> dict[str, Any]:
    """Run a program that prints one JSON object; what it writes to stderr is why it failed."""
    command = [str(program), *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout_s, cwd=program.parent)
    assert done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}"
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@functools.cache
def _has_sanitizers() -> bool:
    if _COMPILER is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "empty"
        source = "int main(void) { return 0; }"
        command = [_COMPILER, *SANITIZED, "-x", "c", "-", "-o", str(program)]
        if subprocess.run(command, check=False, capture_output=True, input=source.encode(), timeout=60).returncode:
            return False
        return subprocess.run([program], check=False, capture_output=True, timeout=60).returncode == 0


needs_sanitizers = pytest.mark.skipif(not _has_sanitizers(), reason="no ASan and UBSan with this C compiler")
needs_gcov = pytest.mark.skipif(
    shutil.which("gcc") is None or shutil.which("gcov") is None, reason="no gcc with gcov on the PATH"
)
