"""The recipes in docs: settings that a run takes as they are."""

from pathlib import Path

import msgspec
import pytest

from trainer.settings import RunSettings

RECIPES = sorted((Path(__file__).parents[1] / "docs" / "recipes").glob("*.toml"))


def test_there_is_one_for_each_public_set() -> None:
    assert [path.stem for path in RECIPES] == ["coffee", "deeppcb", "rice", "trashnet"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_holds_settings_of_a_run_and_says_why(path: Path) -> None:
    data = path.read_bytes()
    assert isinstance(msgspec.toml.decode(data, type=RunSettings), RunSettings)
    assert data.startswith(b"# ")


def test_where_defects_are_small_nothing_is_interpolated() -> None:
    told = {path.stem: msgspec.toml.decode(path.read_bytes(), type=RunSettings).fit.augment for path in RECIPES}
    assert {name for name, augment in told.items() if augment.is_resampled} == {"coffee", "trashnet"}
