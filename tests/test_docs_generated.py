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


def test_page_of_settings_is_up_to_date() -> None:
    """If this fails, run `make docs`; a removed or changed key also needs a line in CHANGELOG.md."""
    expected = load_generator("generate_config_reference").page()
    assert expected == (DOCS / "config-reference.md").read_text(encoding="utf-8")


def test_every_setting_has_a_meaning() -> None:
    generator = load_generator("generate_config_reference")
    rows = [row for _, kind in generator._FILES for row in generator.rows(kind, "")]
    assert [row[0] for row in rows if not row[3]] == []
