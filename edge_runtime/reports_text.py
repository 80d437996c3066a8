"""Reports of the machine's commands as plain text. Pure."""

from collections.abc import Mapping
from typing import Final

from edge_runtime.reports import ReplayReport, SpoolReport, TeachReport
from edge_runtime.virtual_run import VirtualReport

__all__ = ["TOLD_REASONS", "frequent_reasons", "replay_text", "spool_text", "teach_text", "virtual_text"]

TOLD_REASONS: Final = 10  # reasons may differ by a byte count, picture by picture


def frequent_reasons(missing: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return at most ten reasons why pictures are missing, and how many each; the most frequent first."""
    return sorted(missing.items(), key=lambda item: (-item[1], item[0]))[:TOLD_REASONS]


def replay_text(report: ReplayReport) -> str:
    """Return a replay's figures for people."""
    lines = [
        (
            f"{report.frames} frames, {report.objects} objects ({report.oversize} oversize, {report.clusters} "
            f"clusters, {report.cut_off} cut off), {report.ejected} ejected, {report.seconds:.1f} s"
        ),
        _counts(report.classes),
    ]
    lines += [f"missing {count}: {reason}" for reason, count in frequent_reasons(report.missing)]
    lines += _untold(report.missing)
    if report.recall is not None and report.precision is not None and report.mean_iou is not None:
        lines.append(
            f"against {report.polygons} polygons: recall {report.recall:.3f}, precision {report.precision:.3f}, "
            f"mean IoU of matches {report.mean_iou:.3f}"
        )
    return "\n".join([*lines, *_stage_lines(report), f"decisions {report.decisions_sha256}"])


def teach_text(report: TeachReport) -> str:
    """Return what a teach lot gave, for people."""
    return (
        f"lot of {report.label}: {report.objects} objects, {report.wrong} decided as another class, "
        f"{report.accepted} recorded ({_counts(report.recorded.taken)})"
    )


def spool_text(report: SpoolReport) -> str:
    """Return what a spool holds, for people."""
    return "\n".join(
        f"{title}: {_counts(counts)}"
        for title, counts in (
            ("truth source", report.sources),
            ("class", report.labels),
            ("failure", report.failures),
        )
    )


def virtual_text(report: VirtualReport) -> str:
    """Return what the virtual machine showed, for people."""
    sort = report.sort
    lines = [
        f"{sort.pieces} pieces, {report.pieces_per_s:.0f}/s of belt time, {report.objects} objects seen, {report.mode}",
        (
            f"purity {_share(sort.purity)} (fed {_share(sort.feed_purity)}), yield {_share(sort.product_yield)}, "
            f"bad removed {_share(sort.bad_removed)}, carry-over {_number(sort.carry_over)} good per bad thrown out"
        ),
        f"macro-F1 {_number(report.macro_f1)}; late {report.eject.late}, co-deflected {sort.co_deflected}",
    ]
    if report.recorded is not None:
        lines.append(f"recorded: {_counts(report.recorded.taken)}")
    return "\n".join([*lines, f"decisions {report.decisions_sha256}"])


def _untold(missing: Mapping[str, int]) -> list[str]:
    more = len(missing) - TOLD_REASONS
    if more <= 0:
        return []
    pictures = sum(missing.values()) - sum(count for _, count in frequent_reasons(missing))
    return [f"missing {pictures}: {more} more reasons; --json has them all"]


def _stage_lines(report: ReplayReport) -> list[str]:
    """Return the time table, nothing where no time was taken."""
    if not report.stages:
        return []
    head = f"{'stage':<12}{'share':>8}{'median':>12}{'p99':>12}   processor time a frame"
    return [head] + [
        f"{time.stage:<12}{time.share:>8.1%}{time.median_us / 1000:>9.3f} ms{time.p99_us / 1000:>9.3f} ms"
        for time in report.stages
    ]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
