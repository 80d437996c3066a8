"""Commands to look at what the machine sees: replay, recipe. They parse, call, print."""

from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import click
import msgspec

from edge_runtime.cli_options import (
    EXISTING,
    NEW,
    camera_option,
    language_option,
    machine_option,
    model_option,
    overrides_option,
    recipe_option,
)
from firmware_bridge.clock import NS_PER_S, CpuClock, SystemClock
from firmware_bridge.command_line import common_options, configure_logs, print_result, require

__all__ = ["recipe", "replay"]


@click.command(epilog="Example: sortloop-edge replay recording/ --model runs/rice-1/model --sheet replay.html")
@click.argument("source", type=EXISTING)
@model_option
@recipe_option
@machine_option
@camera_option
@overrides_option
@click.option("--truth", type=EXISTING, default=None, help="Polygons drawn by people, as annotations.json.")
@click.option("--blocks", is_flag=True, help="The pictures are consecutive blocks of one endless scene.")
@click.option("--decisions", type=NEW, default=None, help="Write the decision log here, one JSON object a line.")
@click.option("--sheet", type=NEW, default=None, help="Write a page to look at: frames, crops, figures, times.")
@click.option("--overlay", type=NEW, default=None, help="Write every frame with its outlines: a folder, or video.avi.")
@language_option
@common_options
def replay(
    source: Path,
    model_path: Path,
    recipe: Path | None,
    machine_path: Path | None,
    camera: str | None,
    overrides: tuple[str, ...],
    truth: Path | None,
    decisions: Path | None,
    sheet: Path | None,
    overlay: Path | None,
    language: Literal["en", "zh-CN"],
    *,
    blocks: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Sort a recording: a picture, a folder, a tar or a video. Same input, same decisions."""
    from edge_runtime.annotations import read_annotations  # noqa: PLC0415 - heavy imports wait for their command
    from edge_runtime.frames import printable  # noqa: PLC0415
    from edge_runtime.gallery import Gallery  # noqa: PLC0415
    from edge_runtime.output_places import clashes  # noqa: PLC0415
    from edge_runtime.overlay_files import overlay_files  # noqa: PLC0415
    from edge_runtime.replay import Extras, decision_rows, replay_report  # noqa: PLC0415
    from edge_runtime.replay import replay as replay_recording  # noqa: PLC0415
    from edge_runtime.replay_sheet import ReplaySheet, replay_sheet  # noqa: PLC0415
    from edge_runtime.reports_text import replay_text  # noqa: PLC0415
    from edge_runtime.setup import open_sorter  # noqa: PLC0415
    from edge_runtime.stage_times import StageWatch  # noqa: PLC0415
    from edge_runtime.storage import write_atomic  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    require(not blocks or truth is None, "--truth compares whole pictures: leave out --blocks")
    require(not blocks or (sheet is None and overlay is None), "--sheet and --overlay show frames: leave out --blocks")
    outputs = {"--decisions": decisions, "--sheet": sheet, "--overlay": overlay}
    faults = clashes((source, model_path, recipe, machine_path, truth), outputs)
    require(not faults, "; ".join(faults))
    clock = SystemClock()
    started_ns = clock.monotonic_ns()
    setup = open_sorter(model_path, recipe, machine=machine_path, overrides=overrides, camera=camera)
    polygons = None if truth is None else read_annotations(truth)
    gallery, watch = Gallery(), StageWatch(CpuClock())
    with nullcontext() if overlay is None else overlay_files(overlay) as files:
        viewers = (*((gallery.look,) if sheet else ()), *((files.look,) if files else ()))
        extras = Extras(polygons, watch, viewers)
        result = replay_recording(source, setup.sorter, setup.machine, as_blocks=blocks, extras=extras)
    names, card = setup.sorter.recipe.class_names, setup.folder.card
    if decisions is not None:
        write_atomic(decisions, b"".join(msgspec.json.encode(row) + b"\n" for row in decision_rows(result, names)))
    seconds = (clock.monotonic_ns() - started_ns) / NS_PER_S
    report = replay_report(result, names, model_id=card.model_id, seconds=seconds, stages=watch.times())
    report = msgspec.structs.replace(report, variant=setup.form.variant, provider=setup.form.provider)
    if sheet is not None:
        page = ReplaySheet(printable(str(source)), report, gallery, names, card.display_names)
        write_atomic(sheet, replay_sheet(page, language))
    print_result(report, replay_text(report), as_json=as_json)


@click.command(
    epilog="Example: sortloop-edge recipe frames/ --classes sound,broken --out recipe.toml --sheet recipe.html"
)
@click.argument("frames", type=EXISTING)
@click.option("--out", type=NEW, default=None, help="Write the recipe here too.")
@click.option("--sheet", type=NEW, default=None, help="Write a page that shows what the recipe finds.")
@click.option("--classes", default="product", show_default=True, help="Class names with commas, as the model has them.")
@click.option(
    "--channel",
    type=click.Choice(["auto", "gray", "red", "green", "blue", "chroma", "background"]),
    default="auto",
    show_default=True,
    help="Level to tell objects by.",
)
@click.option("--name", default="product", show_default=True, help="Name of the product.")
@language_option
@common_options
def recipe(
    frames: Path,
    out: Path | None,
    sheet: Path | None,
    classes: str,
    channel: Literal["auto", "gray", "red", "green", "blue", "chroma", "background"],
    name: str,
    language: Literal["en", "zh-CN"],
    *,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Propose a recipe from a few frames: how to find the objects and cut them out, and why.

    Prints it as TOML, reasons as comments. FRAMES is a picture, a folder, a tar or a video; up to 12 frames are taken.
    """
    from edge_runtime.frames import printable  # noqa: PLC0415
    from edge_runtime.output_places import clashes  # noqa: PLC0415
    from edge_runtime.propose_levels import CHANNELS  # noqa: PLC0415
    from edge_runtime.recipe_sheet import recipe_sheet  # noqa: PLC0415
    from edge_runtime.recipe_wizard import look_at_frames, recipe_report  # noqa: PLC0415
    from edge_runtime.storage import write_atomic  # noqa: PLC0415

    configure_logs(verbose=verbose, quiet=quiet)
    faults = clashes((frames,), {"--out": out, "--sheet": sheet})
    require(not faults, "; ".join(faults))
    require(printable(classes + name) == classes + name, "--classes and --name must be UTF-8 text")
    channels = CHANNELS if channel == "auto" else (channel,)
    wizard = look_at_frames(frames, classes.split(","), name, channels)
    report = recipe_report(wizard, language)
    if out is not None:
        write_atomic(out, report.recipe.encode())
    if sheet is not None:
        write_atomic(sheet, recipe_sheet(wizard, language))
    print_result(report, report.recipe.rstrip("\n"), as_json=as_json)
