"""The key of a run: whatever decides its bytes changes it, and a person is told what changed."""

import msgspec
import pytest

from edge_runtime.crop import CropSpec
from edge_runtime.norm import NormSpec
from edge_runtime.schemas import DisplayName
from edge_runtime.segment import SegmentSettings
from trainer.export.model_folder import ModelClass
from trainer.loop.run_key import RunInputs, differences, library_versions, run_key
from trainer.pool.data_set import DataSet
from trainer.settings import RunSettings, StopSettings
from trainer.train.fit import FitSettings

DATA_SET = DataSet(SegmentSettings(), CropSpec(side_px=16), NormSpec())
CLASSES = {
    "good": ModelClass(DisplayName("Good", "好"), "accept"),
    "stone": ModelClass(DisplayName("Stone", "石子"), "eject"),
}
INPUTS = RunInputs(RunSettings(), "d" * 64, CLASSES, DATA_SET, "", {"torch": "1"}, "x86 AVX2")
OTHER_FIT = FitSettings(
    network="large", steps=1, final_steps=2, batch=3, learning_rate=4.0, weight_decay=5.0, threads=7
)
OTHER_STOP = StopSettings(
    residual_share=0.5, residual_per_class=2.0, class_residual_share=0.6, patience=7, rounds=8, training_share=0.9
)


def fields_of(value: msgspec.Struct, other: msgspec.Struct) -> list[msgspec.Struct]:
    """The value with one field after the other taken from the other."""
    return [msgspec.structs.replace(value, **{name: getattr(other, name)}) for name in value.__struct_fields__]


def changed_settings() -> list[RunInputs]:
    settings = RunSettings()
    changes: list[dict[str, object]] = [{"seed": 1}, {"m": 5}, {"take_new": True}]
    changes += [{"fit": fit} for fit in fields_of(settings.fit, OTHER_FIT)]
    changes += [{"stop": stop} for stop in fields_of(settings.stop, OTHER_STOP)]
    return [msgspec.structs.replace(INPUTS, settings=msgspec.structs.replace(settings, **one)) for one in changes]


def changed_inputs() -> list[RunInputs]:
    changes: list[dict[str, object]] = [
        {"pool_digest": "e" * 64},
        {"classes": CLASSES | {"stone": ModelClass(CLASSES["stone"].display_name, "accept")}},
        {"classes": CLASSES | {"stone": ModelClass(DisplayName("Stone", "石头"), "eject")}},
        {"data_set": msgspec.structs.replace(DATA_SET, norm=NormSpec(channel_weights=(1, 2, 1)))},
        {"base_key": "f" * 64},
        {"versions": {"torch": "2"}},
        {"processor": "x86 AVX512"},
    ]
    return [msgspec.structs.replace(INPUTS, **change) for change in changes]


def test_every_changed_input_gives_another_key() -> None:
    others = [*changed_settings(), *changed_inputs()]
    assert len({run_key(INPUTS), *(run_key(other) for other in others)}) == len(others) + 1


def test_every_setting_that_exists_is_tried_above() -> None:
    assert all(getattr(OTHER_FIT, name) != getattr(FitSettings(), name) for name in FitSettings.__struct_fields__)
    assert all(getattr(OTHER_STOP, name) != getattr(StopSettings(), name) for name in StopSettings.__struct_fields__)
    assert set(RunSettings.__struct_fields__) == {"seed", "m", "selector", "take_new", "fit", "stop", "schema_version"}
    assert {*RunInputs.__struct_fields__} - {"settings"} == {
        "pool_digest",
        "classes",
        "data_set",
        "base_key",
        "versions",
        "processor",
    }


def test_equal_inputs_have_equal_keys_also_after_a_round_trip() -> None:
    again = msgspec.json.decode(msgspec.json.encode(INPUTS), type=RunInputs)
    reordered = msgspec.structs.replace(INPUTS, versions=dict(reversed(INPUTS.versions.items())))
    assert run_key(again) == run_key(reordered) == run_key(INPUTS)
    assert len(run_key(INPUTS)) == 64


@pytest.mark.parametrize("other", [*changed_settings(), *changed_inputs()])
def test_a_difference_is_named_with_both_values(other: RunInputs) -> None:
    found = differences(INPUTS, other)
    assert len(found) == 1
    assert " is " in found[0]
    assert ", was " in found[0]
    assert differences(other, other) == ()


def test_differences_name_the_setting_and_not_only_its_table() -> None:
    fit = msgspec.structs.replace(RunSettings().fit, steps=7)
    other = msgspec.structs.replace(INPUTS, settings=RunSettings(fit=fit, seed=3), pool_digest="e" * 64)
    assert differences(INPUTS, other) == (
        "pool_digest is eeeeeeeeeeee..., was dddddddddddd...",
        f"settings.fit.steps is 7, was {RunSettings().fit.steps}",
        "settings.seed is 3, was 0",
    )


def test_versions_name_what_computes() -> None:
    versions = library_versions()
    assert {"sortloop", "python", "torch", "onnxruntime", "numpy", "onnx"} <= set(versions)
    here = RunInputs.here(RunSettings(), "d" * 64, classes=CLASSES, data_set=DATA_SET)
    assert here.versions == versions
    assert here.processor
    assert here.base_key == ""
