"""The list of samples whose labels are in doubt, as CSV text for a person to go through in any table program.

>>> item = ReviewItem("00ff", "good", "stone", "seen_as_other", 0.9712, "a/1.png")
>>> print(review_csv([item]), end="")
sample,label,suggested,reason,confidence,decision,source
00ff,good,stone,seen_as_other,0.971,,a/1.png
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["COLUMNS", "ReviewItem", "ReviewReason", "review_csv"]

COLUMNS: Final = ("sample", "label", "suggested", "reason", "confidence", "decision", "source")

ReviewReason = Literal["seen_as_other", "fits_no_class"]


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """A sample to look at.

    Attributes:
        sample: its id in the pool.
        label: the class it is labelled as; suggested: the class that the models see instead.
        reason: "seen_as_other": the models agree on the suggested class; "fits_no_class": they contradict the label and
            are not sure of any other, as with a picture of no class or of two.
        confidence: chance that the label is wrong, 0..1.
        source: file or record that the sample came from.
    """

    sample: str
    label: str
    suggested: str
    reason: ReviewReason
    confidence: float
    source: str


def review_csv(items: Iterable[ReviewItem]) -> str:
    """Return the list as CSV: the surest first, equal ones by id; `decision` is left empty for the person.

    Args:
        items: in any order; equal items give equal text.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for item in sorted(items, key=lambda i: (-i.confidence, i.sample)):
        confidence = f"{item.confidence:.3f}"
        rows.writerow((item.sample, item.label, item.suggested, item.reason, confidence, "", item.source))
    return text.getvalue()
