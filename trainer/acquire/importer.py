"""Files to samples in the pool, in one transaction: all of an import, or nothing of it.

The flow: settle what all samples have in common, cut every file, plan groups and sides, store. The rules themselves
are in `data_set`, `sample_cutting`, `grouping` and `split`.

>>> ImportOptions().mask
'auto'
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge_runtime.norm import NormSpec
from firmware_bridge.clock import Clock
from trainer.acquire.blob_spool import BlobSpool
from trainer.acquire.data_set_choice import MOST_SIDE_PX, DataSetEvidence, MaskChoice, decide_data_set
from trainer.acquire.import_batch import CutFile, Progress, cut_files, labelled_pictures
from trainer.acquire.import_plan import ImportPlan, plan_import
from trainer.acquire.import_report import USABLE_OUTCOMES, ImportReport, ImportTally, Outcome
from trainer.acquire.sample_pictures import Unusable, read_picture
from trainer.acquire.sources import RefusedFile, Source, open_source
from trainer.errors import ImportFailedError, SettingsError
from trainer.pool.class_names import UNNAMED, is_provisional
from trainer.pool.data_set import DataSet
from trainer.pool.pool import Pool
from trainer.pool.samples import NewSample

__all__ = ["ImportOptions", "import_samples", "no_progress"]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a person may decide about an import.

    Attributes:
        mask: how objects are found, for the first import into a pool; later ones must say "auto" or the same.
        norm: channel weights, for the first import; None weighs all channels alike, later on as in the pool.
        most_side_px: limit of the crops' side, for the first import; later ones cut as the pool's crops are cut.
        is_unlabelled: folders name no classes; the samples are `unnamed` until a person names them.
        who: who vouches for the labels.
    """

    mask: MaskChoice = "auto"
    norm: NormSpec | None = None
    who: str = "import"
    most_side_px: int = MOST_SIDE_PX
    is_unlabelled: bool = False


def no_progress(stage: str, done: int, total: int) -> None:
    """Take no note of how far an import is."""


def import_samples(
    source: Path, pool: Pool, options: ImportOptions, clock: Clock, progress: Progress = no_progress
) -> ImportReport:
    """Import a source into a pool.

    Args:
        source: a folder of class folders, a tar of one, or a manifest; docs/samples.md shows the layouts.
        pool: open; the import holds its write lock to the end.
        options: see `ImportOptions`.
        clock: for the time in the records.
        progress: told after every file.

    Returns:
        What became of every file; the pool keeps it too.

    Raises:
        ImportFailedError: the source cannot be read, or no file of it gave a sample.
        SettingsError: the options contradict what the pool was made with.
        PoolError: the pool cannot be written.
        Exception: whatever `progress` raises.

    Note:
        After an error the pool is as it was before. Pictures are decoded three times for the first import into a
        pool, once for later ones. Memory: about 1 kB a sample, and packed crops up to 256 MiB, then on disk.
    """
    utc = clock.utc_now().isoformat()
    with open_source(source, is_unlabelled=options.is_unlabelled) as files, pool.transaction(), BlobSpool() as spool:
        tally = ImportTally(str(source), utc, len(files))
        data_set, evidence = _settle_data_set(source, files, pool, options, progress)
        batch = cut_files(files, data_set, spool, tally, progress)
        plan = plan_import(batch, pool, files, tally)
        store = _Store(pool, plan, spool, options.who, f"import of {source.name}", utc)
        contents = batch.contents()
        for done, content in enumerate(contents, start=1):
            for told in store.add(batch.files(content)):
                tally.outcome(told.file.source, told.outcome, told.reason, told.file.class_name)
                if told.outcome == "added":
                    tally.added(told.file.class_name, plan.sides[content])
            progress("store", done, len(contents))
        if not sum(tally.outcomes[name] for name in USABLE_OUTCOMES):
            raise ImportFailedError(f"{source}: no sample among {len(files)} files ({tally.summary()})")
        _give_notice(files, pool, tally)
        report = tally.report(data_set, evidence, pool.digest())
        pool.record_import(str(source), utc, msgspec.json.encode(report).decode())
    return report


