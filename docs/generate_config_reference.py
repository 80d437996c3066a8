"""Write config-reference.md: every key that a person may set, from the structs and what their docstrings say of it."""

import re
from pathlib import Path
from typing import Any, Final

import msgspec

from edge_runtime.schemas import Machine, Recipe
from trainer.settings import RunSettings

_HEAD: Final = """# Settings

Generated from the code by `make docs`; a test compares it. TOML files; `--set key=value` overrides a key on the command
line. Precedence: default < file < `--set`. An unknown key, a wrong type or a value out of range is an error that names
file and key, with the nearest valid one.
"""
_FILES: Final[tuple[tuple[str, type[msgspec.Struct]], ...]] = (
    ("recipe.toml: the product; travels with the model", Recipe),
    ("machine.toml: the machine; stays on it", Machine),
    ("run settings: `sortloop-train run --config FILE`", RunSettings),
)
_ENTRY: Final = re.compile(r"^ {8}(?P<names>[a-z_0-9, ]+): (?P<text>.*(?:\n {12}.*)*)", re.MULTILINE)


def page() -> str:
    """Return the whole page."""
    chapters = [_HEAD]
    for title, kind in _FILES:
        chapters.append(f"## {title}\n\n| key | values | default | meaning |\n|---|---|---|---|")
        chapters[-1] += "".join(f"\n| {' | '.join(row)} |" for row in rows(kind, "")) + "\n"
    return "\n".join(chapters)


def rows(kind: type[msgspec.Struct], prefix: str) -> list[tuple[str, str, str, str]]:
    """Return key, values, default and meaning of each field, nested tables below their own key."""
    meanings = explained(kind)
    found = []
    for field in msgspec.structs.fields(kind):
        key = f"{prefix}{field.encode_name}"
        table, is_list = table_of(field.type)
        if table is not None:
            found += rows(table, f"{key}[]." if is_list else f"{key}.")
        elif field.name != "schema_version":
            found.append((f"`{key}`", values_of(field.type), default_of(field), meanings.get(field.name, "")))
    return found


def explained(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return what a struct's docstring says of each attribute, in one line each."""
    found: dict[str, str] = {}
    for entry in _ENTRY.finditer(kind.__doc__ or ""):
        text = " ".join(entry["text"].split())
        found |= {name.strip(): text for name in entry["names"].split(",")}
    return found


def table_of(annotation: Any) -> tuple[type[msgspec.Struct] | None, bool]:
    """Return the struct behind a field and whether it is a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation, False
    for part in getattr(annotation, "__args__", ()):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return part, True
    return None, False


def values_of(annotation: Any) -> str:
    """Return a field's type and range in words."""
    schema = msgspec.json.schema(annotation)
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    limits = {"minimum": ">= {}", "exclusiveMinimum": "> {}", "maximum": "<= {}", "exclusiveMaximum": "< {}"}
    words = [text.format(schema[name]) for name, text in limits.items() if name in schema]
    return " ".join([str(schema.get("type", "")), ", ".join(words)]).strip()


def default_of(field: msgspec.structs.FieldInfo) -> str:
    """Return a field's default, or that it must be given."""
    if field.required:
        return "required"
    return f"`{msgspec.json.encode(field.default).decode()}`"


if __name__ == "__main__":
    (Path(__file__).parent / "config-reference.md").write_text(page(), encoding="utf-8")
