"""Long tails, wrong labels and folds: by content alone, exact, and never on the test side."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.storage import sha256_hex
from trainer.bench.variants import (
    BenchSample,
    make_longtail,
    make_noise,
    needs_folds,
    ranks,
    take_fold,
    vary,
)
from trainer.judge.validation import FOLDS

SEEDS = st.integers(0, 20)


def a_set(counts: dict[str, tuple[int, int, int]]) -> list[BenchSample]:
    """Return samples of classes with so many in train, validation and test; two of each side share a group."""
    return [
        BenchSample(sha256_hex(f"{name} {side} {at}".encode()), name, f"{name} {side} {at // 2}", side)
        for name, sizes in counts.items()
        for side, size in zip(("train", "validation", "test"), sizes, strict=True)
        for at in range(size)
    ]


SETS = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.integers(12, 90), st.integers(0, 40), st.integers(1, 9)), min_size=2
).map(a_set)


def sizes(samples: list[BenchSample], side: str) -> Counter[str]:
    return Counter(sample.class_name for sample in samples if sample.split == side)


@settings(max_examples=40, deadline=None)
@given(SETS, SEEDS, st.sampled_from(("plain", "longtail", "noise")), st.randoms(use_true_random=False))
def test_variant_does_not_depend_on_the_order_of_files(samples, seed, variant, random) -> None:  # type: ignore[no-untyped-def]  # strategies tell
    shuffled = list(samples)
    random.shuffle(shuffled)
    assert vary(shuffled, variant, seed=seed) == vary(samples, variant, seed=seed)


@settings(max_examples=40, deadline=None)
@given(SETS, SEEDS, st.sampled_from(("longtail", "noise")))
def test_variant_leaves_the_test_side_alone(samples, seed, variant) -> None:  # type: ignore[no-untyped-def]  # strategies tell
    before = [s for s in vary(samples, "plain", seed=seed) if s.split == "test"]
    assert [s for s in vary(samples, variant, seed=seed) if s.split == "test"] == before


@settings(max_examples=40, deadline=None)
@given(SETS, SEEDS)
def test_long_tail_decays_to_a_tenth_with_the_class_that_the_seed_names(samples, seed) -> None:  # type: ignore[no-untyped-def]  # strategies tell
    found = sizes(make_longtail(samples, seed), "train")
    place = ranks(sorted(found), seed=seed)
    ordered = [found[name] for name in sorted(found, key=lambda name: place[name])]
    assert ordered == sorted(ordered, reverse=True)
    assert ordered[0] / 10 - 1 <= ordered[-1] <= ordered[0] / 10 + 1
    assert all(found[name] <= count for name, count in sizes(samples, "train").items())


def test_rare_class_moves_on_with_the_seed() -> None:
    samples = a_set(dict.fromkeys("abc", (100, 0, 1)))
    rare = [
        min(found, key=lambda n: found[n]) for found in (sizes(make_longtail(samples, s), "train") for s in (0, 1, 2))
    ]
    assert sorted(rare) == ["a", "b", "c"]


def test_long_tail_keeps_twenty_validation_samples_so_that_judging_stays_the_same() -> None:
    samples = a_set(dict.fromkeys("ab", (100, 60, 1)))
    assert sizes(make_longtail(samples, 0), "validation") == {"a": 60, "b": 20}


@settings(max_examples=40, deadline=None)
@given(SETS, SEEDS)
def test_noise_turns_a_tenth_of_each_class_into_other_classes(samples, seed) -> None:  # type: ignore[no-untyped-def]  # strategies tell
    before = {s.sample_id: s for s in samples}
    after = make_noise(samples, seed)
    assert [s.sample_id for s in after] == list(before)
    wrong = [s for s in after if s.class_name != before[s.sample_id].class_name]
    changed = Counter((before[s.sample_id].class_name, s.split) for s in wrong)
    for side in ("train", "validation"):
        for name, count in sizes(samples, side).items():
            assert changed[name, side] == (count + 5) // 10
    assert {s.class_name for s in after} <= {s.class_name for s in samples}


@settings(max_examples=30, deadline=None)
@given(SETS)
def test_folds_test_every_image_once_and_keep_groups_together(samples) -> None:  # type: ignore[no-untyped-def]  # strategies tell
    tested: list[str] = []
    for fold in range(FOLDS):
        sided = take_fold(samples, fold)
        groups = {side: {s.group for s in sided if s.split == side} for side in ("train", "test")}
        assert not groups["train"] & groups["test"]
        tested += [s.sample_id for s in sided if s.split == "test"]
    assert sorted(tested) == sorted(s.sample_id for s in samples)


def test_folds_are_asked_for_where_a_class_has_fewer_than_twenty_test_images() -> None:
    assert needs_folds(a_set({"a": (50, 0, 20), "b": (50, 0, 19)}))
    assert not needs_folds(a_set({"a": (50, 0, 20), "b": (50, 0, 20)}))
