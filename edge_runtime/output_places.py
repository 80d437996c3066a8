"""Where a command may write: never over what it reads, nor into it. Looks at names on disk, opens nothing."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

from edge_runtime.frames import printable

__all__ = ["clashes"]


def clashes(inputs: Iterable[Path | None], outputs: Mapping[str, Path | None]) -> list[str]:
    """Return what is wrong with the places of a command's outputs, a sentence each; nothing where all is well.

    Args:
        inputs: files and folders that are read; None for one that is not given.
        outputs: files and folders that are written, by their option; None for one that is not given.

    Note:
        What lies in a folder that is read would be read the next time. Links are followed.
    """
    given = {option: path for option, path in outputs.items() if path is not None}
    faults = [
        f"{option} {printable(str(target))} would write {'over' if _is_same(target, source) else 'into'} "
        f"{printable(str(source))}, which is read: choose another place"
        for option, target in given.items()
        for source in inputs
        if source is not None and (_is_same(target, source) or source.resolve() in target.resolve().parents)
    ]
    return faults + [
        f"{option} and {other} would both write {printable(str(target))}: choose another place for one"
        for (option, target), (other, second) in combinations(given.items(), 2)
        if _is_same(target, second)
    ]


def _is_same(path: Path, other: Path) -> bool:
    """Tell whether two names mean one file, by whatever links; on some disks letters of both cases are the same."""
    return path.resolve() == other.resolve() or (path.exists() and other.exists() and path.samefile(other))
