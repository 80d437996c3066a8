"""Measure what the edge's locked packages take on a 64-bit ARM board, unpacked, into wheel_sizes.toml.

Downloads each wheel of base.txt for Linux on aarch64, checked against its hash, and adds up what is inside.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).resolve().parent
_GLIBC: Final = ("2_17", "2_24", "2_27", "2_28")  # Debian 12, the oldest board image served, has 2.36


def main() -> None:
    """Rewrite wheel_sizes.toml, or stop with pip's own message."""
    with tempfile.TemporaryDirectory() as folder:
        download(Path(folder))
        sizes_b = dict(unpacked_size_b(wheel) for wheel in Path(folder).glob("*.whl"))
    lines = [f'"{pin}" = {size_b}\n' for pin, size_b in sorted(sizes_b.items())]
    head = "# Bytes of each wheel of base.txt, unpacked, CPython 3.11 on aarch64; `make wheel-sizes` measures again.\n"
    (_FOLDER / "wheel_sizes.toml").write_text(head + "".join(lines), encoding="utf-8")
    sys.stdout.write(f"{len(sizes_b)} packages, {sum(sizes_b.values()) / 1e6:.1f} MB unpacked\n")


def download(folder: Path) -> None:
    """Fetch the wheels of base.txt into `folder`.

    Raises:
        subprocess.CalledProcessError: a package has no such wheel, a hash differs, or the index cannot be reached.
    """
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--dest",
        str(folder),
        "--no-deps",
        "--require-hashes",
    ]
    command += ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp"]
    command += [f"--abi={abi}" for abi in ("cp311", "abi3", "none")]
    command += [f"--platform=manylinux_{glibc}_aarch64" for glibc in _GLIBC] + ["--platform=manylinux2014_aarch64"]
    # fixed program, arguments from this file
    subprocess.run([*command, "-r", str(_FOLDER / "base.txt")], check=True)  # noqa: S603


def unpacked_size_b(wheel: Path) -> tuple[str, int]:
    """Return the pin of a wheel's package, as in the lock, and the bytes of all files in it."""
    name, version, *_ = wheel.name.split("-")
    with zipfile.ZipFile(wheel) as archive:
        size_b = sum(entry.file_size for entry in archive.infolist())
    return f"{name.replace('_', '-').lower()}=={version}", size_b


if __name__ == "__main__":
    main()
