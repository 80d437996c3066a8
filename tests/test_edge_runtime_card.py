"""Cards of every kind ever written are read, and the current kind is written as it was."""

from pathlib import Path

import msgspec
import pytest

from edge_runtime.schemas import Int8Card, ModelCard

GOLDEN = Path(__file__).parent / "golden"


def read(name: str) -> ModelCard:
    return msgspec.json.decode((GOLDEN / name).read_bytes(), type=ModelCard)


def test_card_from_before_int8_is_read() -> None:
    card = read("card_v1.json")
    assert card.int8 is None
    assert b"int8" not in (GOLDEN / "card_v1.json").read_bytes()


def test_card_with_int8_is_read_and_written_alike() -> None:
    card = read("card_v1_int8.json")
    assert card.int8 is not None
    assert (card.int8.mended_by, card.int8.excluded, card.int8.recalls["good"].int8) == (
        "exclusion",
        ("node_conv2d",),
        0.945,
    )
    assert msgspec.json.format(msgspec.json.encode(card)) + b"\n" == (GOLDEN / "card_v1_int8.json").read_bytes()
    assert msgspec.structs.replace(card, int8=None) == read("card_v1.json")


@pytest.mark.parametrize(
    ("key", "value"), [("sha256", "ab"), ("mended_by", "prayer"), ("macro_f1", 1.1), ("strange", 1), ("samples", "3")]
)
def test_int8_card_refuses_what_it_does_not_state(key: str, value: object) -> None:
    int8 = read("card_v1_int8.json").int8
    assert int8 is not None
    with pytest.raises(msgspec.ValidationError, match=key):
        msgspec.convert({**msgspec.to_builtins(int8), key: value}, Int8Card)
