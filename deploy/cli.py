"""`sortloop-deploy`: make, check and look into update bundles.

Exit codes: 0 ok, 2 usage, 5 data or storage, 6 a bundle is damaged or altered, 130 interrupted.
"""

from pathlib import Path
from typing import Final

import click

from deploy import reports
from deploy.bundle import read_metadata, verify_bundle, write_bundle
from deploy.bundle_format import BundleMetadata, Release
from deploy.model_source import check_model_source
from firmware_bridge.command_line import (
    common_options,
    configure_logs,
    print_result,
    product_version,
    require,
    run_command_line,
)

__all__ = ["cli", "main"]

_NO_ORIGIN: Final = "This format has no signature: it proves that nothing changed by accident, not who made the bundle."
_MOST_NOTES: Final = 1000  # characters
_BUNDLE: Final = click.argument("bundle", type=click.Path(path_type=Path))


def main() -> None:
    """Run `sortloop-deploy` with the process's arguments.

    Raises:
        SystemExit: always, with the documented code.
    """
    run_command_line(cli)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(product_version(), prog_name="sortloop-deploy")
def cli() -> None:
    """Make, check and look into update bundles for machines without internet.

    Example: sortloop-deploy build model --out rice-7.sbun
    """


@cli.command()
@click.argument("model_dir", type=click.Path(path_type=Path, file_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Bundle to write.")
@click.option(
    "--release", "number", default=0, show_default=True, type=click.IntRange(0, 2**53 - 1), help="Its number."
)
@click.option("--notes", default="", help="What a technician should know, at most 1000 characters.")
@common_options
def build(model_dir: Path, out: Path, number: int, notes: str, as_json: bool, verbose: int, quiet: bool) -> None:
    """Check a model folder and pack it into one bundle; the same folder gives the same bytes.

    Example: sortloop-deploy build model --out rice-7.sbun --release 7
    """
    configure_logs(verbose=verbose, quiet=quiet)
    require(len(notes) <= _MOST_NOTES, f"--notes: {len(notes)} characters, at most {_MOST_NOTES}")
    source = check_model_source(model_dir)
    release = Release(number=number, notes=notes)
    metadata = write_bundle(source.files, out, source.model_id, ort_min=source.ort_min, release=release)
    report = reports.build_report(str(out), out.stat().st_size, metadata, source.left_out)
    left_out = f"\nleft out: {', '.join(source.left_out)}" if source.left_out else ""
    print_result(report, f"{_as_text(metadata)}{left_out}\nwrote {out}, {report.length_b} B", as_json=as_json)


@cli.command()
@_BUNDLE
@common_options
def verify(bundle: Path, as_json: bool, verbose: int, quiet: bool) -> None:
    """Read a whole bundle and tell whether every byte is as it was built; exit code 6 if not.

    Example: sortloop-deploy verify rice-7.sbun
    """
    configure_logs(verbose=verbose, quiet=quiet)
    metadata = verify_bundle(bundle)
    text = f"{_as_text(metadata)}\nintact: every byte is as it was built\n{_NO_ORIGIN}"
    print_result(reports.verify_report(str(bundle), metadata), text, as_json=as_json)


@cli.command()
@_BUNDLE
@common_options
def inspect(bundle: Path, as_json: bool, verbose: int, quiet: bool) -> None:
    """Print what a bundle says about itself, without reading its payloads.

    Example: sortloop-deploy inspect rice-7.sbun --json
    """
    configure_logs(verbose=verbose, quiet=quiet)
    metadata = read_metadata(bundle)
    text = f"{_as_text(metadata)}\nnotes: {metadata.release.notes or '-'}\npayloads not read: see verify"
    print_result(reports.inspect_report(str(bundle), metadata), text, as_json=as_json)


def _as_text(metadata: BundleMetadata) -> str:
    lines = [f"{file.path:<20}{file.length_b:>12} B  {file.sha256[:12]}" for file in metadata.files]
    needs = f"needs sortloop >= {metadata.min_runtime}, onnxruntime >= {metadata.ort_min}"
    return "\n".join([f"model {metadata.model_id[:12]}, release {metadata.release.number}, {needs}", *lines])
