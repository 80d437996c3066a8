"""Results as plain text tables for a terminal. Pure."""

from pathlib import Path

from trainer.acquire.classify import ClassifyReport
from trainer.acquire.intake import IntakeReport
from trainer.judge.evaluate import EvaluateReport
from trainer.loop.explain import ExplainReport, RoundVerdict
from trainer.loop.retrain import RetrainReport
from trainer.loop.run_record import RunReport
from trainer.pool.decisions import ReviewReport
from trainer.pool.naming import NamingReport
from trainer.pool.samples import PoolReport
from trainer.report.comparison_page import ComparisonReport
from trainer.text_table import table_text

__all__ = [
    "classify_text",
    "comparison_text",
    "evaluate_text",
    "explain_text",
    "intake_text",
    "naming_text",
    "pool_text",
    "retrain_text",
    "review_text",
    "run_text",
]


def run_text(report: RunReport) -> str:
    """Return a run's result for people."""
    rounds = table_text(
        ("round", "training", "of pool", "still wrong", "macro-F1", "worst recall", "seconds"),
        [
            (
                f"{r.number}{' *' if r.number == report.best_round else ''}",
                str(r.training_samples),
                f"{r.training_samples / report.pool_samples:.1%}",
                str(r.residual),
                f"{r.macro_f1:.4f}",
                f"{r.worst_class_recall:.3f}",
                f"{r.seconds:.1f}",
            )
            for r in report.rounds
        ],
    )
    lines = [
        rounds,
        f"* ships: {report.training_samples} of {report.pool_samples} samples; stopped: {report.stop_reason}",
        _figures(f"validation ({report.validated_on})", report.macro_f1, report.worst_class_recall),
    ]
    if report.test_macro_f1 is not None and report.test_worst_class_recall is not None:
        lines.append(_figures("held-out test", report.test_macro_f1, report.test_worst_class_recall))
    parity = f"{report.parity_crops} of {report.parity_crops} decisions equal, largest difference {report.parity:.1e}"
    lines += [f"torch and onnxruntime: {parity}", f"model: {report.model} ({report.seconds:.0f} s)"]
    return "\n".join(lines)


def evaluate_text(report: EvaluateReport) -> str:
    """Return an evaluation for people."""
    recalls = table_text(("class", "recall"), [(name, f"{r:.4f}") for name, r in report.per_class_recall.items()])
    head = f"{report.samples} pictures (mask: {report.mask}), accuracy {report.accuracy:.4f}"
    uncut = f"not cut out, counted as wrong: {report.uncut}; unreadable, not counted: {report.unreadable}"
    figures = _figures(head, report.macro_f1, report.worst_class_recall)
    return f"{recalls}\n{figures}, standard error {report.macro_f1_error:.4f}\n{uncut}"


def intake_text(report: IntakeReport) -> str:
    """Return an intake's report for people."""
    counts = [
        (title, ", ".join(f"{name} {count}" for name, count in counts.items()) or "none")
        for title, counts in (
            ("new records", report.fates),
            ("truth source", report.sources),
            ("class", report.labels),
            ("kept or refused", report.reasons),
        )
    ]
    lines = [f"{title}: {text}" for title, text in counts]
    drift = ", ".join(f"{name} {moved:+.2f}" for name, moved in report.norm_drift.items())
    if drift:
        lines.append(f"norms have moved since training, in standard deviations: {drift}")
    return "\n".join([f"{report.records} records, {report.known} known before", *lines])


def explain_text(report: ExplainReport) -> str:
    """Return a sample's story for people, sentence by sentence."""
    ends = {
        "drawn": "It is in the training set of the model that ships.",
        "held_back": "It is held back: the models contradict its label. A person must decide.",
        "validation": "It judges rounds and is never trained on.",
        "wrong": "It was still wrong when the round that ships was done.",
        "right": "It never had to be taught: it was right without being in the training set.",
        "test": "It is a test sample: no round has seen it.",
    }
    spread = f"{report.class_deviation:.4f}"
    lines = [
        f"Sample {report.sample_id[:12]} of class {report.class_name}, {report.split}, group {report.group}.",
        f"It came by {report.origin} from {report.source}.",
        *(f"  {e.utc[:19]} {e.event}: {e.class_name or '-'} ({e.who}: {e.why})" for e in report.labels),
        f"Its norm is {report.norm:.4f}, {report.side} its class's mean {report.class_mean:.4f} (deviation {spread});",
        f"  {report.nearer:.0%} of the class are nearer to the mean.",
        *(_round_line(verdict) for verdict in report.rounds),
    ]
    if report.forgotten:
        lines.append(f"It was forgotten {report.forgotten} time(s): right in one round, wrong in the next.")
    lines += [ends[report.role], f"The model that ships says {report.shipped} ({report.shipped_score:.3f})."]
    return "\n".join(lines)


