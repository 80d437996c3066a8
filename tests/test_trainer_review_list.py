"""The review list: a plain table, the surest first, the same text for the same samples."""

import csv
import io
import random

from hypothesis import given
from hypothesis import strategies as st

from trainer.pool.review_list import COLUMNS, ReviewItem, review_csv

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
ITEMS = st.lists(
    st.builds(
        ReviewItem,
        sample=TEXT,
        label=TEXT,
        suggested=TEXT,
        reason=st.sampled_from(["seen_as_other", "fits_no_class"]),
        confidence=st.floats(0, 1),
        source=TEXT,
    ),
    max_size=8,
    unique_by=lambda item: item.sample,
)


def test_the_surest_comes_first_and_equal_ones_by_id() -> None:
    items = [
        ReviewItem(name, "good", "stone", "seen_as_other", confidence, "x.png")
        for name, confidence in (("b", 0.5), ("a", 0.5), ("c", 0.9996))
    ]
    assert review_csv(items).splitlines() == [
        "sample,label,suggested,reason,confidence,decision,source",
        "c,good,stone,seen_as_other,1.000,,x.png",
        "a,good,stone,seen_as_other,0.500,,x.png",
        "b,good,stone,seen_as_other,0.500,,x.png",
    ]


def test_nothing_to_review_is_a_table_without_rows() -> None:
    assert review_csv([]) == ",".join(COLUMNS) + "\n"


@given(items=ITEMS, order=st.randoms())
def test_any_reader_of_tables_gets_back_what_was_written(items: list[ReviewItem], order: random.Random) -> None:
    text = review_csv(items)
    shuffled = items.copy()
    order.shuffle(shuffled)
    assert review_csv(shuffled) == text
    read = list(csv.DictReader(io.StringIO(text)))
    assert len(read) == len(items)
    by_id = {item.sample: item for item in items}
    for row in read:
        item = by_id[row["sample"]]
        assert (row["label"], row["suggested"], row["reason"]) == (item.label, item.suggested, item.reason)
        assert (row["source"], row["decision"]) == (item.source, "")
        assert abs(float(row["confidence"]) - item.confidence) <= 0.0005 + 1e-12
