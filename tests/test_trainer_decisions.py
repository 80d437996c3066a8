"""What a person decides about samples: all of a list or nothing, with who and why in the history."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.demo.synthetic import SyntheticSamples, make_synthetic_pool
from trainer.errors import PoolError, SettingsError
from trainer.pool.decisions import Decision, Stamp, apply_review, decide, decision_of, find_sample
from trainer.pool.pool import Pool
from trainer.pool.review_list import ReviewItem, review_csv

STAMP = Stamp("ann", "looked at it", "2026-01-01T00:00:00+00:00")


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    make_synthetic_pool(tmp_path / "p.pool", SyntheticSamples(counts={"train": 6}))
    with Pool.open(tmp_path / "p.pool") as opened:
        yield opened


def ids(pool: Pool) -> list[str]:
    return sorted(row[0] for row in pool.connection.execute("SELECT sample_id FROM samples"))


def filled(pool: Pool, folder: Path, decisions: list[str]) -> Path:
    """A list as a run writes it, its decision column filled in by a person."""
    names = ids(pool)[: len(decisions)]
    items = [ReviewItem(name, "good", "stone", "seen_as_other", 0.9, f"{name}.png") for name in names]
    lines = review_csv(items).splitlines()
    body = [line.replace(",,", f",{text},", 1) for line, text in zip(lines[1:], decisions, strict=True)]
    path = folder / "list.csv"
    path.write_text("\n".join([lines[0], *body]) + "\n", encoding="utf-8-sig")
    return path


def test_a_filled_in_list_is_carried_out_with_its_history(pool: Pool, tmp_path: Path) -> None:
    names = ids(pool)
    report = apply_review(pool, filled(pool, tmp_path, ["keep", "relabel:stone", "withdraw", ""]), STAMP)
    assert (report.kept, report.relabelled, report.withdrawn, report.later) == (1, 1, 1, 1)
    states = [pool.find(name) for name in names[:4]]
    assert [one.state if one else None for one in states] == ["active", "active", "withdrawn", "active"]
    assert states[1] is not None
    assert states[1].class_name == "stone"
    rows = pool.connection.execute("SELECT sample_id, who, why FROM label_events WHERE who = 'ann'").fetchall()
    assert {row[0] for row in rows} == set(names[:3])
    assert report.digest == pool.digest()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("delete", "line 3: decision 'delete' is none of keep, relabel:CLASS, withdraw"),
        ("relabel:", "is none of keep"),
        ("keep:it", "is none of keep"),
        ("relabel:stnoe", "no class 'stnoe' in the pool: did you mean stone"),
    ],
)
def test_one_wrong_line_and_nothing_of_the_list_is_done(pool: Pool, tmp_path: Path, wrong: str, message: str) -> None:
    before = pool.digest()
    with pytest.raises(SettingsError, match=message):
        apply_review(pool, filled(pool, tmp_path, ["withdraw", wrong]), STAMP)
    assert pool.digest() == before


def test_a_list_of_another_program_is_refused(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("name,verdict\na,b\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="has no column sample, decision: it needs sample,label,suggested"):
        apply_review(pool, tmp_path / "other.csv", STAMP)
    (tmp_path / "latin.csv").write_bytes(b"sample,decision\n\xff,keep\n")
    with pytest.raises(SettingsError, match="is no UTF-8 text"):
        apply_review(pool, tmp_path / "latin.csv", STAMP)


def test_a_new_class_must_be_meant(pool: Pool) -> None:
    name = ids(pool)[0]
    with pytest.raises(SettingsError, match="a new one needs --new-class"):
        decide(pool, name, Decision("relabel", "twig"), STAMP)
    decide(pool, name, Decision("relabel", "twig"), Stamp("ann", "why", STAMP.utc, is_new_class_allowed=True))
    assert "twig" in pool.class_names()


def test_a_sample_is_found_by_its_first_digits(pool: Pool) -> None:
    name = ids(pool)[0]
    assert find_sample(pool, name[:6]) == find_sample(pool, name) == name
    with pytest.raises(PoolError, match="has 5 digits of a sample's id: give at least 6"):
        find_sample(pool, name[:5])
    with pytest.raises(PoolError, match="no sample begins with zzzzzz"):
        find_sample(pool, "zzzzzz")
    with pytest.raises(PoolError, match="holds no sample zzzzzz"):
        decide(pool, "zzzzzz", Decision("keep"), STAMP)


@given(st.text(max_size=12))
def test_every_text_is_a_decision_or_an_error(text: str) -> None:
    try:
        decision = decision_of(text, "here")
    except SettingsError:
        return
    assert text.strip().partition(":")[0].strip() == decision.kind
    assert bool(decision.class_name) == (decision.kind == "relabel")
