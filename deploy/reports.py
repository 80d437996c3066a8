"""What the commands of `sortloop-deploy` print with --json: one struct each, versioned, never changed in place."""

import msgspec

from deploy.bundle_format import BundleMetadata

__all__ = [
    "BuildReport",
    "FileReport",
    "InspectReport",
    "VerifyReport",
    "build_report",
    "inspect_report",
    "verify_report",
]


class FileReport(msgspec.Struct, frozen=True, kw_only=True):
    """One payload of a bundle."""

    path: str
    length_b: int
    sha256: str


class BuildReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `build`; left_out are entries of the folder that the bundle does not carry."""

    schema_version: int = 1
    bundle: str
    length_b: int
    model_id: str
    release: int
    files: tuple[FileReport, ...]
    left_out: tuple[str, ...]
    signatures: str


class VerifyReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `verify`: is_intact is always true, for a bundle that is not ends the command with exit code 6."""

    schema_version: int = 1
    bundle: str
    is_intact: bool
    is_origin_proven: bool
    model_id: str
    release: int
    files: tuple[FileReport, ...]
    signatures: str


class InspectReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `inspect`: what the bundle says about itself, payloads unread."""

    schema_version: int = 1
    bundle: str
    model_id: str
    release: int
    notes: str
    kind: str
    min_runtime: str
    ort_min: str
    files: tuple[FileReport, ...]
    signatures: str


def build_report(bundle: str, length_b: int, metadata: BundleMetadata, left_out: tuple[str, ...]) -> BuildReport:
    """Return the report of a bundle of `length_b` bytes that was just built."""
    return BuildReport(
        bundle=bundle,
        length_b=length_b,
        model_id=metadata.model_id,
        release=metadata.release.number,
        files=_file_reports(metadata),
        left_out=left_out,
        signatures=metadata.signatures,
    )


def verify_report(bundle: str, metadata: BundleMetadata) -> VerifyReport:
    """Return the report of a bundle that is as it was built."""
    return VerifyReport(
        bundle=bundle,
        is_intact=True,
        is_origin_proven=False,
        model_id=metadata.model_id,
        release=metadata.release.number,
        files=_file_reports(metadata),
        signatures=metadata.signatures,
    )


def inspect_report(bundle: str, metadata: BundleMetadata) -> InspectReport:
    """Return the report of what a bundle says about itself."""
    return InspectReport(
        bundle=bundle,
        model_id=metadata.model_id,
        release=metadata.release.number,
        notes=metadata.release.notes,
        kind=metadata.release.kind,
        min_runtime=metadata.min_runtime,
        ort_min=metadata.ort_min,
        files=_file_reports(metadata),
        signatures=metadata.signatures,
    )


def _file_reports(metadata: BundleMetadata) -> tuple[FileReport, ...]:
    return tuple(FileReport(path=file.path, length_b=file.length_b, sha256=file.sha256) for file in metadata.files)
