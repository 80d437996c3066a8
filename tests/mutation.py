"""Change the product in small ways, one at a time, and count which changes the tests notice.

    python tests/mutation.py                               all targets, 120 mutants each
    python tests/mutation.py firmware_bridge/framing.py    one target
    options: --sample N (0: all)  --seed N  --jobs N
             --keep FILE.json      what was found, beside what the file has about other targets, and FILE.md for people
             --again               with --keep: only what survived the last time, after tests were added

A *mutant* is one target with one change (mutants.py for Python, mutants_c.py for C). It is *killed* when a test of its
module fails, or needs four times the processor time; each *survivor* is printed with its line. Survivors that no test
can kill, because they do the same, are listed in mutation_equivalents.toml with the reason, and leave the score.

Everything happens in copies of the tree in a temporary folder; the checkout is not touched. Tests run in two rounds:
first with few random examples, then, for what survived, with as many as `make test` takes and with the slow ones.

Why not a ready-made tool: mutmut 3 leaves out decorated functions and everything outside functions, here properties,
limits and the layout table; cosmic-ray writes its mutants into the checkout; neither knows C. Needs `fork`.
"""

import argparse
import importlib
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import msgspec
from mutants import Mutant, mutants_of
from mutants_c import compiles, mutants_of_c

ROOT: Final = Path(__file__).resolve().parent.parent
EQUIVALENTS: Final = Path(__file__).with_name("mutation_equivalents.toml")
ENOUGH: Final = 0.9
_COPIED: Final = ("firmware_bridge", "edge_runtime", "trainer", "tests", "docs", "pyproject.toml")
_OUTPUT: Final = "output.txt"
_MEMORY_B: Final = 6 << 30
_METHOD: Final = (
    "A mutant is the file with one change; it is killed when a test of the module fails. Survivors that no test can "
    "kill, because they do the same, leave the score, each with its reason (tests/mutation_equivalents.toml)."
)
_BY_HAND: Final = "<!-- below: by hand -->\n"
_IMPORTED_ONCE: Final = ("cobs.cobs", "hypothesis.strategies", "numpy", "pytest", "serial")


@dataclass(frozen=True, slots=True)
class Target:
    """A file of the product and the tests that must notice its mutants.

    Attributes:
        keep: which of them, as pytest's -k.
        slow: what only the second round runs, as pytest's arguments.
    """

    path: str
    tests: tuple[str, ...]
    keep: str
    slow: tuple[str, ...] = ()

    @property
    def is_c(self) -> bool:
        """Tell whether it is C."""
        return self.path.endswith(".h")


def _python(module: str, *tests: str, keep: str = "", slow: tuple[str, ...] = ()) -> Target:
    files = tuple(f"tests/test_firmware_bridge_{name}.py" for name in tests or (module,))
    return Target(f"firmware_bridge/{module}.py", (*files, f"firmware_bridge/{module}.py"), keep, slow)


def _edge(module: str, *tests: str) -> Target:
    files = tuple(f"tests/test_edge_runtime_{name}.py" for name in tests or (module,))
    return Target(f"edge_runtime/{module}.py", (*files, f"edge_runtime/{module}.py"), "")


def _draw(module: str, *tests: str) -> Target:
    files = tuple(f"tests/test_trainer_{name}.py" for name in tests)
    return Target(f"trainer/draw/{module}.py", (*files, f"trainer/draw/{module}.py"), "")


def _c(header: str, *tests: str, keep: str = "", slow: tuple[str, ...] = ()) -> Target:
    files = tuple(f"tests/test_firmware_bridge_{name}.py" for name in tests)
    return Target(f"firmware_bridge/c/{header}.h", files, keep, slow)


