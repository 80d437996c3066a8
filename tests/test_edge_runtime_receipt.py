"""A receipt is read as written, and nothing else passes for one."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import StorageError
from edge_runtime.receipt import Receipt, read_receipt, write_receipt

IDS = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(ids=st.lists(IDS, max_size=5), pool=st.text(st.characters(codec="utf-8"), max_size=20))
def test_receipt_is_read_as_written(ids: list[str], pool: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "out.receipt.json"
    write_receipt(path, Receipt(pool, tuple(ids)))
    assert read_receipt(path) == Receipt(pool, tuple(ids))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"pool":"a"}', '{"pool":"a","ids":["ab"]}', '{"pool":"a","ids":[],"schema_version":2}',
     '{"pool":"a","ids":[],"more":1}', '{"pool":"a","ids":[]', "\u00e9"],
)  # fmt: skip
def test_anything_else_is_an_error_that_names_the_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "out.receipt.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(StorageError, match=r"out\.receipt\.json is no receipt"):
        read_receipt(path)


def test_missing_receipt_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read"):
        read_receipt(tmp_path / "out.receipt.json")
