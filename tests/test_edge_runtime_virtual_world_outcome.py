"""An outcome on disk is read back whole, or refused."""

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_host import make_scene, make_world

from edge_runtime.errors import StorageError
from edge_runtime.virtual_world_outcome import WorldOutcome, load_outcome, save_outcome
from firmware_bridge.clock import ManualClock

FILES: Final = ("outcome.json", "outcome.npz")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> WorldOutcome:
    world = make_world(tmp_path_factory.mktemp("world"), ManualClock(), make_scene(pieces=5))
    found = world.outcome()
    world.close()
    return found


@pytest.fixture(scope="module")
def saved(outcome: WorldOutcome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    save_outcome(folder, outcome)
    return folder


def test_an_outcome_is_read_back(outcome: WorldOutcome, saved: Path) -> None:
    assert load_outcome(saved).report == outcome.report


@pytest.mark.parametrize("name", FILES)
def test_a_torn_file_is_refused(saved: Path, tmp_path: Path, name: str) -> None:
    for other in FILES:
        (tmp_path / other).write_bytes((saved / other).read_bytes())
    whole = (saved / name).read_bytes()
    for size_b in {0, 1, 10, len(whole) // 2, len(whole) - 1}:
        (tmp_path / name).write_bytes(whole[:size_b])
        with pytest.raises(StorageError):
            load_outcome(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(StorageError):
        load_outcome(tmp_path)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_byte_that_has_changed_never_breaks_the_reader(
    saved: Path, tmp_path_factory: pytest.TempPathFactory, name: str, place: float, change: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "changed"
    folder.mkdir(exist_ok=True)
    for other in FILES:
        (folder / other).write_bytes((saved / other).read_bytes())
    data = bytearray((saved / name).read_bytes())
    data[int(place * len(data))] ^= change
    (folder / name).write_bytes(data)
    try:
        found = load_outcome(folder)
    except StorageError:
        return
    assert found.pieces.count == 0
