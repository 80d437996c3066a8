r"""Every small change to the functions of a C header, one at a time, for mutation.py. Runs nothing but the compiler.

Works on words, not on a syntax tree: operators are told apart by the spaces that the house style puts around binary
ones. What the compiler refuses with the flags of the tests is no mutant and is left out.

>>> for mutant in mutants_of_c("static inline int f(int a)\n{\n    return a < 3;\n}\n"):
...     print(mutant.text)
return a < 3; -> return a <= 3;
return a < 3; -> return a >= 3;
return a < 3; -> return a < 4;
return a < 3; -> return a < 2;
return a < 3; -> return 0;
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mutants import Mutant

__all__ = ["compiles", "mutants_of_c"]

_TOKEN: Final = re.compile(
    r"(?P<skip>'(?:\\.|[^'])'|\"(?:\\.|[^\"])*\")"
    r"|(?P<number>\b(?:0[xX][0-9a-fA-F]+|\d+)[uUlL]*\b)"
    r"|(?P<word>\b[A-Za-z_]\w*\b)"
    r"|(?P<operator><<=|>>=|->|<=|>=|==|!=|&&|\|\||<<|>>|\+=|-=|\|=|&=|\+\+|--|[-+*/%&|^<>!~])"
)
_SWAPS: Final = {
    "<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "==": ("!=",), "!=": ("==",),
    "&&": ("||",), "||": ("&&",), "<<": (">>",), ">>": ("<<",), "+=": ("-=",), "-=": ("+=",), "|=": ("&=",),
    "&=": ("|=",), "++": ("--",), "--": ("++",), "!": ("",), "~": ("",),
    "+": ("-",), "-": ("+",), "*": ("/",), "/": ("*",), "%": ("*",), "&": ("|",), "|": ("&",), "^": ("&",),
}  # fmt: skip
_BINARY: Final = frozenset("+-*/%&|^")  # with another meaning where no space follows
_NAMES: Final = {"sel_min": "sel_max", "sel_max": "sel_min"}
_STATEMENT: Final = re.compile(
    r"(?!(?:return|goto|break|else|for|if|while|do|switch|case|const|struct|enum|int|size_t|u?int\d+_t)\b)[A-Za-z_*(].*;$"
)
_FUNCTION: Final = re.compile(r"static inline \w.*?(\w+)\(")


def mutants_of_c(source: str) -> list[Mutant]:
    """Return every mutant of a header, in the order of its lines, whether it compiles or not."""
    bare = re.sub(r"/\*.*?\*/", lambda comment: re.sub(r"[^\n]", " ", comment[0]), source, flags=re.DOTALL)
    lines, found, scope = bare.split("\n"), [], ""
    for at, line in enumerate(lines):
        if (start := _FUNCTION.match(line)) is not None:
            scope = start[1]
        elif line == "}":
            scope = ""
        elif scope and line.startswith(" "):
            for other in dict.fromkeys(_other_lines(line)):
                text = "\n".join([*lines[:at], other, *lines[at + 1 :]])
                change = f"{' '.join(line.split())} -> {' '.join(other.split())}"
                found.append(Mutant(at + 1, scope, change, text))
    return found


def _other_lines(line: str) -> Iterator[str]:
    for token in _TOKEN.finditer(line):
        before, after = line[: token.start()], line[token.end() :]
        for other in _other_tokens(token, after):
            yield before + other + after
    code = line.strip()
    if code == "continue;":
        yield line.replace("continue", "break")
    elif code.startswith("return ") and code.endswith(";") and not re.fullmatch(r"return -?\d+;", code):
        yield line[: line.index("return")] + "return 0;"
    elif _STATEMENT.match(code):
        yield line[: line.index(code[0])] + ";"


def _other_tokens(token: re.Match[str], after: str) -> Iterator[str]:
    text = token[0]
    if token["operator"] and text in _SWAPS and not (text in _BINARY and not after.startswith((" ", "\n"))):
        yield from _SWAPS[text]
    elif token["word"] and text in _NAMES:
        yield _NAMES[text]
    elif token["number"]:
        suffix = re.search(r"[uUlL]*$", text)
        assert suffix is not None
        value = int(text[: suffix.start()], 0)
        yield from (f"{number}{suffix[0]}" for number in (value + 1, value - 1) if number >= 0)


def compiles(source: str, header: Path, scratch: Path) -> bool:
    """Tell whether the compiler takes the mutant of that header with the flags of the tests."""
    scratch.mkdir(exist_ok=True)
    (scratch / header.name).write_text(source, encoding="utf-8")
    (scratch / "one.c").write_text(f'#include "{header.name}"\n', encoding="ascii")
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-Wno-unused-function", "-fsyntax-only"]
    command = ["cc", *flags, "-I", str(scratch), "-I", str(header.parent), str(scratch / "one.c")]
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0
