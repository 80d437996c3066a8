"""Imports: every file is accounted for, bad input harms nothing, and all of an import stays or nothing of it."""

import os
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.norm import NormSpec, norm_q16, norm_sums
from firmware_bridge.clock import ManualClock
from trainer.acquire.import_report import ImportReport
from trainer.acquire.importer import ImportOptions, import_samples
from trainer.acquire.sample_pictures import Unusable, read_picture
from trainer.acquire.split import check_no_leak
from trainer.errors import ImportFailedError, SettingsError
from trainer.pool.pool import Pool

DATA = Path(__file__).parents[2] / "shared" / "data"
CLOCK = ManualClock()


def grain(number: int, *, size_px: tuple[int, int] = (30, 14), side_px: int = 60) -> NDArray[np.uint8]:
    """One textured ellipse on black; no two numbers look alike."""
    rng = np.random.default_rng(number)
    pixels = np.zeros((side_px, side_px, 3), np.uint8)
    mask = np.zeros((side_px, side_px), np.uint8)
    centre, axes = (side_px // 2, side_px // 2), (size_px[0] // 2, size_px[1] // 2)
    cv2.ellipse(mask, centre, axes, float(rng.integers(0, 180)), 0, 360, 1, cv2.FILLED)
    texture = cv2.resize(rng.integers(120, 250, (8, 8, 3), dtype=np.uint8), (side_px, side_px))
    pixels[mask > 0] = texture[mask > 0]
    return pixels


def png(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".jpg", pixels)[1])


def enormous_png() -> bytes:
    """A header that claims 60000 x 60000 px, 10 GB decoded, in a small file."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + png(grain(0))[33:]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A good source of 2 classes with 12 grains each."""
    for at in range(24):
        put(tmp_path / "set", f"{'good' if at % 2 else 'stone'}/{at:02}.png", png(grain(at)))
    return tmp_path / "set"


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with Pool.open(tmp_path / "p.pool", create=True) as made:
        yield made


