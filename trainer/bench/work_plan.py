"""Which rows a call asks for, in the order they are run. Pure rules over sets, arms and seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trainer.bench.arms import ARMS, NORM, Arm, Suite
from trainer.bench.row_record import ALL_IMAGES, Row, Variant
from trainer.errors import SettingsError
from trainer.judge.validation import FOLDS

__all__ = ["SetFacts", "norm_of", "parse_seeds", "ranges_text", "rows_of", "variant_of", "with_norm"]


@dataclass(frozen=True, slots=True)
class SetFacts:
    """What the plan must know of a set: its name, the digest of its pool, whether it is judged over five folds."""

    name: str
    pool_digest: str
    is_folded: bool


def variant_of(suite: Suite) -> Variant:
    """Return what a suite does to the sets."""
    match suite:
        case "longtail" | "noise":
            return suite
        case _:
            return "plain"


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return the seeds of a text such as "0-9" or "0,3,5-7", ascending, each once.

    Raises:
        SettingsError: it is neither.

    >>> parse_seeds("0,2-4")
    (0, 2, 3, 4)
    """
    seeds: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()) or int(last or first) < int(first):
            raise SettingsError(f"seeds {text!r}: give numbers and ranges such as 0-9 or 0,3,5-7")
        seeds.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(seeds))


def ranges_text(seeds: Sequence[int]) -> str:
    """Return ascending seeds as `parse_seeds` takes them.

    >>> ranges_text((0, 2, 3, 4))
    '0,2-4'
    """
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def rows_of(variant: Variant, sets: Iterable[SetFacts], arms: Sequence[Arm], seeds: Sequence[int]) -> list[Row]:
    """Return the rows of a comparison: seed after seed, so that early rows already compare all arms."""
    facts = list(sets)
    return [
        Row(one.name, variant, fold, arm.name, seed)
        for seed in seeds
        for one in facts
        for fold in (range(FOLDS) if one.is_folded else (ALL_IMAGES,))
        for arm in arms
    ]


def norm_of(row: Row) -> Row:
    """Return the row of the norm loop on the same samples with the same seed."""
    return Row(row.set, row.variant, row.fold, NORM, row.seed)


def with_norm(rows: Iterable[Row]) -> list[Row]:
    """Return the rows, each once, with those of the norm loop that others build on before them."""
    ordered: dict[Row, None] = {}
    for row in rows:
        if ARMS[row.arm].needs_norm:
            ordered.setdefault(norm_of(row))
        ordered.setdefault(row)
    return list(ordered)
