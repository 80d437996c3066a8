"""Model, recipe and machine are joined only when they belong together."""

from pathlib import Path

import numpy as np
import pytest
from tiny_model import TINY_RECIPE, draw_pieces

from edge_runtime.check import check_files
from edge_runtime.config import to_toml
from edge_runtime.crop import CropSpec
from edge_runtime.errors import ConfigError, ModelFolderError
from edge_runtime.flat_field import FlatField, save_flat_field
from edge_runtime.inline import desk_machine
from edge_runtime.machine_file import load_machine
from edge_runtime.schemas import Camera, ClassRule, Lane, Machine, Recipe
from edge_runtime.setup import open_sorter, origin_of


def write(path: Path, settings: Recipe | Machine) -> Path:
    path.write_text(to_toml(settings), encoding="utf-8")
    return path


def test_recipe_of_the_folder_is_used_and_overridden(tiny_model_folder: Path) -> None:
    setup = open_sorter(tiny_model_folder, overrides=["segment.threshold=70", "oversize=accept"])
    assert setup.sorter.recipe.segment.threshold == 70
    assert setup.sorter.recipe.oversize == "accept"
    assert setup.sorter.recipe.classes == TINY_RECIPE.classes
    assert setup.machine.name == "desk"


def test_recipe_and_machine_files_stand_in(tiny_model_folder: Path, tmp_path: Path) -> None:
    rules = (ClassRule("good", "eject"), *TINY_RECIPE.classes[1:])
    recipe = write(tmp_path / "recipe.toml", Recipe(rules, crop=TINY_RECIPE.crop))
    machine = write(tmp_path / "machine.toml", Machine("mill", (Camera("front"),), (Lane(7, 0.0, 50.0),)))
    setup = open_sorter(tiny_model_folder, recipe, machine=machine)
    assert setup.sorter.recipe.classes == rules
    assert (setup.machine.name, setup.sorter.camera.name) == ("mill", "front")


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(TINY_RECIPE.classes, crop=CropSpec(side_px=48)),
        Recipe(TINY_RECIPE.classes[::-1], crop=TINY_RECIPE.crop),
        Recipe(TINY_RECIPE.classes[:2], crop=TINY_RECIPE.crop),
    ],
    ids=["crop", "order", "number"],
)
def test_recipe_for_another_model_is_refused(tiny_model_folder: Path, tmp_path: Path, recipe: Recipe) -> None:
    path = write(tmp_path / "recipe.toml", recipe)
    with pytest.raises(ConfigError, match="names other classes or another crop shape than model"):
        open_sorter(tiny_model_folder, path)


@pytest.mark.parametrize(
    ("machine", "why"),
    [
        (Machine("mill", (), (Lane(0, 0.0, 5.0),)), "at least one"),
        (Machine("mill", (Camera(),), ()), "at least one"),
        (Machine("mill", (Camera("a"), Camera("a")), (Lane(0, 0.0, 5.0),)), "cameras are called a, a"),
        (Machine("mill", (Camera(),), (Lane(0, 0.0, 5.0), Lane(1, 4.9, 9.0))), r"lane\[1\] begins at 4.9 mm"),
        (Machine("mill", (Camera(),), (Lane(3, 0.0, 5.0), Lane(3, 5.0, 9.0))), r"lane\[1\] has valve 3, as one before"),
        (
            Machine("mill", (Camera(),), (Lane(3, 0.0, 5.0),), min_pause_us=500, max_pulse_us=500),
            "min_pause_us 500 leaves no time of 500",
        ),
        (Machine("mill", (Camera(),), (Lane(0, 0.0, 5.0), Lane(1, 9.0, 9.0))), r"lane\[1\] goes from 9.0 to 9.0 mm"),
    ],
)
def test_machine_that_cannot_sort_is_refused(tmp_path: Path, machine: Machine, why: str) -> None:
    path = write(tmp_path / "machine.toml", machine)
    with pytest.raises(ConfigError, match=why):
        load_machine(path)


def test_machine_is_read_as_written(tmp_path: Path) -> None:
    machine = desk_machine(1000)
    assert load_machine(write(tmp_path / "machine.toml", machine)) == machine


def test_origin_changes_with_the_recipe_alone(tiny_model_folder: Path) -> None:
    setup = open_sorter(tiny_model_folder)
    other = open_sorter(tiny_model_folder, overrides=["segment.threshold=61"])
    origin = origin_of(setup, "lot 1")
    assert origin == origin_of(open_sorter(tiny_model_folder), "lot 1")
    card = setup.folder.card
    assert origin.class_norms == card.class_norms
    assert origin.sample_counts == tuple(card.metrics[name].samples for name in card.classes)
    assert origin.model_id == setup.folder.card.model_id == origin_of(other, "lot 1").model_id
    assert origin.recipe_digest != origin_of(other, "lot 1").recipe_digest
    assert (origin.machine, origin.lot, origin.class_names) == ("desk", "lot 1", TINY_RECIPE.class_names)


def test_check_tells_what_each_file_is(tiny_model_folder: Path, tmp_path: Path) -> None:
    machine = write(tmp_path / "machine.toml", desk_machine(100))
    recipe = tiny_model_folder / "recipe.toml"
    found = check_files(tiny_model_folder, recipe, machine)
    assert found[str(tiny_model_folder)].endswith(
        "3 classes, 11 golden crops, runs as fp32 by onnxruntime: not tuned on this board"
    )
    assert found[str(recipe)] == "recipe with classes good, stone, husk"
    assert found[str(machine)] == "machine desk, 1 cameras, 2 lanes; calibrated: none"
    assert check_files(None, None, None) == {}


