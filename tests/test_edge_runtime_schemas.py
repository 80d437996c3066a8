"""Records on disk take what they state and refuse everything else."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.config import decode_settings
from edge_runtime.crop import CropSpec
from edge_runtime.errors import ConfigError
from edge_runtime.norm import ClassNorms, NormSpec
from edge_runtime.schemas import (
    Camera,
    ClassMetrics,
    ClassRule,
    DisplayName,
    Lane,
    Lineage,
    Machine,
    ModelCard,
    NormTable,
    Recipe,
    ResidualPolicy,
)
from edge_runtime.segment import SegmentSettings

DIGEST = "0123456789abcdef" * 4
CARD = ModelCard(
    model_id=DIGEST,
    classes=("good", "stone"),
    display_names={"good": DisplayName("rice", "大米"), "stone": DisplayName("stone", "石子")},
    crop=CropSpec(),
    norm=NormSpec(channel_weights=(1, 2, 3)),
    class_norms={"good": ClassNorms(2, 3, 5)},
    temperature=1.5,
    metrics={"good": ClassMetrics(10, 0.9, 0.8, 0.85)},
    macro_f1=0.9,
    worst_class_recall=0.8,
    lineage=Lineage(DIGEST, DIGEST, 3, 2, 100, 900, seed=1, m=8, a=4, b=4, versions={"torch": "2.9"}),
    opset=20,
    ort_min="1.22.0",
)
RECORDS: list[msgspec.Struct] = [
    Recipe(classes=(ClassRule("good"),)),
    Machine("mill", (Camera(),), (Lane(0, 0.0, 5.0),)),
    CARD,
    NormTable(2, {"good": (1, 2)}),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_record_is_read_back_equal(record: msgspec.Struct) -> None:
    assert msgspec.json.decode(msgspec.json.encode(record), type=type(record)) == record


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_record_states_its_version_and_refuses_others(record: msgspec.Struct) -> None:
    tables = json.loads(msgspec.json.encode(record))
    assert tables["schema_version"] == 1
    with pytest.raises(msgspec.ValidationError, match="schema_version"):
        msgspec.convert({**tables, "schema_version": 2}, type(record))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_record_refuses_an_unknown_key_at_every_depth(record: msgspec.Struct) -> None:
    paths = [path for path, _ in tables_of(json.loads(msgspec.json.encode(record)), ()) if not FREE & set(path[-1:])]
    assert paths
    for path in paths:
        tables = json.loads(msgspec.json.encode(record))
        dict(tables_of(tables, ()))[path]["qqq"] = 1
        with pytest.raises(msgspec.ValidationError, match="unknown field `qqq`"):
            msgspec.convert(tables, type(record))


FREE = {"display_names", "class_norms", "metrics", "versions", "histograms"}  # tables whose keys are names


def tables_of(value: object, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], dict[str, object]]]:
    """Every table below a value, with its path."""
    found = []
    if isinstance(value, dict):
        found.append((path, value))
        for key, item in value.items():
            found += tables_of(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            found += tables_of(item, (*path, str(number)))
    return found


def test_display_name_is_called_by_its_language_tag() -> None:
    assert json.loads(msgspec.json.encode(CARD))["display_names"]["good"] == {"en": "rice", "zh-CN": "大米"}


@pytest.mark.parametrize(
    ("kind", "tables"),
    [
        (ClassRule, {"name": ""}),
        (ClassRule, {"name": "x" * 65}),
        (ClassRule, {"name": "x", "min_score": 1.01}),
        (ClassRule, {"name": "x", "min_score": -0.01}),
        (ClassRule, {"name": "x", "action": "keep"}),
        (ResidualPolicy, {"audit_rate": 1.1}),
        (ResidualPolicy, {"max_per_class": 0}),
        (Lane, {"valve": 4096, "from_mm": 0.0, "to_mm": 1.0}),
        (Lane, {"valve": -1, "from_mm": 0.0, "to_mm": 1.0}),
        (Lane, {"valve": 0, "from_mm": 0.0, "to_mm": 1.0, "delay_us": 100_001}),
        (Camera, {"width_px": 15}),
        (Camera, {"width_px": 16385}),
        (Camera, {"pixel_mm": 0.0}),
        (Camera, {"max_object_lines": 7}),
        (Camera, {"max_object_lines": 4097}),
        (SegmentSettings, {"threshold": 256}),
        (SegmentSettings, {"blur_px": 2}),
        (SegmentSettings, {"min_area_px": 0}),
        (SegmentSettings, {"mask_margin_px": 65}),
        (CropSpec, {"side_px": 7}),
        (CropSpec, {"side_px": 513}),
        (CropSpec, {"reduction": 0}),
        (CropSpec, {"channels": 33}),
        (NormSpec, {"channel_weights": [128]}),
        (NormSpec, {"channel_weights": [-1]}),
        (Machine, {"name": "m", "camera": [], "lane": [], "baud": 9600}),
        (Machine, {"name": "m", "camera": [], "lane": [], "belt_mm_s": 0}),
    ],
)
def test_value_out_of_range_is_refused(kind: type[msgspec.Struct], tables: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"Expected|Invalid"):
        msgspec.convert(tables, kind)


@given(st.text(alphabet="0123456789abcdefABCDEFg", min_size=62, max_size=66))
def test_model_id_is_64_lower_hexadecimal_digits(text: str) -> None:
    tables = {**json.loads(msgspec.json.encode(CARD)), "model_id": text}
    is_digest = len(text) == 64 and set(text) <= set("0123456789abcdef")
    try:
        card = msgspec.convert(tables, ModelCard)
    except msgspec.ValidationError:
        assert not is_digest
    else:
        assert is_digest
        assert card.model_id == text


def test_class_names_are_in_the_order_of_the_rules() -> None:
    assert Recipe((ClassRule("b"), ClassRule("a"))).class_names == ("b", "a")


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"class": [{"name": "a", "accept_cost": 1.0}]}, "class a: give accept_cost and eject_cost, or neither"),
        (
            {"class": [{"name": "a", "accept_cost": 0.0, "eject_cost": 1.0, "min_score": 0.5}]},
            "class a: min_score beside costs",
        ),
        (
            {"class": [{"name": "a", "action": "eject", "accept_cost": 0.0, "eject_cost": 1.0}]},
            "class a: accepting costs 0.0, ejecting 1.0: that is no class to eject",
        ),
        (
            {"class": [{"name": "a", "accept_cost": 0.0, "eject_cost": 1.0}, {"name": "b"}]},
            "classes b have no costs, others have",
        ),
        ({"class": []}, "classes none: give at least one"),
        ({"class": [{"name": "a"}, {"name": "a"}]}, "classes a, a: give at least one, each a name of its own"),
        (
            {"class": [{"name": "a"}], "segment": {"channel": "chroma"}, "crop": {"channels": 1}},
            '"chroma" needs colour, the crops have 1 band',
        ),
        ({"class": [{"name": "a", "sensitivity": 1e39}]}, "sensitivity = 1e[+]39: Expected `float` <= 1000.0"),
        ({"class": [{"name": "a"}], "min_length_mm": 3.0, "max_length_mm": 3.0}, "leaves nothing above 3.0"),
        (
            {"class": [{"name": "a"}], "segment": {"channel": "background", "background": [1, 2]}},
            "segment.background has 2 bands, the crops have 3",
        ),
    ],
)
def test_keys_that_contradict_each_other_are_refused(tables: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        decode_settings(tables, Recipe, "recipe.toml")


def test_recipe_knows_whether_it_has_costs() -> None:
    priced = ClassRule("a", accept_cost=0.0, eject_cost=1.0)
    assert (Recipe((priced,)).has_costs, Recipe((ClassRule("a"),)).has_costs) == (True, False)
