"""Write json-schemas.md: every versioned record that reaches a disk or stdout, field by field, from the structs."""

import importlib
import pkgutil
from pathlib import Path
from typing import Any, Final

import msgspec

_PACKAGES: Final = ("firmware_bridge", "edge_runtime", "trainer", "deploy")
_HEAD: Final = """# JSON and TOML records

Generated from the code by `make docs`; a test compares it. Each record carries `schema_version`. Where one of our
programs reads a record back, unknown keys are refused; a program that reads the output of `--json` should ignore keys
that it does not know. Parts that several records share stand at the end.
"""


def page() -> str:
    """Return the whole page: records by package and name, then their parts by name."""
    records = versioned_structs()
    schemas, parts = msgspec.json.schema_components(records, ref_template="{name}")
    names = [str(schema["$ref"]) for schema in schemas]
    chapters = [_HEAD]
    for kind, name in zip(records, names, strict=True):
        chapters.append(f"## {name}\n\n{first_line(kind)} (`{kind.__module__}`)\n\n{field_table(parts[name])}")
    chapters.append("# Parts\n")
    chapters += [f"## {name}\n\n{field_table(parts[name])}" for name in sorted(set(parts) - set(names))]
    return "\n".join(chapters)


def versioned_structs() -> list[type[msgspec.Struct]]:
    """Return all structs of the product with a schema_version, by package and name."""
    found: list[type[msgspec.Struct]] = []
    for package in _PACKAGES:
        infos = pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
        modules = [importlib.import_module(info.name) for info in infos if not info.name.endswith("__main__")]
        kinds = {kind for module in modules for kind in vars(module).values() if is_record(kind, package)}
        found += sorted(kinds, key=lambda kind: kind.__name__)
    return found


def is_record(kind: object, package: str) -> bool:
    """Tell whether `kind` is a struct with a schema_version that this package defines."""
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return False
    return kind.__module__.startswith(f"{package}.") and "schema_version" in kind.__struct_fields__


def first_line(kind: type[msgspec.Struct]) -> str:
    """Return the first line of a struct's docstring."""
    return (kind.__doc__ or "").strip().splitlines()[0]


def field_table(schema: dict[str, Any]) -> str:
    """Return a table of keys, types and defaults of an object's JSON schema, or what else the schema allows."""
    if "properties" not in schema:
        return f"{type_text(schema)}\n"
    rows = ["| key | type | default |", "|---|---|---|"]
    for key, value in schema["properties"].items():
        default = f"`{msgspec.json.encode(value['default']).decode()}`" if "default" in value else "required"
        rows.append(f"| `{key}` | {type_text(value)} | {'optional' if is_optional(schema, key, value) else default} |")
    return "\n".join(rows) + "\n"


def is_optional(schema: dict[str, Any], key: str, value: dict[str, Any]) -> bool:
    """Tell whether a key may be absent without a default that JSON can show."""
    return "default" not in value and key not in schema.get("required", ())


def type_text(schema: dict[str, Any]) -> str:
    """Return one schema node in a few words, ranges included."""
    if "$ref" in schema:
        return f"[{schema['$ref']}](#{str(schema['$ref']).lower()})"
    if "anyOf" in schema:
        return " or ".join(type_text(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{msgspec.json.encode(value).decode()}`" for value in schema["enum"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {type_text(schema.get('items') or {})}"
    if kind == "object" and "additionalProperties" in schema:
        return f"table of {type_text(schema['additionalProperties'])}"
    return kind + limits_text(schema)


def limits_text(schema: dict[str, Any]) -> str:
    """Return the limits of a number or text, with a leading blank, or nothing."""
    words = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]}" for key, sign in words.items() if key in schema]
    limits += [
        f"{schema[key]} characters {word}"
        for key, word in (("minLength", "or more"), ("maxLength", "at most"))
        if key in schema
    ]
    limits += [f"`{schema['pattern']}`"] if "pattern" in schema else []
    return "".join(f" {limit}" for limit in limits if limit)


if __name__ == "__main__":
    Path(__file__).with_name("json-schemas.md").write_text(page(), encoding="utf-8")
