"""What a bare machine installs is pinned, checked by hash, and no more than the product needs."""

import itertools
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[1]
REQUIREMENTS: Final = ROOT / "requirements"
LAYERS: Final = ("base", "trainer", "dev")
EDGE_LIMIT_B: Final = 240_000_000
# They replace a CPU build of torch by one with several GB of CUDA libraries, or bring in torchvision, which does.
NEVER: Final = {"torchvision", "torchaudio", "timm", "opencv-python", "onnxruntime-gpu", "tensorflow"}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(layer: str) -> dict[str, str]:
    text = (REQUIREMENTS / f"{layer}.txt").read_text(encoding="utf-8")
    return {normalised(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


def project(folder: str = ".") -> dict[str, Any]:
    """Return the [project] table of a pyproject.toml, as untyped as TOML is."""
    table: dict[str, Any] = tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def names(requirements: list[str]) -> set[str]:
    return {normalised(re.split(r"[<>=!~;\[ ]", requirement)[0]) for requirement in requirements}


@pytest.mark.parametrize("layer", LAYERS)
def test_lock_is_nothing_but_pins_with_hashes(layer: str) -> None:
    text = (REQUIREMENTS / f"{layer}.txt").read_text(encoding="utf-8")
    block = r"[\w.-]+==[\w.]+(?: ; [^\\\n]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n"
    assert re.fullmatch(f"(?:{block})+", text)


@pytest.mark.parametrize("layer", LAYERS)
def test_no_build_that_only_one_machine_has_is_locked(layer: str) -> None:
    assert [version for version in pins(layer).values() if "+" in version] == []


def test_layers_of_the_lock_add_up_without_overlap() -> None:
    listed = [name for layer in LAYERS for name in pins(layer)]
    assert sorted(listed) == sorted(set(listed))


def test_every_requirement_of_the_project_is_locked_in_its_layer() -> None:
    extras = project()["optional-dependencies"]
    assert names(project()["dependencies"]) <= set(pins("base"))
    assert names(extras["trainer"]) - {"torch"} <= set(pins("base") | pins("trainer"))
    assert names(extras["dev"]) <= {name for layer in LAYERS for name in pins(layer)}


def test_torch_is_pinned_apart_without_hash_or_local_suffix() -> None:
    assert (REQUIREMENTS / "torch.txt").read_text(encoding="utf-8") == "torch==2.13.0\n"
    assert [layer for layer in LAYERS if "torch" in pins(layer)] == []


def test_the_edge_installs_neither_torch_nor_onnx() -> None:
    assert {"torch", "onnx", "onnxscript", "lightning-fabric"}.isdisjoint(pins("base"))


def test_what_would_bring_gigabytes_never_comes_in() -> None:
    locked = {name for layer in LAYERS for name in pins(layer)}
    extras = project()["optional-dependencies"].values()
    wanted = names([*project()["dependencies"], *itertools.chain.from_iterable(extras)])
    assert NEVER.isdisjoint(locked | wanted)
    assert [name for name in locked if name.startswith(("nvidia-", "cuda-", "triton"))] == []


def test_edge_packages_stay_below_240_mb_unpacked_on_arm() -> None:
    sizes_b = tomllib.loads((REQUIREMENTS / "wheel_sizes.toml").read_text(encoding="utf-8"))
    assert sorted(sizes_b) == sorted(f"{name}=={version}" for name, version in pins("base").items())
    assert sum(sizes_b.values()) < EDGE_LIMIT_B


def test_no_file_of_the_setup_names_an_index_or_a_place_on_one_machine() -> None:
    files = [path for path in REQUIREMENTS.iterdir() if path.suffix in {".txt", ".in", ".toml"}]
    files += [ROOT / "Makefile", ROOT / ".ci" / "run", *(ROOT / "docs").glob("*.md")]
    bad = re.compile(r"--(?:extra-)?index-url|--find-links|--trusted-host|https?://(?:\w+\.)*(?:pypi|pythonhosted)")
    assert [path.name for path in files if bad.search(path.read_text(encoding="utf-8"))] == []


def test_edge_distribution_has_the_projects_version_requirements_and_programs() -> None:
    edge, whole = project("deploy/edge_dist"), project()
    assert edge["version"] == whole["version"]
    assert edge["requires-python"] == whole["requires-python"]
    assert edge["dependencies"] == whole["dependencies"]
    assert edge["scripts"] == {name: whole["scripts"][name] for name in ("sortloop-edge", "sortloop-link")}


@pytest.mark.parametrize("target", ["demo", "test", "test-long", "check", "bench", "golden", "docs", "wheel", "lock"])
def test_makefile_has_the_target_and_says_what_it_does(target: str) -> None:
    assert re.search(rf"^{target}:.*## \S", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_make_command_of_the_readme_is_a_target() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = set(re.findall(r"^\s*make (?:[A-Z_]+=\S+ )?([a-z-]+)", readme, re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test"} <= commands <= targets


def test_ci_runs_the_readmes_test_command_and_the_checks() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("make ")] == ["make test", "make check"]
    assert "set -euo pipefail" in lines