# Left out: tests of speed (a slow mutant is not a wrong one), that generated files are fresh, and, for Python, of C.
_NO_C: Final = "not test_c_ and not the_file_is"
_BOARD: Final = ("tests/test_firmware_bridge_board.py", "-k", "not c]")
_C_STREAMS: Final = ("tests/test_firmware_bridge_c_codec.py", "-k", "(mutated or million_errors_of) and not many")
_C_BOARD: Final = ("tests/test_firmware_bridge_board.py", "-k", "not python]")
TARGETS: Final = (
    _python("framing", "framing", "vectors", keep=f"{_NO_C} and not linear"),
    _python("messages", "codec", "layouts", "vectors", keep=_NO_C),
    _python("codec", "codec", "layouts", "vectors", keep=_NO_C),
    _python("layouts", "layouts", "codec", "vectors", keep=_NO_C),
    _python("wire_layout", "layouts"),
    _python("endpoint", slow=_BOARD),
    _python("event_window"),
    _python("control_plane"),
    _python("pulse_recorder"),
    _python("valve_bank"),
    _python("board_ejects", slow=_BOARD),
    _python("board_states", slow=_BOARD),
    _python("board_selftest", slow=_BOARD),
    _python("late_rate"),
    _python("eject_plane", "eject_plane_limits", "eject_plane"),
    _edge("norm"),
    _edge("decide"),
    _edge("triage"),
    _edge("shapes"),
    _edge("schedule", "schedule", "belts"),
    _edge("unite"),
    _draw("by_norm", "selectors", "draw_round"),
    _draw("sorted_norms", "selectors", "draw_round"),
    _draw("draw_round", "draw_round"),
    _draw("quotas", "draw_round"),
    _draw("sizes", "selectors", "draw_round"),
    _draw("chance", "selectors"),
    _draw("strata", "selectors", "draw_round"),
    _draw("by_features", "selectors"),
    _draw("by_model", "selectors"),
    _draw("quarantine", "quarantine"),
    _c("sel_codec", "vectors", "c_codec", keep="test_c_ or twin or test_a_limit", slow=_C_STREAMS),
    _c("sel_eject", "c_eject", slow=_C_BOARD),
)


@dataclass(frozen=True, slots=True)
class Round:
    """How the tests run: with so many random examples, in at most so much processor time."""

    examples: int
    is_slow: bool
    cpu_s: int = 600


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant."""

    mutant: Mutant
    is_killed: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A mutant that lives, and why it may where that is known."""

    line: int
    scope: str
    text: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """One target."""

    path: str
    possible: int
    tried: int
    killed: int
    equivalent: list[Found]
    survivors: list[Found]

    @property
    def score(self) -> float:
        """Return the killed share of the mutants that can be killed."""
        return self.killed / max(self.tried - len(self.equivalent), 1)


class Farm:
    """Copies of the tree, in each of which one mutant lives at a time.

    Args:
        folder: where the copies are.
        jobs: how many.
    """

    def __init__(self, folder: Path, jobs: int) -> None:
        self.scratch = folder / "scratch"
        self._sources = {target.path: (ROOT / target.path).read_text(encoding="utf-8") for target in TARGETS}
        self._trees = [_copy_tree(folder / f"tree{number}") for number in range(jobs)]

    def source(self, target: Target) -> str:
        """Return a target as it was when the trees were copied."""
        return self._sources[target.path]

    def cpu_s(self, target: Target, how: Round) -> float:
        """Return the processor time that the tests take without a mutant; leave where they fail then."""
        source = self.source(target)
        taken_s = 0.0
        for tree in self._trees:  # in each, so that each has its bytecode
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            _, status = os.waitpid(_start(tree, target, source, how), 0)
            if status:
                told = (tree / _OUTPUT).read_text(encoding="utf-8", errors="replace")
                raise SystemExit(f"{told}\n{target.path}: its tests fail without any mutant: {' '.join(target.tests)}")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            taken_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return taken_s

    def run(self, target: Target, mutants: Sequence[Mutant], how: Round) -> Iterator[Verdict]:
        """Yield the verdict about each mutant, in the order in which they end."""
        free, waiting = list(self._trees), list(reversed(mutants))
        running: dict[int, tuple[Path, Mutant]] = {}
        while waiting or running:
            if free and waiting:
                tree, mutant = free.pop(), waiting.pop()
                running[_start(tree, target, mutant.source, how)] = (tree, mutant)
                continue
            pid, status = os.wait()
            tree, mutant = running.pop(pid)
            _write(tree, target, self.source(target))  # for the next target
            free.append(tree)
            yield Verdict(mutant, status != 0)


