"""Write the lock files: base.txt (edge), trainer.txt and dev.txt, every package pinned with its hashes.

Each file holds only what the files before it do not, so that the edge installs base.txt alone. Pins stay as they are
unless a requirement forbids them or `--upgrade` is given. Knows the package index only through uv.

torch is not locked: its builds differ by machine. A stand-in that carries only the requirements that all builds share
takes its place while the rest is resolved, so that none of the CUDA libraries is looked at or locked.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).resolve().parent
_ROOT: Final = _FOLDER.parent
# Requires-Dist of torch 2.13.0 without the platform's own libraries; `pip check` ends the setup and proves it whole.
_TORCH_NEEDS: Final = (
    "filelock",
    "fsspec>=0.8.5",
    "jinja2",
    "networkx>=2.5.1",
    "setuptools>=77.0.3",
    "sympy>=1.13.3",
    "typing-extensions>=4.10.0",
)
_LAYERS: Final = (
    ("base", ("pyproject.toml",)),
    ("trainer", ("--extra=trainer", "pyproject.toml")),
    ("dev", ("--extra=dev", "pyproject.toml", "requirements/tools.in")),
)


def main() -> None:
    """Rewrite the three files, or stop with uv's own message."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions instead of the pinned ones")
    should_upgrade = bool(parser.parse_args().upgrade)
    known: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_torch_stand_in(Path(folder))
        for name, arguments in _LAYERS:
            target = _FOLDER / f"{name}.txt"
            pins = dict(known) if should_upgrade or not target.exists() else known | split_blocks(target.read_text())
            found = split_blocks(compile_layer(arguments, pins, Path(folder)))
            blocks = {key: for_every_python(block) for key, block in found.items()}
            fresh = {key: block for key, block in blocks.items() if key not in known and key != "torch"}
            target.write_text("".join(fresh[key] for key in sorted(fresh)), encoding="utf-8")
            known |= fresh
            sys.stdout.write(f"requirements/{name}.txt: {len(fresh)} packages\n")


def split_blocks(text: str) -> dict[str, str]:
    r"""Return the blocks of a lock file, each a pin with its hashes, by normalised package name.

    >>> split_blocks("Jinja2==3.1.6\n    --hash=sha256:00\n")
    {'jinja2': 'Jinja2==3.1.6\n    --hash=sha256:00\n'}
    """
    blocks = re.findall(r"^[A-Za-z0-9].*(?:\n[ \t]+.*)*\n", text, re.MULTILINE)
    by_name: dict[str, str] = {}
    for block in blocks:
        name = re.sub(r"[-_.]+", "-", block.split("==", maxsplit=1)[0]).lower()
        by_name[name] = by_name.get(name, "") + block
    return by_name


def for_every_python(block: str) -> str:
    r"""Return a lone pin without its limit of Python versions: a later layer may want it on those left out.

    >>> for_every_python("a==1 ; python_full_version < '3.12' \\\n    --hash=sha256:00\n")
    'a==1 \\\n    --hash=sha256:00\n'
    """
    if len(re.findall(r"^\S", block, re.MULTILINE)) > 1:  # one version for each range
        return block
    return re.sub(r" ; python_full_version < '[0-9.]+'", "", block)


def compile_layer(arguments: tuple[str, ...], pins: dict[str, str], folder: Path) -> str:
    """Return what uv makes of `arguments`, keeping `pins`; `folder` holds the stand-in and scratch files.

    Raises:
        subprocess.CalledProcessError: the requirements contradict each other, or the index cannot be reached.
    """
    output = folder / "lock.txt"
    output.write_text("".join(pins.values()), encoding="utf-8")
    override = folder / "override.txt"
    override.write_text(f"torch=={stand_in_version()}\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--no-config",
        "--universal",
        "--python-version=3.11",
    ]
    command += ["--generate-hashes", "--strip-extras", "--no-header", "--no-annotate", "--find-links", str(folder)]
    command += ["--override", str(override), "--output-file", str(output), *arguments]
    # Settings of this machine (other indexes, local builds) must not leak into files that every machine installs.
    settings = {key: value for key, value in os.environ.items() if not key.startswith(("UV_", "PIP_"))}
    # fixed program, arguments from this file
    subprocess.run(command, cwd=_ROOT, env=settings, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    return output.read_text(encoding="utf-8")


def stand_in_version() -> str:
    """Return the version of the stand-in: torch's pinned one with a local suffix that no build has."""
    return (_FOLDER / "torch.txt").read_text(encoding="utf-8").strip().removeprefix("torch==") + "+stand.in"


def write_torch_stand_in(folder: Path) -> None:
    """Put an empty wheel of the pinned torch into `folder`."""
    version = stand_in_version()
    metadata = [
        f"Metadata-Version: 2.1\nName: torch\nVersion: {version}",
        *(f"Requires-Dist: {n}" for n in _TORCH_NEEDS),
    ]
    info = f"torch-{version}.dist-info"
    with zipfile.ZipFile(folder / f"torch-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "\n".join(metadata) + "\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: lock\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


if __name__ == "__main__":
    main()
