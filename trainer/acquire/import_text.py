"""An import's report as plain text. Pure."""

from typing import Final

from trainer.acquire.import_report import ImportReport
from trainer.text_table import table_text

__all__ = ["import_text"]

_MOST_ENTRIES: Final = 20


def import_text(report: ImportReport) -> str:
    """Return an import's report for people: counts, decisions, and the first things to know; all are in --json."""
    splits = sorted({split for counts in report.splits.values() for split in counts})
    rows = [(name, *(str(counts.get(split, 0)) for split in splits)) for name, counts in report.splits.items()]
    crop, segment = report.data_set.crop, report.data_set.segment
    shape = f"{crop.side_px} x {crop.side_px} x {crop.channels} reduced by {crop.reduction}"
    lines = [table_text(("class", *splits), rows)] if rows else []
    lines += [
        f"{report.files} files: {_counts(report.outcomes)}",
        f"mask {segment.mask}, threshold {segment.threshold} ({segment.polarity}), crops {shape}",
    ]
    if report.notes or report.notices:
        lines.append(f"noted: {_counts({**report.notes, **report.notices})}")
    lines += [f"  {entry.outcome}: {entry.source}: {entry.reason}" for entry in report.entries[:_MOST_ENTRIES]]
    if len(report.entries) > _MOST_ENTRIES:
        lines.append(f"  ... and {len(report.entries) - _MOST_ENTRIES} more; --json lists all")
    return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()) if count) or "none"