def test_check_fails_where_the_folder_does(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="is not a whole model folder"):
        check_files(tmp_path, None, None)


def test_check_tells_all_that_is_wrong_with_recipe_and_machine(tmp_path: Path) -> None:
    recipe, machine = tmp_path / "recipe.toml", tmp_path / "machine.toml"
    recipe.write_text('[[class]]\nname = "a"\naction = "ejct"\n[segment]\nthreshold = 256\n', "utf-8")
    machine.write_text('name = "m"\n[[camera]]\npixel_mm = 0.0\n[[lane]]\nvalve = 1\n', "utf-8")
    with pytest.raises(ConfigError) as error:
        check_files(tmp_path, recipe, machine)
    told = [line.rpartition("toml, ")[2].partition(":")[0] for line in str(error.value).splitlines()]
    assert told == ["line 3", "line 5", "line 3", "line 4"]


def test_check_tells_what_no_single_table_can(tmp_path: Path) -> None:
    machine = write(tmp_path / "machine.toml", Machine("mill", (Camera("a"), Camera("a")), (Lane(0, 0.0, 5.0),)))
    with pytest.raises(ConfigError, match="cameras are called a, a"):
        check_files(None, None, machine)


def test_check_tells_of_all_references_that_do_not_fit(tmp_path: Path) -> None:
    cameras = (Camera("front", width_px=100), Camera("rear", width_px=100), Camera("side", width_px=100))
    machine = write(tmp_path / "machine.toml", Machine("mill", cameras, (Lane(0, 0.0, 5.0),)))
    (tmp_path / "calibration").mkdir()
    narrow = FlatField(np.zeros((1, 99, 3), np.uint8), np.ones((1, 99, 3), np.float32))
    save_flat_field(tmp_path / "calibration" / "front.npz", narrow)
    (tmp_path / "calibration" / "side.npz").write_bytes(b"torn")
    with pytest.raises(ConfigError) as error:
        check_files(None, None, machine)
    front, side = str(error.value).splitlines()
    assert "calibrated for 99 columns, camera front has 100" in front
    assert "side.npz is no flat field" in side


def test_references_of_other_bands_than_the_crops_are_refused(tiny_model_folder: Path, tmp_path: Path) -> None:
    machine = write(tmp_path / "machine.toml", desk_machine(100))
    (tmp_path / "calibration").mkdir()
    grey = FlatField(np.zeros((1, 100, 1), np.uint8), np.ones((1, 100, 1), np.float32))
    save_flat_field(tmp_path / "calibration" / "top.npz", grey)
    for refuse in (
        lambda: open_sorter(tiny_model_folder, machine=machine),
        lambda: check_files(tiny_model_folder, None, machine),
    ):
        with pytest.raises(ConfigError, match="camera top was calibrated with 1 bands, the recipe's crops have 3"):
            refuse()


def test_check_tells_of_a_recipe_for_another_model(tiny_model_folder: Path, tmp_path: Path) -> None:
    recipe = write(tmp_path / "recipe.toml", Recipe(TINY_RECIPE.classes[::-1], crop=TINY_RECIPE.crop))
    with pytest.raises(ConfigError, match="names other classes"):
        check_files(tiny_model_folder, recipe, None)


def test_a_view_is_taken_by_its_name(tiny_model_folder: Path, tmp_path: Path) -> None:
    views = (Camera("front"), Camera("rear", pixel_mm=0.2))
    machine = write(tmp_path / "machine.toml", Machine("mill", views, (Lane(7, 0.0, 50.0),)))
    assert open_sorter(tiny_model_folder, machine=machine).sorter.camera == views[0]
    assert open_sorter(tiny_model_folder, machine=machine, camera="rear").sorter.camera == views[1]
    with pytest.raises(ConfigError, match="machine mill has no camera top: use one of front, rear"):
        open_sorter(tiny_model_folder, machine=machine, camera="top")


def test_colours_are_told_apart(tiny_model_folder: Path) -> None:
    """What the other tests of recordings rest on."""
    sorter = open_sorter(tiny_model_folder).sorter
    crops = draw_pieces(["good", "stone", "husk"], width_px=120).reshape(40, 3, 40, 3).transpose(1, 0, 2, 3)
    scores = sorter.classify(crops[:, 4:36, 4:36].copy())
    assert scores.argmax(axis=1).tolist() == [0, 1, 2]


def test_references_beside_the_machine_file_are_used(tiny_model_folder: Path, tmp_path: Path) -> None:
    machine = write(tmp_path / "machine.toml", desk_machine(100))
    assert open_sorter(tiny_model_folder, machine=machine).sorter.flat_field is None
    (tmp_path / "calibration").mkdir()
    field = FlatField(np.zeros((1, 100, 3), np.uint8), np.full((1, 100, 3), 1.5, np.float32))
    save_flat_field(tmp_path / "calibration" / "top.npz", field)
    used = open_sorter(tiny_model_folder, machine=machine).sorter.flat_field
    assert used is not None
    assert np.array_equal(used.gain, field.gain)
    assert check_files(None, None, machine)[str(machine)].endswith("calibrated: top")


def test_references_of_another_width_are_refused(tiny_model_folder: Path, tmp_path: Path) -> None:
    machine = write(tmp_path / "machine.toml", desk_machine(100))
    (tmp_path / "calibration").mkdir()
    field = FlatField(np.zeros((1, 99, 3), np.uint8), np.ones((1, 99, 3), np.float32))
    save_flat_field(tmp_path / "calibration" / "top.npz", field)
    with pytest.raises(ConfigError, match="calibrated for 99 columns, camera top has 100"):
        open_sorter(tiny_model_folder, machine=machine)
