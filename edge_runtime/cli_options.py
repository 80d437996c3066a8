"""Options that several commands of sortloop-edge share."""

from pathlib import Path
from typing import Final

import click

__all__ = [
    "EXISTING",
    "NEW",
    "camera_option",
    "language_option",
    "machine_option",
    "model_option",
    "overrides_option",
    "recipe_option",
]

EXISTING: Final = click.Path(exists=True, path_type=Path)
NEW: Final = click.Path(path_type=Path)
model_option = click.option("--model", "model_path", type=EXISTING, required=True, help="Model folder.")
recipe_option = click.option("--recipe", type=EXISTING, default=None, help="Recipe in place of the model folder's own.")
machine_option = click.option(
    "--machine", "machine_path", type=EXISTING, default=None, help="Machine file; else a desk."
)
camera_option = click.option("--camera", default=None, help="View of the machine file; else its first.")
overrides_option = click.option("--set", "overrides", multiple=True, help="One setting of the recipe, as key=value.")
language_option = click.option(
    "--language",
    type=click.Choice(["en", "zh-CN"]),
    default="en",
    show_default=True,
    help="Shown first.",
)
