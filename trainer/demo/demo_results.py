"""What the demonstration came to: one record, on disk as demo.json, and the source of its table and page.

Figures are the virtual machine's, with known truth: what a factory would have to count by hand.
"""

from typing import Literal

import msgspec

from trainer.loop.run_record import RunReport

__all__ = ["Contender", "DemoResult", "MachineFigures"]

Contender = Literal["first", "retrained", "control"]


class MachineFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model on the stream that none of them has seen.

    Attributes:
        contender: "first" model; "retrained" on the residuals; "control", on as many inspected at random.
        objects: pieces that passed the camera.
        macro_f1, worst_class_recall: of its classes against the truth.
        purity: share of good pieces in the accepted stream, 0..1.
        yield_good: share of the good pieces fed that was accepted, 0..1.
        removed: share of the bad pieces fed that was thrown out, 0..1.
        carry_over: good pieces thrown out for each bad one thrown out.
        late: ejections that reached the controller too late.
        least_lead_ms: shortest time that was left between sending a command and its fire time.
    """

    contender: Contender
    objects: int
    macro_f1: float
    worst_class_recall: float
    purity: float
    yield_good: float
    removed: float
    carry_over: float
    late: int
    least_lead_ms: float


class DemoResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole demonstration.

    Attributes:
        seed: of grains, belts and training.
        new_season_share: share 0..1 of the machine's pieces that look as the laboratory never saw them.
        runs: the training run behind each contender.
        residuals: recorded mistakes by truth source, "T0" and "T2".
        inspected: pieces shown to the recorder while they were found.
        added: samples by which the training set grew, the same for "retrained" and "control".
        audit: pieces of the audit slice; audit_error: share of them the first model had wrong.
        machine: figures of each contender on the unseen stream.
        seconds: wall time.
    """

    seed: int
    new_season_share: float
    runs: dict[Contender, RunReport]
    residuals: dict[str, int]
    inspected: int
    added: dict[Contender, int]
    audit: int
    audit_error: float
    machine: tuple[MachineFigures, ...]
    seconds: float
    schema_version: Literal[1] = 1
