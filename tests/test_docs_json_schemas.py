"""The generated page of records is the code's."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Final

DOCS: Final = Path(__file__).parents[1] / "docs"


def load_generator(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_of_records_is_up_to_date() -> None:
    """If this fails, run `make docs`; a changed record also needs a new schema_version and a line in CHANGELOG.md."""
    assert load_generator("generate_json_schemas").page() == (DOCS / "json-schemas.md").read_text(encoding="utf-8")
