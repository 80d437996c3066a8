"""Settings are read as written, and every error names the file, the line, the key and what is valid."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import segment_settings

from edge_runtime.config import apply_overrides, decode_settings, load_settings, read_toml, settings_faults, to_toml
from edge_runtime.crop import CropSpec
from edge_runtime.errors import ConfigError
from edge_runtime.schemas import Camera, ClassRule, Lane, Machine, Recipe, ResidualPolicy
from edge_runtime.segment import SegmentSettings

RECIPE = """\
name = "rice"

[[class]]
name = "good"

[[class]]
name = "stone"
action = "eject"
min_score = 0.7

[segment]  # objects
threshold = 80
blur_px = 3
"""

Write = Callable[[str], Path]

FILE_NAMES = st.from_regex("[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64)
RATIOS = st.floats(0.0, 1.0)
POSITIVE = st.floats(0.0, 1e9, exclude_min=True)
RULES = st.builds(ClassRule, NAMES, st.sampled_from(["accept", "eject"]), RATIOS)
RECIPES = st.builds(
    Recipe,
    st.lists(RULES, min_size=1, max_size=4, unique_by=lambda rule: rule.name).map(tuple),
    name=NAMES,
    oversize=st.sampled_from(["accept", "eject"]),
    segment=segment_settings(),
    crop=st.builds(CropSpec, st.integers(8, 512), st.integers(1, 64), st.integers(2, 32)),
    residual=st.builds(ResidualPolicy, RATIOS, st.integers(1, 2**62)),
)
CAMERAS = st.builds(
    Camera, FILE_NAMES, st.integers(16, 16384), POSITIVE, to_valves_mm=POSITIVE, max_object_lines=st.integers(8, 4096)
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
LANES = st.builds(Lane, st.integers(0, 4095), FINITE, FINITE, st.integers(0, 100_000))
MACHINES = st.builds(
    Machine,
    NAMES,
    st.lists(CAMERAS, max_size=3).map(tuple),
    st.lists(LANES, max_size=5).map(tuple),
    belt_mm_s=POSITIVE,
    port=st.text(st.characters(codec="utf-8")),
    keeps_order=st.booleans(),
)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_recipe(text: str) -> Path:
        path = tmp_path / "recipe.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_recipe


def parse(text: str, folder: Path) -> dict[str, object]:
    path = folder / "settings.toml"
    path.write_text(text, encoding="utf-8", newline="")
    return read_toml(path)


@given(settings=RECIPES)
def test_recipe_written_as_toml_is_read_back_equal(settings: Recipe, tmp_path_factory: pytest.TempPathFactory) -> None:
    tables = parse(to_toml(settings), tmp_path_factory.getbasetemp())
    assert decode_settings(tables, Recipe, "recipe") == settings


@given(settings=MACHINES)
def test_machine_written_as_toml_is_read_back_equal(
    settings: Machine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tables = parse(to_toml(settings), tmp_path_factory.getbasetemp())
    assert decode_settings(tables, Machine, "machine") == settings


def test_file_stands_above_default_and_override_above_file(write: Write) -> None:
    path = write(RECIPE)
    assert load_settings(path, Recipe).segment == SegmentSettings(threshold=80)
    overrides = ["segment.threshold=90", "segment.threshold=91", "segment.polarity=dark", "crop.side_px=64"]
    recipe = load_settings(path, Recipe, overrides)
    assert recipe.segment == SegmentSettings(threshold=91, polarity="dark")
    assert recipe.crop == CropSpec(side_px=64)


def test_overrides_leave_the_tables_as_they_were() -> None:
    tables = {"a": {"b": {"c": 1}}, "list": [{"d": 1}]}
    assert apply_overrides(tables, ["a.b.c=2"]) == {"a": {"b": {"c": 2}}, "list": [{"d": 1}]}
    assert tables == {"a": {"b": {"c": 1}}, "list": [{"d": 1}]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1.5", 1.5),
        ("true", True),
        ('"x y"', "x y"),
        ("rice", "rice"),
        ("[1, 2]", [1, 2]),
        ("", ""),
        ("=", "="),
    ],
)
def test_override_is_a_toml_value_or_else_a_text(text: str, value: object) -> None:
    assert apply_overrides({}, [f" key = {text}"]) == {"key": value}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("threshold", "is not key=value: write for example --set segment.threshold=80"),
        ("=5", "is not key=value"),
        ("name.first=5", "name is a value, not a table"),
        ("class.0=5", "class is a value, not a table"),
    ],
)
def test_wrong_override_is_an_error(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        apply_overrides({"name": "rice", "class": []}, [text])


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("blur_px = 3", "blurr_px = 3", "line 13: unknown key segment.blurr_px; did you mean blur_px?"),
        ("[segment]", "threshold = 1\n[segment]", "line 11: unknown key class[1].threshold; did you mean segment.thr"),
        ("[segment]", "[segmnt]", "line 11: unknown key segmnt; did you mean segment?"),
        ('action = "eject"', "qqq = 1", "line 8: unknown key class[1].qqq; known keys: accept_cost, action,"),
        ("threshold = 80", 'threshold = "80"', "line 12: key segment.threshold = '80': Expected `int`, got `str`"),
        ("threshold = 80", "threshold = 256", "line 12: key segment.threshold = 256: Expected `int` <= 255"),
        ("min_score = 0.7", "min_score = 1.5", "line 9: key class[1].min_score = 1.5: Expected `float` <= 1.0"),
        ("min_score = 0.7", "min_score = nan", "line 9: key class[1].min_score is nan: give a finite number"),
        ('"eject"', '"ejct"', "line 8: key class[1].action = 'ejct': Invalid enum value 'ejct': one of accept, eject"),
        ("blur_px = 3", "blur_px = 4", "line 13: key segment.blur_px = 4: Invalid enum value 4: one of 1, 3, 5"),
        ('name = "good"', "", "line 3: key class[0].name is missing"),
        ("[segment]", "residual = { audit_rate = 2.0 }\n[segment]", "unknown key class[1].residual; did you mean"),
        ('name = "rice"', "crop.side_px = 4", "line 1: key crop.side_px = 4: Expected `int` >= 8"),
        ('name = "rice"', "crop = { side_px = 4 }", "line 1: key crop.side_px = 4: Expected `int` >= 8"),
        ("threshold = 80", "threshold = ", "is not valid TOML: Invalid value (at line 12, column 13)"),
    ],
)  # fmt: skip
def test_wrong_file_is_an_error_with_line_key_and_what_is_valid(write: Write, old: str, new: str, why: str) -> None:
    path = write(RECIPE.replace(old, new, 1))
    with pytest.raises(ConfigError) as error:
        load_settings(path, Recipe)
    assert str(path) in str(error.value)
    assert why in str(error.value)
    assert settings_faults(path, Recipe)[0] == str(error.value)


def test_every_table_that_is_wrong_is_told_at_once(write: Write) -> None:
    wrong = {
        'action = "eject"': 'action = "ejct"',
        "threshold = 80": "threshold = 256",
        'name = "good"': "",
        'name = "rice"': 'name = "rice"\ncolour = "white"',
    }
    text = RECIPE
    for old, new in wrong.items():
        text = text.replace(old, new, 1)
    path = write(text)
    assert [fault.removeprefix(f"{path}, ").partition(";")[0] for fault in settings_faults(path, Recipe)] == [
        "line 4: key class[0].name is missing",
        "line 9: key class[1].action = 'ejct': Invalid enum value 'ejct': one of accept, eject",
        "line 13: key segment.threshold = 256: Expected `int` <= 255",
        "line 2: unknown key colour",
    ]


def test_a_wrong_table_is_not_blamed_for_what_it_would_have_said_with_others(write: Write) -> None:
    wrong = RECIPE + 'channel = "background"\nbackground = [20]\n[crop]\nside_px = 4\nchannels = 1\n'
    path = write(wrong)
    assert settings_faults(path, Recipe) == (f"{path}, line 17: key crop.side_px = 4: Expected `int` >= 8",)


def test_a_right_file_has_no_faults(write: Write) -> None:
    assert settings_faults(write(RECIPE), Recipe) == ()


def test_keys_that_contradict_each_other_are_a_fault_of_their_table(write: Write) -> None:
    path = write(RECIPE.replace("min_score = 0.7", "accept_cost = 1.0"))
    assert settings_faults(path, Recipe) == (
        f"{path}, line 6: class[1]: class stone: give accept_cost and eject_cost, or neither",
    )


@pytest.mark.parametrize(
    "text", ["threshold = ", "class = 5", 'class = ["good"]', "", "segment = 3\n[[class]]\nname='a'"]
)
def test_faults_are_found_where_loading_fails_and_nowhere_else(write: Write, text: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as error:
        load_settings(path, Recipe)
    assert settings_faults(path, Recipe) == (str(error.value),)


def test_a_file_that_cannot_be_read_is_the_one_fault(tmp_path: Path) -> None:
    assert settings_faults(tmp_path / "no.toml", Recipe) == (
        f"cannot read {tmp_path / 'no.toml'}: No such file or directory",
    )


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("segment.threshold=900", "--set segment.threshold=900: key segment.threshold = 900: Expected `int` <= 255"),
        ("segmnt.threshold=9", "--set segmnt.threshold=9: unknown key segmnt; did you mean segment?"),
        ("crop={side_px=4}", "--set crop={side_px=4}: key crop.side_px = 4: Expected `int` >= 8"),
    ],
)
def test_fault_of_an_override_is_not_blamed_on_the_file(write: Write, override: str, why: str) -> None:
    path = write(RECIPE)
    with pytest.raises(ConfigError) as error:
        load_settings(path, Recipe, ["crop.reduction=2", override])
    assert str(error.value) == why


def test_missing_key_without_a_header_names_the_file_alone(write: Write) -> None:
    path = write("")
    with pytest.raises(ConfigError) as error:
        load_settings(path, Recipe)
    assert str(error.value) == f"{path}: key class is missing"


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_numbers_that_are_none_are_refused_where_no_range_would(value: str, tmp_path: Path) -> None:
    path = tmp_path / "machine.toml"
    path.write_text(f'name = "m"\nlane = []\n[[camera]]\nto_valves_mm = {value}\n')
    with pytest.raises(ConfigError, match=r"line 4: key camera\[0\].to_valves_mm is -?(inf|nan): give a finite number"):
        load_settings(path, Machine)


def test_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*recipe.toml: No such file or directory"):
        load_settings(tmp_path / "recipe.toml", Recipe)


def test_text_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load_settings(tmp_path / "recipe.toml", Recipe)


@given(data=st.binary(max_size=60))
def test_any_bytes_are_refused_as_settings_without_a_class(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"any\.toml"):
        load_settings(path, Recipe)


def test_toml_has_the_keys_in_the_order_of_the_struct() -> None:
    lines = [line for line in to_toml(Recipe(classes=(ClassRule("good"),))).splitlines() if line]
    keys = ["name", "oversize", "cluster", "cut_off", "min_length_mm", "max_length_mm", "schema_version", "[[class]]"]
    assert [line.partition(" = ")[0] for line in lines[:8]] == keys


class Nested(msgspec.Struct, frozen=True):
    """Tables inside of an array of tables."""

    crops: tuple[CropSpec, ...] = (CropSpec(), CropSpec(side_px=16))


class Deep(msgspec.Struct, frozen=True):
    """Tables inside of tables."""

    nested: Nested = Nested()
    several: tuple[Nested, ...] = (Nested(), Nested(()))
    nothing: str | None = None


def test_nested_tables_are_read_back_equal(tmp_path: Path) -> None:
    assert decode_settings(parse(to_toml(Deep()), tmp_path), Deep, "deep") == Deep()
