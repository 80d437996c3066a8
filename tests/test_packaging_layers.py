"""Packages keep their layers, their public names and their help."""

import ast
import importlib
import json
import subprocess
import sys
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path
from typing import Final

import click
import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("trainer", "edge_runtime", "firmware_bridge", "deploy")
BELOW_TRAINER: Final = ("edge_runtime", "firmware_bridge", "deploy")
MODULES: Final = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PROGRAMS: Final = {
    "sortloop-train": "trainer.cli",
    "sortloop-edge": "edge_runtime.cli",
    "sortloop-link": "firmware_bridge.cli",
    "sortloop-deploy": "deploy.cli",
}

# Runs in a process of its own: whatever these modules import, torch and onnx are not there.
IMPORT_WITHOUT_TRAINING: Final = """
import importlib, json, pkgutil, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "onnx", "onnxscript", "lightning_fabric", "torchmetrics", "trainer"}:
            raise ImportError(f"{name} is refused below the trainer")

sys.meta_path.insert(0, Refuse())
imported = []
for package in sys.argv[1:]:
    top = importlib.import_module(package)
    for info in pkgutil.walk_packages(top.__path__, f"{package}."):
        if not info.name.endswith(".__main__"):
            importlib.import_module(info.name)
        imported.append(info.name)
print(json.dumps(imported))
"""


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def declared_names(module: ast.Module) -> list[str] | None:
    for node in module.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__" and isinstance(node, ast.Assign | ast.AnnAssign):
            names: list[str] = ast.literal_eval(node.value) if node.value is not None else []
            return names
    return None


def public_names(module: ast.Module) -> set[str]:
    """Functions, classes and constants that a module defines without a leading underscore.

    Annotated[...] aliases do not count: they spell the range of a field, and nobody outside imports them. Commands are
    reached through their group.
    """
    names: set[str] = set()
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names |= set() if is_command(node) else {node.name}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Assign) and not is_annotated_alias(node.value):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def is_command(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    calls = [decorator.func for decorator in node.decorator_list if isinstance(decorator, ast.Call)]
    return any(isinstance(call, ast.Attribute) and call.attr in {"command", "group"} for call in calls)


def is_annotated_alias(value: ast.expr) -> bool:
    return isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name) and value.value.id == "Annotated"


def commands_below(command: click.Command, words: tuple[str, ...]) -> dict[str, click.Command]:
    found = {" ".join(words): command}
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            found |= commands_below(child, (*words, name))
    return found


def test_import_linter_finds_no_broken_contract() -> None:
    result = run_python("-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())")
    assert result.returncode == 0, result.stdout


def test_no_contract_has_an_exception() -> None:
    assert "ignore_imports" not in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_everything_below_the_trainer_imports_without_torch_and_onnx() -> None:
    result = run_python("-c", IMPORT_WITHOUT_TRAINING, *BELOW_TRAINER)
    assert result.returncode == 0, result.stderr
    expected = {module_name(path) for path in MODULES if path.parts[0] in BELOW_TRAINER} - set(BELOW_TRAINER)
    assert set(json.loads(result.stdout)) == expected


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_distribution_has_a_package_of_our_name(package: str) -> None:
    """`trainer` and `deploy` exist on the package index too: installed over ours, they replace files without a word.

    An editable install claims no package itself, so that the file that is imported is looked at as well.
    """
    assert set(packages_distributions().get(package, [])) <= {"sortloop"}
    assert importlib.import_module(package).__file__ == str(ROOT / package / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_all_is_complete(path: Path) -> None:
    """That it is sorted is ruff's RUF022; a name that is listed but missing is ruff's F822."""
    module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    declared = declared_names(module)
    assert public_names(module) - set(declared or ()) == set()
    assert len(set(declared or ())) == len(declared or ())
    assert declared is not None or path.name in {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_program_is_installed_and_starts_its_package(program: str) -> None:
    (entry,) = entry_points(group="console_scripts", name=program)
    assert entry.value == f"{PROGRAMS[program]}:main"
    assert callable(entry.load())


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_of_every_command_has_an_example(program: str) -> None:
    group = importlib.import_module(PROGRAMS[program]).cli
    commands = commands_below(group, (program,))
    assert len(commands) > 1
    lacking = [
        words
        for words, command in commands.items()
        if f"Example: {program}" not in " ".join(command.get_help(click.Context(command, info_name=words)).split())
    ]
    assert lacking == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_has_json(program: str) -> None:
    commands = commands_below(importlib.import_module(PROGRAMS[program]).cli, (program,))
    leaves = {words: command for words, command in commands.items() if not isinstance(command, click.Group)}
    lacking = [
        words for words, command in leaves.items() if "--json" not in {o for p in command.params for o in p.opts}
    ]
    assert lacking == []
