"""Commands say what they mean, or are refused with what to write instead."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.errors import ConfigError
from edge_runtime.virtual_world_control import Command, parse_command

CAMERAS = ("top", "side")


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("power_cut", Command("power_cut", -1, 0)),
        (" silence 20 ", Command("silence", -1, 20)),
        ("unplug 3600000", Command("unplug", -1, 3_600_000)),
        ("stall side 1", Command("stall", 1, 1)),
        ("gone top 100", Command("gone", 0, 100)),
        ("repeat side", Command("repeat", 1, 0)),
        ("incomplete top", Command("incomplete", 0, 0)),
        ("status", Command("status", -1, 0)),
        ("stop", Command("stop", -1, 0)),
    ],
)
def test_commands(text: str, command: Command) -> None:
    assert parse_command(text, CAMERAS) == command


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "use one of power_cut"),
        ("halt", "use one of power_cut"),
        ("power_cut now", "write power_cut$"),
        ("stall top", "write stall CAMERA MS"),
        ("stall front 5", "use one of top, side"),
        ("silence", "write silence MS"),
        ("silence 0", "give 1 to 3600000 ms"),
        ("silence -5", "give 1 to 3600000 ms"),
        ("silence 3600001", "give 1 to 3600000 ms"),
        ("silence " + "9" * 5000, "give 1 to 3600000 ms"),
        ("silence ²", "give 1 to 3600000 ms"),
    ],
)
def test_what_is_no_command_is_refused_with_what_to_write(text: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        parse_command(text, CAMERAS)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_command_or_refused(text: str) -> None:
    try:
        command = parse_command(text, CAMERAS)
    except ConfigError:
        return
    assert text.split(maxsplit=1)[0] == command.verb
