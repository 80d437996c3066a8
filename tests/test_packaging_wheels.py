"""Two wheels from one tree: the whole product, and the part for the machine, which knows nothing of training."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = {"trainer", "edge_runtime", "firmware_bridge", "deploy"}


def build_wheel(project: Path, out: Path) -> zipfile.ZipFile:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(project)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    (wheel,) = out.glob("*.whl")
    return zipfile.ZipFile(wheel)


def top_level(wheel: zipfile.ZipFile) -> set[str]:
    return {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" not in name}


def metadata(wheel: zipfile.ZipFile) -> str:
    (path,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return wheel.read(path).decode()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return build_wheel(ROOT, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return build_wheel(ROOT / "deploy" / "edge_dist", tmp_path_factory.mktemp("edge"))


def test_the_whole_wheel_has_the_four_packages_and_no_tests(whole: zipfile.ZipFile) -> None:
    assert top_level(whole) == PACKAGES


def test_the_edge_wheel_has_the_two_lower_packages(edge: zipfile.ZipFile) -> None:
    assert top_level(edge) == {"edge_runtime", "firmware_bridge"}


def test_the_edge_wheel_asks_for_neither_torch_nor_onnx(edge: zipfile.ZipFile) -> None:
    wanted = [line.split(": ")[1] for line in metadata(edge).splitlines() if line.startswith("Requires-Dist")]
    assert any(requirement.startswith("onnxruntime>=") for requirement in wanted)
    assert [name for name in wanted if name.startswith(("torch", "onnx>", "onnx=", "onnxscript", "lightning"))] == []
    assert re.findall(r"extra == '(\w+)'", metadata(edge)) == ["genicam", "genicam", "openvino", "v4l2"]


def test_both_wheels_hold_the_same_code(whole: zipfile.ZipFile, edge: zipfile.ZipFile) -> None:
    code = [name for name in edge.namelist() if ".dist-info/" not in name]
    assert {name: edge.read(name) for name in code} == {name: whole.read(name) for name in code}


def test_type_marker_and_licence_travel_along(whole: zipfile.ZipFile) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(whole.namelist())
    assert any(name.endswith("/licenses/LICENSE") for name in whole.namelist())
    assert "License-Expression: Apache-2.0" in metadata(whole)


def test_the_edge_wheel_carries_what_the_controller_is_built_from(edge: zipfile.ZipFile) -> None:
    sources = {f"firmware_bridge/c/{path.name}" for path in (ROOT / "firmware_bridge" / "c").glob("*.[ch]")}
    assert len(sources) > 8
    assert sources | {"firmware_bridge/sel1.toml"} <= set(edge.namelist())
    assert [name for name in edge.namelist() if name.endswith((".so", ".o"))] == []