def _round_line(verdict: RoundVerdict) -> str:
    place = "drawn" if verdict.drawn else "in training" if verdict.in_training else "outside"
    held = f", held back: rather {verdict.suggested} ({verdict.confidence:.2f})" if verdict.suggested else ""
    told = "right" if verdict.is_right else f"taken for {verdict.predicted}"
    return f"  round {verdict.number}: {place}, {told}, its own class scored {verdict.own_score:.3f}{held}"


def retrain_text(report: RetrainReport) -> str:
    """Return the verdict of a retraining for people."""
    gate = report.gate
    rows = []
    for name, c in gate.classes.items():
        recalls = (f"{c.base:.4f}", f"{c.candidate:.4f}", f"{c.candidate - c.base:+.4f}")
        rows.append((name, str(c.samples), *recalls, "lost" if c.is_lost else ""))
    learnt = ", ".join(f"{name} {report.learnt.get(name, 0)} of {n}" for name, n in report.mistakes.items()) or "none"
    return "\n".join(
        [
            table_text(("class", "held out", "base", "new", "change", ""), rows),
            f"macro-F1 on {report.held_out}: {gate.base_macro_f1:.4f} before, {gate.candidate_macro_f1:.4f} now",
            f"the machine's mistakes, right now: {learnt}",
            f"accepted: {report.model}" if report.is_accepted else "refused: the machine keeps the model it has",
        ]
    )


def pool_text(report: PoolReport) -> str:
    """Return a pool's counts for people."""
    splits = sorted({split for counts in report.classes.values() for split in counts})
    rows = [(name, *(str(counts.get(split, 0)) for split in splits)) for name, counts in report.classes.items()]
    others = f"in conflict: {report.conflicts}, withdrawn: {report.withdrawn}"
    return f"{table_text(('class', *splits), rows)}\n{others}\ndigest {report.digest}"


def review_text(report: ReviewReport) -> str:
    """Return what was decided for people."""
    counts = f"kept {report.kept}, relabelled {report.relabelled}, withdrawn {report.withdrawn}, later {report.later}"
    return f"{counts}\ndigest {report.digest}"


def classify_text(report: ClassifyReport, page: Path) -> str:
    """Return what classify found for people, and what to do next."""
    sets = "\n".join(f"{name} {size}" for name, size in report.sets.items())
    return f"{sets}\nlook at {page}, write classes into {page.with_name('clusters.csv')}, then call pool name"


def comparison_text(report: ComparisonReport) -> str:
    """Return runs side by side for people."""
    rows = [
        (
            run.name,
            f"{run.judged_on} ({run.samples})",
            f"{run.macro_f1:.4f} ± {run.macro_f1_error:.4f}",
            f"{run.worst_class_recall:.4f}",
            f"{run.training_samples} ({run.training_samples / run.pool_samples:.1%})",
            f"{run.seconds:.0f}",
        )
        for run in report.runs
    ]
    table = table_text(("run", "judged on", "macro-F1", "worst recall", "training", "seconds"), rows)
    return table if report.is_fair else f"{table}\nother pools or other test samples: these figures do not compare"


def naming_text(report: NamingReport) -> str:
    """Return what was named for people."""
    named = ", ".join(f"{name} {count}" for name, count in report.named.items()) or "nothing"
    return f"named {named}; withdrawn {report.withdrawn}, later {report.later}\ndigest {report.digest}"


def _figures(what: str, macro_f1: float, worst_class_recall: float) -> str:
    return f"{what}: macro-F1 {macro_f1:.4f}, worst recall {worst_class_recall:.4f}"