def _settle_data_set(
    source: Path, files: Source, pool: Pool, options: ImportOptions, progress: Progress
) -> tuple[DataSet, DataSetEvidence | None]:
    """Return what the pool was made with, or decide it now and keep it."""
    stored = pool.data_set()
    if stored is not None:
        _check_same(options, stored, pool.path)
        return stored, None
    if next(labelled_pictures(files, "look", no_progress), None) is None:
        raise ImportFailedError(f"{source}: no picture among {len(files)} files ({_why_none(files)})")
    stages = iter(("look", "measure"))
    decided, evidence = decide_data_set(
        lambda: labelled_pictures(files, next(stages), progress),
        options.mask,
        norm=options.norm,
        most_side_px=options.most_side_px,
    )
    pool.set_data_set(decided)
    return decided, evidence


def _why_none(files: Source) -> str:
    """Return what is wrong with the files of a source without a picture, in words."""
    reasons: Counter[str] = Counter()
    for file in files:
        refused = file if isinstance(file, RefusedFile) else read_picture(file.data)
        reasons[refused.outcome if isinstance(refused, RefusedFile | Unusable) else "readable"] += 1
    missing = Counter(notice.notice for notice in files.notices)
    return ", ".join(f"{name} {count}" for name, count in (reasons + missing).most_common()) or "it is empty"


def _check_same(options: ImportOptions, stored: DataSet, path: Path) -> None:
    if options.mask not in {"auto", stored.segment.mask}:
        raise SettingsError(f"--mask {options.mask}, but pool {path} was made with mask {stored.segment.mask}")
    if options.norm not in {None, stored.norm}:
        raise SettingsError(f"norm {options.norm}, but pool {path} was made with {stored.norm}")


def _give_notice(files: Source, pool: Pool, tally: ImportTally) -> None:
    for notice in files.notices:
        tally.notice(notice.source, notice.notice, notice.reason)
    classes = pool.class_names()
    if any(map(is_provisional, classes)):
        tally.notice(UNNAMED, "no_class_yet", "samples without a class: call classify, then name what it found")
    elif len(classes) < 2:
        only = ", ".join(classes) or "none"
        tally.notice(only, "one_class", f"the pool holds classes: {only}; a model needs at least two")


@dataclass(frozen=True, slots=True)
class _Told:
    """What became of one file."""

    file: CutFile
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Store:
    """Puts the files of one content after the other into the pool."""

    pool: Pool
    plan: ImportPlan
    spool: BlobSpool
    who: str
    why: str
    utc: str

    def add(self, files: Sequence[CutFile]) -> list[_Told]:
        """Add all files with one content, the one that speaks for it first."""
        content = files[0].sample_id
        leak = self.plan.leaks.get(content)
        if leak is not None:
            return [_Told(file, "leak", leak) for file in files]
        told = [self._add_file(file, content) for file in files]
        others = sorted({t.file.source for t in told if t.outcome == "conflict"})
        if others and told[0].outcome == "added":  # the first of two labels in one import is as doubtful as the second
            reason = f"same picture as {', '.join(others)} under another label: used for nothing until a person decides"
            told[0] = _Told(told[0].file, "conflict", reason)
        return told

    def _add_file(self, file: CutFile, content: str) -> _Told:
        known = self.plan.stored.get(content)
        side = self.plan.sides[content] if known is None else known.split
        if file.split is not None and (file.split == "test") != (side == "test"):
            return _Told(file, "leak", f"stated as {file.split}, but the same picture is in {side}")
        added = self.pool.add_sample(self._sample(file, side))
        if added.stored is None:
            return _Told(file, "added")
        if added.outcome == "duplicate" and is_provisional(added.stored.class_name):
            now = "still has none" if is_provisional(file.class_name) else f"is now {file.class_name}"
            reason = f"same picture as {added.stored.source}, which had no class and {now}"
            return _Told(file, "duplicate", reason)
        if added.outcome == "duplicate":
            return _Told(file, "duplicate", f"same picture as {added.stored.source}, which the pool holds")
        return _Told(
            file,
            "conflict",
            f"same picture as {added.stored.source}, labelled {' and '.join(self.pool.labels(content))}: used for "
            "nothing until a person decides",
        )

    def _sample(self, file: CutFile, side: str) -> NewSample:
        return NewSample(
            sample_id=file.sample_id,
            class_name=file.class_name,
            group=self.plan.groups.get(file.sample_id, ""),
            split=side,
            origin="import",
            truth="source",
            norm_numerator=file.norm_numerator,
            norm_denominator=file.norm_denominator,
            source=file.source,
            blob=self.spool.get(file.place),
            who=self.who,
            why=self.why,
            utc=self.utc,
        )
