"""Reports of the machine's commands as plain text. Pure."""

from collections.abc import Mapping
from typing import Final

from edge_runtime.audit_estimate import AuditEstimate
from edge_runtime.reports import PurgeReport, ReplayReport, ShownRecord, ShowReport, SpoolReport, TeachReport
from edge_runtime.virtual_run import VirtualReport

__all__ = [
    "TOLD_REASONS",
    "frequent_reasons",
    "purge_text",
    "replay_text",
    "show_text",
    "spool_text",
    "teach_text",
    "virtual_text",
]

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
    counts = report.counts
    lines = [
        f"{title}: {_counts(found)}"
        for title, found in (
            ("truth source", report.sources),
            ("class", report.labels),
            ("failure", report.failures),
        )
    ]
    lines += [f"  {one.lot}, {one.source}, {one.label}: {one.count} {one.failure}" for one in report.kept]
    lines.append(
        f"stored {counts.stored} = present {counts.present} + delivered {counts.delivered} + evicted "
        f"{sum(counts.evicted.values())} ({_counts(counts.evicted)}); {counts.used_b} bytes"
    )
    return "\n".join([*lines, *_audit_lines(report.audit)])


def show_text(report: ShowReport) -> str:
    """Return records for people: one in full, several a line each."""
    if len(report.records) == 1:
        header = report.records[0].header
        fields = [(name, getattr(header, name)) for name in header.__struct_fields__ if name != "truth"]
        truth = header.truth
        fields.append(("truth", f"{truth.source} {truth.label or '-'}, {truth.strength:.4f}, {truth.who}"))
        return "\n".join([report.records[0].id, *(f"  {name}: {value}" for name, value in fields), *report.files])
    lines = [_record_line(one) for one in report.records]
    more = report.found - len(report.records)
    return "\n".join([*lines, *([f"and {more} more; see --most"] if more else []), *report.files[-1:]]) or "no record"


def purge_text(report: PurgeReport) -> str:
    """Return what was given up, for people."""
    if not report.purged and report.found:
        return f"{report.found} records would be given up; --yes does it"
    return f"{report.purged} of {report.found} records given up; {report.counts.present} present"


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


def _record_line(one: ShownRecord) -> str:
    header = one.header
    label = f"{header.truth.source} {header.truth.label or '-'}"
    score = max(header.scores, default=0.0)
    return f"{one.id[:16]} {header.lot} {header.failure}: {label}, decided {header.predicted_class} {score:.3f}"


def _audit_lines(audit: AuditEstimate) -> list[str]:
    if audit.error_rate is None:
        return []
    return [
        (
            f"audit: {audit.wrong} of {audit.labelled} labelled wrong: {audit.error_rate:.2%}, "
            f"95 % interval {audit.low:.2%} to {audit.high:.2%}; {audit.unlabelled} without a label"
        )
    ]


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
