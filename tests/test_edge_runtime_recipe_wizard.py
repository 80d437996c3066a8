"""A proposed recipe is a recipe: it reads back equal, says why, and the page shows it in both languages."""

import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_model import write_recording

from edge_runtime.config import load_settings
from edge_runtime.errors import ConfigError, FrameError
from edge_runtime.recipe_sheet import recipe_sheet
from edge_runtime.recipe_wizard import Wizard, look_at_frames, recipe_report, recipe_toml
from edge_runtime.schemas import Recipe
from edge_runtime.sheet_texts import Say
from firmware_bridge.phrase import LANGUAGES, Language


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    folder = write_recording(tmp_path / "recording", 30)
    (folder / "99.png").write_bytes(b"")
    return folder


@pytest.fixture
def wizard(recording: Path) -> Wizard:
    return look_at_frames(recording, ("good", "stone"), "rice & husk")


def test_few_frames_are_looked_at_evenly_and_the_rest_is_counted(wizard: Wizard) -> None:
    assert wizard.names == tuple(f"{number:02d}.png" for number in range(0, 30, 4))
    assert wizard.missing == 1
    assert wizard.proposal.figures.objects == 12 * len(wizard.names)


@pytest.mark.parametrize("language", LANGUAGES)
def test_toml_reads_back_as_the_recipe_and_says_why(wizard: Wizard, language: Language, tmp_path: Path) -> None:
    text = recipe_toml(wizard, language)
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    assert load_settings(path, Recipe) == wizard.recipe
    assert tomllib.loads(text)["name"] == "rice & husk"
    for key, reason in wizard.proposal.reasons.items():
        above = text[: text.index(f"\n{key.partition('.')[2]} = ")].splitlines()[-1]
        assert above.startswith("# ")
        assert above[2:] in reason.text(language)
    assert wizard.recipe.class_names == ("good", "stone")
    assert {rule.action for rule in wizard.recipe.classes} == {"accept"}


def test_report_has_the_figures_of_the_frames(wizard: Wizard) -> None:
    report = recipe_report(wizard)
    assert (report.frames, report.missing, report.objects) == (len(wizard.names), 1, 12 * len(wizard.names))
    assert report.recipe == recipe_toml(wizard)
    assert report.segment == wizard.recipe.segment
    assert report.crop == wizard.recipe.crop
    assert report.reasons.keys() == wizard.proposal.reasons.keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_shows_frames_crops_levels_and_reasons(wizard: Wizard, language: Language) -> None:
    page = recipe_sheet(wizard, language).decode()
    assert page.encode() == recipe_sheet(wizard, language)
    assert page.count("data:image/jpeg") == len(wizard.names)
    assert page.count("data:image/png") == 36
    for phrase in (Say.recipe_title, Say.levels, Say.clearness, Say.key_at_border):
        assert phrase.en in page
        assert phrase.zh_cn in page
    assert "rice &amp; husk" in page
    assert "<script" not in page
    assert "http" not in page


def test_page_of_a_frame_without_fitting_objects_still_stands(tmp_path: Path) -> None:
    frame = np.zeros((300, 300, 3), np.uint8)
    frame[100:200, 100:220] = 200
    cv2.imwrite(str(tmp_path / "one.png"), frame)
    wizard = look_at_frames(tmp_path / "one.png", ("good",))
    page = recipe_sheet(wizard).decode()
    assert page.count("data:image/png") == 1
    assert page.count("<li>") == len(wizard.proposal.warnings) > 0


def test_unusable_sources_and_names_are_refused(recording: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "0.png").write_bytes(b"no picture")
    with pytest.raises(FrameError, match="none of its 1 pictures can be used; the first: "):
        look_at_frames(broken, ("good",))
    with pytest.raises(ConfigError, match=r"class\[1\]\.name"):
        look_at_frames(recording, ("good", ""))
    with pytest.raises(ConfigError, match="class good is named more than once"):
        look_at_frames(recording, ("good", "good"))
