"""House rules that no linter of ours enforces, read from the source itself."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("trainer", "edge_runtime", "firmware_bridge", "deploy")
CLOCK: Final = "firmware_bridge/clock.py"
MAX_FILE_LINES: Final = 600
MAX_BODY_LINES: Final = 60
MAX_BROAD_EXCEPTS: Final = 3
CLOCK_READS: Final = {"now", "utcnow", "today"}  # of datetime and date

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources() -> dict[str, ast.Module]:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def suite() -> dict[str, ast.Module]:
    paths = sorted((ROOT / "tests").rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    return sources()


def walk(modules: dict[str, ast.Module]) -> Iterator[tuple[str, ast.AST]]:
    for path, module in modules.items():
        for node in ast.walk(module):
            yield path, node


def at(path: str, node: ast.AST) -> str:
    return f"{path}:{getattr(node, 'lineno', 0)}"


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Tell whether it keeps errors of any kind; one that ends in `raise` only tidies up."""
    last = handler.body[-1]
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    is_any = any(isinstance(name, ast.Name) and name.id in {"Exception", "BaseException"} for name in caught)
    return is_any and not (isinstance(last, ast.Raise) and last.exc is None)


def body_lines(function: Function) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def called_names(function: Function) -> set[str]:
    calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    return {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}


def unasserted_tests(module: ast.Module) -> list[str]:
    """Return the tests that neither assert, nor expect an error, nor call a function of their file that does."""
    functions = [node for node in ast.walk(module) if isinstance(node, Function)]
    asserting = {"raises", "warns", "fail"}
    asserting |= {node.name for node in functions if any(isinstance(inner, ast.Assert) for inner in ast.walk(node))}
    while more := {node.name for node in functions if called_names(node) & asserting} - asserting:
        asserting |= more
    return [node.name for node in functions if node.name.startswith("test_") and node.name not in asserting]


def test_only_command_lines_print(modules: dict[str, ast.Module]) -> None:
    prints = [
        at(path, node)
        for path, node in walk(modules)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert [place for place in prints if not place.split("/")[-1].startswith(("cli", "command_line"))] == []


def test_only_the_clock_knows_the_time(modules: dict[str, ast.Module]) -> None:
    imports = [
        at(path, node)
        for path, node in walk(modules)
        if (isinstance(node, ast.Import) and any(alias.name == "time" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "time")
    ]
    reads = [
        at(path, node)
        for path, node in walk(modules)
        if isinstance(node, ast.Attribute)
        and node.attr in CLOCK_READS
        and isinstance(node.value, ast.Name)
        and node.value.id in {"datetime", "date"}
    ]
    assert [place for place in imports + reads if not place.startswith(CLOCK)] == []


def test_no_except_is_bare_and_few_are_broad(modules: dict[str, ast.Module]) -> None:
    handlers = [(path, node) for path, node in walk(modules) if isinstance(node, ast.ExceptHandler)]
    assert [at(path, node) for path, node in handlers if node.type is None] == []
    assert len([at(path, node) for path, node in handlers if is_broad(node)]) <= MAX_BROAD_EXCEPTS


def test_no_file_and_no_function_is_too_long(modules: dict[str, ast.Module]) -> None:
    files = [path for path in modules if len((ROOT / path).read_text(encoding="utf-8").splitlines()) > MAX_FILE_LINES]
    functions = [
        at(path, node)
        for path, node in walk(modules)
        if isinstance(node, Function) and body_lines(node) > MAX_BODY_LINES
    ]
    assert files + functions == []


def test_every_module_says_what_it_is_for(modules: dict[str, ast.Module]) -> None:
    assert [path for path, module in modules.items() if not ast.get_docstring(module)] == []


def test_every_test_file_is_named_for_what_it_tests() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    known = (*PACKAGES, "packaging", "docs", "product")
    assert [name for name in names if not name.startswith(tuple(f"test_{prefix}" for prefix in known))] == []
    assert len(set(names)) == len(names)
    assert [str(path) for path in (ROOT / "tests").rglob("__init__.py")] == []


def test_every_test_can_fail() -> None:
    assert {path: names for path, module in suite().items() if (names := unasserted_tests(module))} == {}


def test_no_test_waits_or_replaces_our_code() -> None:
    calls = [
        (at(path, node), node.attr)
        for path, node in walk(suite())
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if (node.value.id, node.attr) in {("time", "sleep"), ("mock", "patch"), ("monkeypatch", "setattr")}
    ]
    assert calls == []
