"""Make everything that follows from sel1.toml, so that both languages and the document say the same.

`python -m firmware_bridge.generate` writes; with `--check` it only names what is stale and exits with 1. It imports
nothing that it makes.
"""

import argparse
import ast
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from firmware_bridge.dictionary_format import unpack_dictionary
from firmware_bridge.errors import MessageError, TableError
from firmware_bridge.generate_c import msgs_h, repack_h
from firmware_bridge.generate_dictionary import description, dict_h, dictionary_py
from firmware_bridge.generate_docs import blocks, marked
from firmware_bridge.generate_python import layouts_py, messages_py
from firmware_bridge.message_table import Table, read_table

__all__ = ["PACKAGE", "generated", "main", "stale"]

PACKAGE: Final = Path(__file__).parent


def generated(table: Table, package: Path) -> dict[Path, str]:
    """Return path -> text of every file that follows from the table.

    Args:
        table: the message table.
        package: folder of the package; a dictionary there that says the same is kept byte for byte, because another
            version of the compressor may write other bytes.
    """
    dictionary = _dictionary(description(table), package / "dictionary.py")
    page = package.parent / "docs" / "wire-protocol.md"  # not there when the package is installed
    text = _read(page)
    pages = {} if text is None else {page: marked(text, blocks(table))}
    return pages | {
        package / "messages.py": messages_py(table),
        package / "layouts.py": layouts_py(table),
        package / "dictionary.py": dictionary_py(dictionary),
        package / "c" / "sel_msgs.h": msgs_h(table),
        package / "c" / "sel_repack.h": repack_h(table),
        package / "c" / "sel_dict.h": dict_h(dictionary),
    }


def stale(files: dict[Path, str]) -> list[Path]:
    """Return the files whose text is another one, sorted."""
    return sorted(path for path, text in files.items() if _read(path) != text)


def main(arguments: Sequence[str]) -> int:
    """Write or check; return the exit code: 0, 1 when something is stale, 3 when the table is wrong."""
    parser = argparse.ArgumentParser(prog="python -m firmware_bridge.generate", description="Make code from sel1.toml.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 and name what is stale")
    parser.add_argument("--package", type=Path, default=PACKAGE, help="folder with sel1.toml, and to write into")
    options = parser.parse_args(arguments)
    try:
        files = generated(read_table(options.package / "sel1.toml"), options.package)
    except TableError as error:
        sys.stderr.write(f"{error}\n{error.remedy}\n")
        return error.exit_code
    found = stale(files)
    for path in found:
        sys.stdout.write(f"{'stale' if options.check else 'written'}: {path.relative_to(options.package.parent)}\n")
        if not options.check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
    return int(bool(found and options.check))


def _dictionary(text: bytes, path: Path) -> bytes:
    """Return the compressed bytes that `path` has for this text, or new ones."""
    kept = _kept_dictionary(_read(path) or "")
    try:
        is_same = kept is not None and unpack_dictionary(kept) == text
    except MessageError:
        is_same = False
    return kept if is_same and kept is not None else zlib.compress(text, 9)


def _kept_dictionary(source: str) -> bytes | None:
    """Return the bytes that DICTIONARY has in this source, read but not run; None where there is no such thing."""
    try:
        calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
        digits = next((call.args[0] for call in calls if ast.unparse(call.func) == "bytes.fromhex"), None)
        return None if digits is None else bytes.fromhex(str(ast.literal_eval(digits)))
    except (SyntaxError, ValueError):
        return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
