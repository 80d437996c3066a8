"""The key of a run: whatever decides its bytes changes it, and a person is told what changed."""

import msgspec
import pytest

from edge_runtime.crop import CropSpec
from edge_runtime.norm import NormSpec
from edge_runtime.schemas import DisplayName
from edge_runtime.segment import SegmentSettings
from trainer.draw.quarantine import QuarantineSettings
from trainer.export.fake_quant import TuningSettings
from trainer.export.mend import Int8Settings
from trainer.export.model_folder import ModelClass
from trainer.loop.run_key import RunInputs, differences, library_versions, run_key
from trainer.pool.data_set import DataSet
from trainer.settings import DrawSettings, RunSettings, StopSettings
from trainer.train.augment import AugmentSettings
from trainer.train.fit import FitSettings

DATA_SET = DataSet(SegmentSettings(), CropSpec(side_px=16), NormSpec())
CLASSES = {
    "good": ModelClass(DisplayName("Good", "好"), "accept"),
    "stone": ModelClass(DisplayName("Stone", "石子"), "eject"),
}
INPUTS = RunInputs(RunSettings(), "d" * 64, CLASSES, DATA_SET, "", {"torch": "1"}, "x86 AVX2")
OTHER = RunSettings(
    seed=1,
    m=5,
    drop="permanent",
    right_margin=0.1,
    restart="warm",
    ship="last",
    take_new=True,
    draw=DrawSettings("random", "error", 3, True, "initial", 2.0, "auto"),
    quarantine=QuarantineSettings("off", 0.2, 0.6, 0.3, 0.4, 700, 5),
    fit=FitSettings(
        network="large",
        steps=1,
        final_steps=2,
        final_folds=1,
        batch=3,
        learning_rate=4.0,
        weight_decay=5.0,
        balance="none",
        loss="focal",
        label_smoothing=0.5,
        threads=7,
        augment=AugmentSettings(1.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95),
    ),
    stop=StopSettings(0.5, 2.0, 3, 0.6, 7, 8, 0.9, 10, 11.0),
    int8=Int8Settings("off", 1, 0, TuningSettings(1, 2, 0.5)),
)


def fields_of(value: msgspec.Struct, other: msgspec.Struct) -> list[msgspec.Struct]:
    """The value with one setting after the other, however deep, taken from the other."""
    changed: list[msgspec.Struct] = []
    for name in value.__struct_fields__:
        own, others = getattr(value, name), getattr(other, name)
        if name != "schema_version":
            each = fields_of(own, others) if isinstance(own, msgspec.Struct) else [others]
            changed += [msgspec.structs.replace(value, **{name: one}) for one in each]
    return changed


def changed_settings() -> list[RunInputs]:
    return [msgspec.structs.replace(INPUTS, settings=one) for one in fields_of(RunSettings(), OTHER)]


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
    assert all(one != RunSettings() for one in fields_of(RunSettings(), OTHER))
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
