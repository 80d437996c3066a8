"""Settings: defaults are whole, and nothing unknown or out of range is taken."""

import msgspec
import pytest

from trainer.settings import RunSettings


@pytest.mark.parametrize(
    "text",
    [
        '{"seed": -1}',
        '{"m": -1}',
        '{"stop": {"rounds": 0}}',
        '{"stop": {"training_share": 0}}',
        '{"fit": {"steps": 0}}',
        '{"fit": {"batch": 1}}',
        '{"fit": {"learning_rate": 0}}',
        '{"fit": {"weight_decay": -1}}',
        '{"sead": 1}',
    ],
)
def test_settings_out_of_range_or_unknown_are_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=RunSettings)


def test_settings_survive_json_and_empty_ones_are_the_defaults() -> None:
    assert msgspec.json.decode(msgspec.json.encode(RunSettings()), type=RunSettings) == RunSettings()
    assert msgspec.json.decode(b"{}", type=RunSettings) == RunSettings()