def put(root: Path, name: str, data: bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def run(source: Path, pool: Pool, options: ImportOptions | None = None) -> ImportReport:
    return import_samples(source, pool, options or ImportOptions(), CLOCK)


def told(report: ImportReport) -> dict[str, str]:
    return {entry.source: entry.outcome for entry in report.entries}


def state(pool: Pool) -> tuple[object, ...]:
    """Everything that an import may change."""
    names = ("meta", "samples", "label_events", "imports")
    return tuple(pool.connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in names)


def test_a_clean_source_is_imported_whole(root: Path, pool: Pool) -> None:
    report = run(root, pool)
    assert (report.files, report.outcomes) == (24, {"added": 24})
    assert (report.notes, report.notices, report.entries) == ({}, {}, ())
    assert report.classes == {"good": {"added": 12}, "stone": {"added": 12}}
    assert report.splits == {name: {"test": 2, "train": 8, "validation": 2} for name in ("good", "stone")}
    assert report.pool_digest == pool.digest()
    assert report.utc == "2026-01-01T00:00:00+00:00"
    assert report.evidence is not None
    assert report.data_set.segment.mask == "object"


def test_the_norms_are_those_of_the_final_crops(root: Path, pool: Pool) -> None:
    run(root, pool)
    table = pool.load(["train", "validation", "test"])
    masks = np.asarray(
        table.pixels.any(axis=3), np.bool_
    )  # texture is never 0; the mask is wider by its margin of zeros
    rows = pool.connection.execute("SELECT norm_numerator, norm_denominator FROM samples ORDER BY sample_id").fetchall()
    numerators, areas = norm_sums(table.pixels, masks, NormSpec())
    stored = np.array(rows, np.int64)
    assert np.array_equal(stored[:, 0], numerators)
    assert (stored[:, 1] >= areas).all()
    assert np.array_equal(table.norms_q16, norm_q16(stored[:, 0], stored[:, 1]))


def test_the_report_is_kept_in_the_pool_as_json(root: Path, pool: Pool) -> None:
    report = run(root, pool)
    ((number, source, _, text),) = pool.imports()
    assert (number, source) == (1, str(root))
    assert msgspec.json.decode(text, type=ImportReport) == report


def test_a_second_import_adds_nothing_and_changes_nothing(root: Path, pool: Pool) -> None:
    first = run(root, pool)
    second = run(root, pool)
    assert (second.outcomes, second.evidence) == ({"duplicate": 24}, None)
    assert second.pool_digest == first.pool_digest
    assert "good/01.png" in told(second)


def test_the_name_of_a_file_decides_nothing(root: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed"
    for at, path in enumerate(sorted(root.rglob("*.png"))):
        put(renamed, f"{path.parent.name}/{97 - at}.png", path.read_bytes())
    digests = set()
    for source in (root, renamed):
        with Pool.open(tmp_path / f"{source.name}.pool", create=True) as pool:
            digests.add(run(source, pool).pool_digest)
    assert len(digests) == 1


def test_a_tar_gives_the_same_pool_as_its_folder(root: Path, pool: Pool, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        archive.add(root, "set")
    with Pool.open(tmp_path / "tar.pool", create=True) as other:
        assert run(tmp_path / "set.tar", other).pool_digest == run(root, pool).pool_digest


BAD_FILES: dict[str, tuple[str, bytes]] = {
    "empty file": ("empty_file", b""),
    "text": ("unsupported", b"not a picture at all"),
    "gif": ("unsupported", b"GIF89a" + bytes(100)),
    "torn jpeg": ("corrupt", jpeg(grain(50))[:-400]),
    "torn png": ("corrupt", png(grain(50))[:-400]),
    "jpeg header only": ("corrupt", jpeg(grain(50))[:20]),
    "png header only": ("corrupt", png(grain(50))[:20]),
    "png of noise": ("corrupt", png(grain(50))[:60] + bytes(500) + b"IEND"),
    "torn bmp": ("corrupt", bytes(cv2.imencode(".bmp", grain(50))[1])[:-50]),
    "enormous header": ("too_large", enormous_png()),
    "nothing to see": ("no_object", png(np.zeros((60, 60, 3), np.uint8))),
    "giant": ("oversize", png(grain(50, size_px=(90, 80), side_px=100))),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_left_out_with_its_reason(root: Path, pool: Pool, kind: str) -> None:
    outcome, data = BAD_FILES[kind]
    run(root, pool)
    put(root, "good/bad.jpg", data)
    report = run(root, pool)
    assert report.outcomes == {"duplicate": 24, outcome: 1}
    (entry,) = (e for e in report.entries if e.source == "good/bad.jpg")
    assert entry.outcome == outcome
    assert entry.reason
    assert report.classes["good"][outcome] == 1


def test_every_file_has_exactly_one_outcome_when_all_goes_wrong_at_once(root: Path, pool: Pool) -> None:
    for at in range(2):
        put(root.parent / "first", f"good/{at}.png", png(grain(200 + at)))
    run(root.parent / "first", pool)  # fixes the window, so that the giant exceeds it
    for name, (_, data) in BAD_FILES.items():
        put(root, f"stone/{name}.jpg", data)
    put(root, "stone/notes.txt", b"dust")
    put(root, "stone/scan.tif", b"II*\0")
    put(root, "bad name/1.png", png(grain(60)))
    put(root, "top.png", png(grain(61)))
    put(root, "good/again.png", png(grain(1)))
    put(root, "good/two labels.png", png(grain(2)))
    (root / "good/link.png").symlink_to(root / "good/01.png")
    (root / "glass").mkdir()
    report = run(root, pool)
    assert report.files == sum(report.outcomes.values()) == len([p for p in root.rglob("*") if not p.is_dir()])
    expected = Counter(outcome for outcome, _ in BAD_FILES.values())
    expected.update(
        added=23, duplicate=1, conflict=2, not_an_image=1, unsupported=1, bad_class_name=1, no_class=1, link=1
    )
    assert report.outcomes == dict(sorted(expected.items()))
    assert len(report.entries) == report.files - 23 + report.notices["empty_class"]
    by_class = sum((Counter(outcomes) for outcomes in report.classes.values()), Counter())
    assert by_class.total() == report.files - 5  # two names, two kinds and a link say no class


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (png(grain(40)[:, :, 0]), "grey to colour"),
        (png(grain(41).astype(np.uint16) * 257), "16 bit to 8 bit"),
        (png(np.dstack([grain(42), np.full((60, 60), 255, np.uint8)])), "alpha dropped"),
    ],
)
def test_other_pixel_kinds_are_imported_and_noted(root: Path, pool: Pool, data: bytes, what: str) -> None:
    put(root, "good/other.png", data)
    report = run(root, pool)
    assert (report.outcomes, report.notes) == ({"added": 25}, {"converted": 1})
    assert [(e.source, e.outcome, e.reason) for e in report.entries] == [("good/other.png", "converted", what)]


def test_of_several_objects_the_largest_is_taken_and_noted(root: Path, pool: Pool) -> None:
    pixels = grain(43)
    pixels[2:12, 2:12] = 200
    put(root, "good/two.png", png(pixels))
    alone = grain(43)
    report = run(root, pool, ImportOptions(mask="object"))
    assert report.notes == {"several_objects": 1}
    table = pool.load(["train", "validation", "test"])
    crop = table.pixels[table.sources.index("good/two.png")]
    assert int(np.count_nonzero(crop.any(axis=2))) == int(np.count_nonzero(alone.any(axis=2)))


def test_one_content_under_two_labels_is_a_conflict_that_names_both_files(root: Path, pool: Pool) -> None:
    put(root, "stone/copy.png", png(grain(1)))
    report = run(root, pool)
    assert (report.outcomes, report.splits["good"]) == ({"added": 23, "conflict": 2}, report.splits["good"])
    reasons = {entry.source: entry.reason for entry in report.entries}
    assert "stone/copy.png" in reasons["good/01.png"]
    assert "good/01.png" in reasons["stone/copy.png"]
    assert pool.counts().conflict == 1
    assert len(pool.load(["train", "validation", "test"])) == 23


def test_a_conflict_with_an_earlier_import_takes_the_stored_sample_out_of_use(root: Path, pool: Pool) -> None:
    run(root, pool)
    put(root.parent / "later", "stone/copy.png", png(grain(1)))
    report = run(root.parent / "later", pool)
    assert told(report) == {"stone/copy.png": "conflict"}
    assert len(pool.load(["train", "validation", "test"])) == 23


def test_an_empty_class_folder_is_a_notice(root: Path, pool: Pool) -> None:
    (root / "glass").mkdir()
    report = run(root, pool)
    assert (report.notices, told(report)) == ({"empty_class": 1}, {"glass": "empty_class"})


def test_a_single_class_is_imported_with_a_notice(root: Path, pool: Pool) -> None:
    shutil.rmtree(root / "stone")
    report = run(root, pool)
    assert (report.outcomes, report.notices) == ({"added": 12}, {"one_class": 1})


@pytest.mark.parametrize("fill", ["nothing", "broken pictures", "no objects"])
def test_an_import_without_a_sample_fails_and_leaves_the_pool_as_it_was(tmp_path: Path, pool: Pool, fill: str) -> None:
    root = tmp_path / "set"
    root.mkdir()
    if fill == "broken pictures":
        put(root, "good/1.png", b"")
        put(root, "good/2.png", b"text")
    if fill == "no objects":
        put(tmp_path / "first", "good/1.png", png(grain(1)))
        run(tmp_path / "first", pool)
        put(root, "good/1.png", png(np.zeros((60, 60, 3), np.uint8)))
    before = state(pool)
    expected = {"nothing": "it is empty", "broken pictures": "empty_file 1, unsupported 1", "no objects": "no_object 1"}
    with pytest.raises(ImportFailedError) as error:
        run(root, pool)
    assert expected[fill] in str(error.value)
    assert state(pool) == before


class _StopError(Exception):
    pass


@pytest.mark.parametrize(("stage", "at"), [("look", 1), ("measure", 5), ("cut", 24), ("store", 1), ("store", 24)])
def test_a_failure_at_any_stage_leaves_the_pool_as_it_was(root: Path, pool: Pool, stage: str, at: int) -> None:
    def stop(now: str, done: int, total: int) -> None:
        assert 1 <= done <= total == 24
        if (now, done) == (stage, at):
            raise _StopError

    before = state(pool)
    with pytest.raises(_StopError):
        import_samples(root, pool, ImportOptions(), CLOCK, stop)
    assert state(pool) == before
    assert run(root, pool).outcomes == {"added": 24}


KILLED = """
import os, signal, sys
from pathlib import Path
from firmware_bridge.clock import ManualClock
from trainer.acquire.importer import ImportOptions, import_samples
from trainer.pool.pool import Pool
def kill(stage, done, total):
    if (stage, done) == ("store", int(sys.argv[3])):
        os.kill(os.getpid(), signal.SIGKILL)
with Pool.open(Path(sys.argv[2])) as pool:
    import_samples(Path(sys.argv[1]), pool, ImportOptions(), ManualClock(), kill)
"""


@pytest.mark.parametrize("at", [1, 24])
def test_a_killed_import_leaves_the_pool_as_it_was(root: Path, tmp_path: Path, at: int) -> None:
    put(tmp_path / "first", "good/1.png", png(grain(90)))
    with Pool.open(tmp_path / "k.pool", create=True) as pool:
        run(tmp_path / "first", pool)
        before = state(pool)
    command = [sys.executable, "-c", KILLED, str(root), str(tmp_path / "k.pool"), str(at)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    assert subprocess.run(command, env=environment, check=False, timeout=60).returncode == -signal.SIGKILL
    with Pool.open(tmp_path / "k.pool") as pool:
        assert state(pool) == before
        assert run(root, pool).outcomes["added"] == 24


def write_manifest(root: Path, row_of: Callable[[int], str]) -> None:
    rows = [f"{'good' if at % 2 else 'stone'}/{at:02}.png,{row_of(at)}" for at in range(24)]
    (root / "manifest.csv").write_text("\n".join(["file,class,split,group,sha256", *rows]), encoding="utf-8")


def test_a_manifest_decides_classes_and_sides(root: Path, pool: Pool) -> None:
    write_manifest(root, lambda at: f"{'rice' if at % 2 else 'wheat'},{'test' if at < 4 else 'train'},,")
    report = run(root, pool)
    assert report.outcomes == {"added": 24}
    assert report.splits["rice"] == {"test": 2, "train": 8, "validation": 2}  # 15 % of 10, rounded


def test_files_that_differ_from_their_hash_or_are_missing_are_told(root: Path, pool: Pool) -> None:
    write_manifest(root, lambda at: f"good,,,{'0' * 64 if at == 3 else ''}")
    (root / "stone/04.png").unlink()
    report = run(root, pool)
    assert report.outcomes == {"added": 22, "hash_mismatch": 1}
    assert told(report)["stone/04.png"] == "missing"
    assert report.files == 23


def test_a_group_in_train_and_test_is_kept_in_the_test_only(root: Path, pool: Pool) -> None:
    write_manifest(root, lambda at: f"good,{'test' if at < 3 else 'train'},group {at // 4},")
    report = run(root, pool)
    assert report.outcomes == {"added": 23, "leak": 1}
    (leak,) = (entry for entry in report.entries if entry.outcome == "leak")
    assert leak.source == "good/03.png"
    assert "group 0" in leak.reason
    check_no_leak(pool.load(["train", "validation", "test"]))


def test_a_group_whose_test_members_are_elsewhere_is_not_trained_on(root: Path, pool: Pool) -> None:
    write_manifest(root, lambda at: f"good,train,group {at // 4},")
    with (root / "manifest.csv").open("a", encoding="utf-8") as file:
        file.write("\nelsewhere/1.png,good,test,group 2,\n")
    report = run(root, pool)
    assert report.outcomes == {"added": 20, "leak": 4}
    assert "missing" not in report.notices


def test_a_group_that_the_pool_tests_is_not_trained_on_later(root: Path, pool: Pool, tmp_path: Path) -> None:
    write_manifest(root, lambda at: f"good,test,group {at},")
    run(root, pool)
    put(tmp_path / "later", "1.png", png(grain(70)))
    put(tmp_path / "later", "2.png", png(grain(71)))
    (tmp_path / "later/manifest.csv").write_text(
        "file,class,split,group\n1.png,good,train,group 5\n2.png,good,,group 6"
    )
    report = run(tmp_path / "later", pool)
    assert told(report)["1.png"] == "leak"
    assert report.splits == {"good": {"test": 1}}


def test_the_same_picture_in_train_and_test_is_kept_in_the_test_only(root: Path, pool: Pool) -> None:
    put(root, "train/good/1.png", png(grain(80)))
    for at in range(4):
        put(root, f"train/good/{at}.png", png(grain(80 + at)))
        put(root, f"test/good/{at}.png", png(grain(83 + at)))
    shutil.rmtree(root / "good")
    shutil.rmtree(root / "stone")
    report = run(root, pool)
    assert report.outcomes == {"added": 7, "leak": 1}
    assert told(report)["train/good/3.png"] == "leak"
    assert "test/good/0.png" in pool.load(["test"]).sources


def test_look_alikes_without_a_manifest_stay_on_one_side(root: Path, pool: Pool) -> None:
    for at in range(24):
        name = f"{'good' if at % 2 else 'stone'}/{at:02}"
        brighter = np.where(grain(at) > 0, grain(at) + 2, 0).astype(np.uint8)
        put(root, f"{name} again.png", png(brighter))
    run(root, pool)
    table = pool.load(["train", "validation", "test"])
    check_no_leak(table)
    assert sorted(Counter(table.groups).values()) == [2] * 24
    sides = {source.split(" ")[0].removesuffix(".png"): set[str]() for source in table.sources}
    for source, side in zip(table.sources, table.splits, strict=True):
        sides[source.split(" ")[0].removesuffix(".png")].add(side)
    assert all(len(found) == 1 for found in sides.values())


def test_look_alikes_of_a_later_import_join_the_group_in_the_pool(root: Path, pool: Pool, tmp_path: Path) -> None:
    run(root, pool)
    before = dict(zip(pool.load(["test"]).sources, pool.load(["test"]).groups, strict=True))
    for name in before:
        number = int(Path(name).stem)
        put(tmp_path / "later", name, png(np.where(grain(number) > 0, grain(number) + 2, 0).astype(np.uint8)))
    report = run(tmp_path / "later", pool)
    assert {side for sides in report.splits.values() for side in sides} == {"test"}
    assert set(pool.load(["test"]).groups) == set(before.values())


def test_a_look_alike_of_a_test_picture_is_left_out_and_its_twin_named(root: Path, pool: Pool) -> None:
    for at in range(4):
        put(root, f"train/good/{at}.png", png(grain(80 + at)))
    put(root, "test/good/9.png", png(np.where(grain(82) > 0, grain(82) + 2, 0).astype(np.uint8)))
    shutil.rmtree(root / "good")
    shutil.rmtree(root / "stone")
    report = run(root, pool)
    reasons = {entry.source: entry.reason for entry in report.entries if entry.outcome == "leak"}
    assert reasons == {"train/good/2.png": "looks like test/good/9.png, which is in test"}
    assert "look_alikes" not in report.notices


def test_look_alikes_that_a_manifest_puts_on_two_sides_are_told(root: Path, pool: Pool) -> None:
    put(root, "good/90.png", png(np.where(grain(1) > 0, grain(1) + 2, 0).astype(np.uint8)))
    write_manifest(root, lambda at: f"good,train,group {at},")
    with (root / "manifest.csv").open("a", encoding="utf-8") as file:
        file.write("\ngood/90.png,good,test,other group,\n")
    report = run(root, pool)
    assert report.outcomes == {"added": 25}
    assert report.notices == {"look_alikes": 1, "one_class": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [(ImportOptions(mask="full"), "--mask full"), (ImportOptions(norm=NormSpec(channel_weights=(1, 2, 1))), "norm ")],
)
def test_options_that_contradict_the_pool_are_refused(
    root: Path, pool: Pool, options: ImportOptions, message: str
) -> None:
    run(root, pool)
    before = state(pool)
    with pytest.raises(SettingsError, match=message):
        run(root, pool, options)
    assert state(pool) == before


def test_the_same_options_as_the_pool_are_accepted(root: Path, pool: Pool) -> None:
    run(root, pool)
    assert run(root, pool, ImportOptions(mask="object", norm=NormSpec())).outcomes == {"duplicate": 24}


@pytest.mark.parametrize("cut", range(0, 2000, 97))
def test_a_torn_picture_is_never_taken_for_a_whole_one(cut: int) -> None:
    data = jpeg(grain(5))
    assert isinstance(read_picture(data[: min(cut, len(data) - 1)]), Unusable)


def real(name: str) -> Path:
    path = DATA / name / "train.tar"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return path


def test_rice_is_imported_with_the_manifest_beside_it(pool: Pool, tmp_path: Path) -> None:
    path = real("rice_varieties")
    shutil.copy(path.with_name("manifest.csv"), tmp_path)
    with tarfile.open(path) as archive, tarfile.open(tmp_path / "few.tar", "w") as few:
        for member in [m for m in archive.getmembers() if m.isreg()][::40]:
            few.addfile(member, archive.extractfile(member))
    report = run(tmp_path / "few.tar", pool)
    assert (report.outcomes, report.notices) == ({"added": 250}, {"missing": 9750})
    assert report.data_set.segment.mask == "object"
    assert {name: sum(sides.values()) for name, sides in report.splits.items()} == dict.fromkeys(pool.class_names(), 50)
    assert {side for sides in report.splits.values() for side in sides} == {"train", "validation"}


@pytest.mark.long
def test_the_leak_of_trashnet_is_named_and_the_rest_imported(pool: Pool) -> None:
    path = real("trashnet")
    report = run(path, pool)
    leaks = [entry for entry in report.entries if entry.outcome == "leak"]
    assert (report.outcomes["added"], len(leaks)) == (2007, 10)
    assert all("plastic-11" in entry.reason for entry in leaks)
    run(path.with_name("test.tar"), pool)
    check_no_leak(pool.load(["train", "validation", "test"]))


@pytest.mark.long
def test_rice_without_its_manifest_does_not_chain(pool: Pool, tmp_path: Path) -> None:
    shutil.copy(real("rice_varieties"), tmp_path / "train.tar")
    run(tmp_path / "train.tar", pool)
    table = pool.load(["train", "validation"])
    assert max(Counter(table.groups).values()) <= 3
    assert abs(Counter(table.splits)["validation"] - 1500) <= 5


def test_pictures_beyond_the_largest_window_are_left_out_and_the_pool_stays_whole(tmp_path: Path, pool: Pool) -> None:
    rng = np.random.default_rng(0)
    for at in range(2):
        put(tmp_path / "wide", f"rail/{at}.png", png(rng.integers(0, 256, (20, 4200, 3)).astype(np.uint8)))
    for _ in range(2):  # the second time with the settings that the first one stored
        with pytest.raises(ImportFailedError, match=r"no sample among 2 files .*oversize 2"):
            run(tmp_path / "wide", pool)