def _copy_tree(tree: Path) -> Path:
    tree.mkdir()
    for name in _COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
        else:
            shutil.copy(ROOT / name, tree / name)
    (tree / "tests" / "conftest.py").unlink()  # makes a model with packages that take long to import
    return tree


def _write(tree: Path, target: Target, source: str) -> None:
    path = tree / target.path
    path.write_text(source, encoding="utf-8")
    for old in path.parent.glob(f"__pycache__/{path.stem}.*"):
        old.unlink()  # a mutant of the same second and size would be taken for the one before


def _start(tree: Path, target: Target, source: str, how: Round) -> int:
    """Begin the tests of one mutant in a process of its own; return its id."""
    _write(tree, target, source)
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        code = _test(tree, target, how)
    except BaseException:  # noqa: BLE001 - the child must not go on as its parent, whatever happens
        traceback.print_exc()
        code = 70
    os._exit(code)


def _test(tree: Path, target: Target, how: Round) -> int:
    """Run the tests of `target` in this process; return pytest's exit code."""
    resource.setrlimit(resource.RLIMIT_CPU, (how.cpu_s, how.cpu_s))
    signal.alarm(30 + 10 * how.cpu_s)  # for one that waits without using the processor
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_B, _MEMORY_B))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(tree / _OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.chdir(tree)
    os.environ["XDG_CACHE_HOME"] = str(tree / "cache")  # of compiled libraries
    sys.path[0] = str(tree)
    import pytest  # noqa: PLC0415 - main has imported it
    from hypothesis import Phase, settings  # noqa: PLC0415 - as above

    phases = [phase for phase in Phase if phase not in {Phase.shrink, Phase.explain}]
    settings.register_profile("mutation", settings.get_profile("ci"), max_examples=how.examples, phases=phases)
    options = ["-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=mutation", f"--rootdir={tree}"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is imported already
    options += ["-m", "not long", "-k", target.keep] if target.keep else ["-m", "not long"]
    first = int(pytest.main([*options, *target.tests]))
    if first or not (how.is_slow and target.slow):
        return first
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *target.slow]
    return subprocess.run(command, check=False).returncode  # a second pytest.main would not import anew


def judge(target: Target, farm: Farm, *, sample: int, seed: int, last: Result | None = None) -> Result:
    """Return how the tests of one target do; `last`: try again what survived then, and believe it about the others."""
    find: Callable[[str], list[Mutant]] = mutants_of_c if target.is_c else mutants_of
    mutants = find(farm.source(target))
    order = random.Random(seed).sample(range(len(mutants)), len(mutants))
    wanted = min(sample, len(mutants)) if sample > 0 else len(mutants)
    drawn: list[Mutant] = []
    for at in order:
        if len(drawn) == wanted:
            break
        if not target.is_c or compiles(mutants[at].source, ROOT / target.path, farm.scratch):
            drawn.append(mutants[at])
    if last is not None:
        alive = {(item.scope, item.text) for item in (*last.survivors, *last.equivalent)}
        drawn = [mutant for mutant in mutants if (mutant.scope, mutant.text) in alive]
    left = drawn
    for how in (Round(examples=12, is_slow=False), Round(examples=100, is_slow=True)):
        if left:
            limited = Round(how.examples, how.is_slow, round(4 + 4 * farm.cpu_s(target, how)))
            left = [verdict.mutant for verdict in farm.run(target, left, limited) if not verdict.is_killed]
    left.sort(key=lambda mutant: mutant.line)
    found = [Found(item.line, item.scope, item.text, _reason(target.path, item)) for item in left]
    equivalent, survivors = [item for item in found if item.reason], [item for item in found if not item.reason]
    tried = len(drawn) if last is None else last.tried
    return Result(target.path, len(mutants), tried, tried - len(found), equivalent, survivors)


def kept(path: Path) -> dict[str, Result]:
    """Return what a JSON file has about each target."""
    rows = msgspec.json.decode(path.read_bytes(), type=list[Result]) if path.exists() else []
    return {row.path: row for row in rows}


def keep(result: Result, path: Path) -> None:
    """Put the result into a JSON file in place of an older one, and make the Markdown file beside it anew.

    What a person wrote below the last table of that file stays.
    """
    known = kept(path) | {result.path: result}
    results = [known[target.path] for target in TARGETS if target.path in known]
    path.write_text(json.dumps([asdict(row) for row in results], indent=1) + "\n", encoding="utf-8")
    table = path.with_suffix(".md")
    by_hand = table.read_text(encoding="utf-8").partition(_BY_HAND)[2] if table.exists() else ""
    table.write_text(markdown(results) + _BY_HAND + (by_hand or "\n"), encoding="utf-8")


def markdown(results: Sequence[Result]) -> str:
    """Return the results for people."""
    lines = [
        "# Mutants that the tests notice",
        "",
        f"Made by `python tests/mutation.py --keep FILE.json`. {_METHOD}",
        "",
    ]
    lines += ["| file | mutants | tried | the same | killed | score |", "|---|---:|---:|---:|---:|---:|"]
    lines += [
        f"| {row.path} | {row.possible} | {row.tried} | {len(row.equivalent)} | {row.killed} | {row.score:.1%} |"
        for row in results
    ]
    killed, killable = (sum(row.killed for row in results), sum(row.tried - len(row.equivalent) for row in results))
    lines += [f"| all | | | | {killed} of {killable} | {killed / killable:.1%} |", "", "## Survivors", ""]
    alive = [f"- {row.path}:{item.line} `{item.scope}`: `{item.text}`" for row in results for item in row.survivors]
    lines += alive or ["None."]
    lines += ["", "## The same for every test", ""]
    for row in results:
        lines += [f"- {row.path}:{item.line} `{item.scope}`: `{item.text}` - {item.reason}" for item in row.equivalent]
    return "\n".join([*lines, "", ""])


def _reason(path: str, mutant: Mutant) -> str:
    """Return why that mutant cannot be killed, or nothing: `change` is its text, `like` a pattern in it."""
    for row in tomllib.loads(EQUIVALENTS.read_text(encoding="utf-8"))["equivalent"]:
        is_here = row["file"] == path and row.get("scope", mutant.scope) == mutant.scope
        if is_here and (row.get("change") == mutant.text or ("like" in row and re.search(row["like"], mutant.text))):
            return str(row["reason"])
    return ""


def _report(result: Result) -> str:
    killable = result.tried - len(result.equivalent)
    told = f"{result.possible} possible, {result.tried} tried, {len(result.equivalent)} equivalent"
    lines = [f"{result.path}: {result.killed} of {killable} killed, {result.score:.1%} ({told})"]
    lines += [f"  survives  {item.line:>4} {item.scope}: {item.text}" for item in result.survivors]
    lines += [f"  the same  {item.line:>4} {item.scope}: {item.text} ({item.reason})" for item in result.equivalent]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Run the command; return 1 where a target is below 90 %."""
    parser = argparse.ArgumentParser(description="Change the product in small ways; count what the tests notice.")
    parser.add_argument("paths", nargs="*", metavar="FILE", help="targets; all without any")
    parser.add_argument("--sample", type=int, default=120, help="mutants a target at most; 0: all")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--again", action="store_true", help="only what survived the last time")
    parser.add_argument("--keep", type=Path, metavar="FILE.json", help="add the results to this file, and FILE.md")
    options = parser.parse_args(arguments)
    unknown = set(options.paths) - {target.path for target in TARGETS}
    if unknown:
        known = ", ".join(target.path for target in TARGETS)
        parser.error(f"no target: {', '.join(sorted(unknown))}; targets: {known}")
    for name in _IMPORTED_ONCE:  # before the forks: each takes a good part of a mutant's time
        importlib.import_module(name)
    # A fork would test what its parent has imported, not its own tree.
    assert not [name for name in sys.modules if name.startswith("firmware_bridge")]
    scores = []
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        farm = Farm(Path(folder), options.jobs)
        for target in TARGETS:
            if not options.paths or target.path in options.paths:
                last = kept(options.keep).get(target.path) if options.again else None
                result = judge(target, farm, sample=options.sample, seed=options.seed, last=last)
                scores.append(result.score)
                sys.stdout.write(_report(result))
                sys.stdout.flush()
                if options.keep:
                    keep(result, options.keep)
    return int(min(scores) < ENOUGH)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
