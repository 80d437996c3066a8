"""Sources: every file comes out once, in order, with what folder and manifest say, and nothing leads outside."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.acquire.containers import open_container, safe_name
from trainer.acquire.manifest import ManifestRow, groups_on_both_sides, parse_manifest
from trainer.acquire.sources import RefusedFile, SourceImage, open_source
from trainer.errors import ImportFailedError
from trainer.pool.class_names import is_class_name

FILES = {"good/1.png": b"one", "good/2.jpg": b"two", "stone/1.BMP": b"three"}


def write_folder(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def write_tar(path: Path, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def manifest_of(files: Mapping[str, bytes], extra: str = "") -> bytes:
    rows = [f"{name},{name.split('/')[-2]},{hashlib.sha256(data).hexdigest()}" for name, data in files.items()]
    return "\n".join(["file,class,sha256", *rows, extra]).encode()


def images(path: Path) -> list[SourceImage]:
    with open_source(path) as source:
        return [file for file in source if isinstance(file, SourceImage)]


def refused(path: Path) -> dict[str, str]:
    with open_source(path) as source:
        return {file.source: file.outcome for file in source if isinstance(file, RefusedFile)}


@pytest.fixture(params=["folder", "tar", "tar.gz", "wrapped tar", "manifest"])
def same_source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The same three files in every form that a source can have."""
    match request.param:
        case "folder":
            yield write_folder(tmp_path / "set", FILES)
        case "tar":
            yield write_tar(tmp_path / "set.tar", dict(reversed(FILES.items())))
        case "tar.gz":
            plain = write_tar(tmp_path / "plain.tar", FILES)
            (tmp_path / "set.tar.gz").write_bytes(gzip.compress(plain.read_bytes()))
            yield tmp_path / "set.tar.gz"
        case "wrapped tar":
            yield write_tar(tmp_path / "set.tar", {f"rice/set/{name}": data for name, data in FILES.items()})
        case _:
            write_folder(tmp_path, FILES)
            (tmp_path / "list.csv").write_bytes(manifest_of(FILES))
            yield tmp_path / "list.csv"


def test_every_form_of_a_source_gives_the_same_images_in_sorted_order(same_source: Path) -> None:
    found = [(image.class_name, image.split, image.group, image.data) for image in images(same_source)]
    expected = [("good", None, None, b"one"), ("good", None, None, b"two"), ("stone", None, None, b"three")]
    assert found == expected


def test_a_source_can_be_read_again_and_knows_its_length(same_source: Path) -> None:
    with open_source(same_source) as source:
        assert list(source) == list(source)
        assert len(source) == 3


@pytest.mark.parametrize(
    ("folder", "split"), [("train", "train"), ("Val", "validation"), ("validation", "validation"), ("test", "test")]
)
def test_a_split_folder_gives_the_side(tmp_path: Path, folder: str, split: str) -> None:
    (image,) = images(write_folder(tmp_path, {f"{folder}/good/1.png": b"x"}))
    assert (image.class_name, image.split) == ("good", split)


def test_a_split_name_without_a_class_folder_below_is_a_class(tmp_path: Path) -> None:
    (image,) = images(write_folder(tmp_path, {"test/1.png": b"x"}))
    assert (image.class_name, image.split) == ("test", None)


def test_deeper_folders_belong_to_their_class(tmp_path: Path) -> None:
    (image,) = images(write_folder(tmp_path, {"good/monday/1.png": b"x"}))
    assert image.class_name == "good"


@pytest.mark.parametrize("place", ["inside", "beside folder", "beside tar"])
def test_a_manifest_inside_or_beside_gives_class_split_and_group(tmp_path: Path, place: str) -> None:
    files = {"train/a/1.png": b"x", "test/b/2.png": b"y"}
    text = b"\xef\xbb\xbffile,class,split,group\ntrain/a/1.png,rice,train,g1\ntest/b/2.png,stone,test,\n"
    match place:
        case "inside":
            path = write_folder(tmp_path / "set", {**files, "manifest.csv": text})
        case "beside folder":
            path = write_folder(tmp_path / "set", {"1.png": b"x", "2.png": b"y"})
            text = text.replace(b"train/a/", b"set/").replace(b"test/b/", b"set/")
            (tmp_path / "manifest.csv").write_bytes(text)
        case _:
            path = write_tar(tmp_path / "set.tar", files)
            (tmp_path / "manifest.csv").write_bytes(text)
    found = {(i.class_name, i.split, i.group) for i in images(path)}
    assert found == {("rice", "train", "g1"), ("stone", "test", None)}


def test_a_manifest_beside_that_lists_none_of_the_files_is_an_error(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "set", FILES)
    (tmp_path / "manifest.csv").write_bytes(b"file,class\nother/1.png,good\n")
    with pytest.raises(ImportFailedError, match=r"lists no file of set"), open_source(path):
        pass


def test_bytes_that_differ_from_the_manifest_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, {**FILES, "manifest.csv": manifest_of(FILES)})
    (tmp_path / "good/1.png").write_bytes(b"changed")
    assert refused(tmp_path) == {"good/1.png": "hash_mismatch"}


def test_files_that_the_manifest_does_not_list_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, {**FILES, "manifest.csv": manifest_of(FILES), "good/9.png": b"new"})
    assert refused(tmp_path) == {"good/9.png": "unlisted"}


def test_missing_files_are_noticed_only_for_splits_of_which_others_are_there(tmp_path: Path) -> None:
    text = b"file,class,split\ngood/1.png,good,train\ngood/8.png,good,train\ngood/9.png,good,test\n"
    write_folder(tmp_path, {"good/1.png": b"x", "manifest.csv": text})
    with open_source(tmp_path) as source:
        assert [(n.source, n.notice) for n in source.notices] == [("good/8.png", "missing")]
    with open_source(tmp_path / "manifest.csv") as source:
        assert [n.source for n in source.notices] == ["good/8.png", "good/9.png"]


def test_class_folders_without_a_picture_are_noticed(tmp_path: Path) -> None:
    write_folder(tmp_path, {**FILES, "dust/readme.txt": b"none yet"})
    (tmp_path / "glass").mkdir()
    with open_source(tmp_path) as source:
        assert [(n.source, n.notice) for n in source.notices] == [("dust", "empty_class"), ("glass", "empty_class")]


def test_an_empty_class_below_a_split_folder_is_noticed(tmp_path: Path) -> None:
    write_folder(tmp_path, {"train/good/1.png": b"x"})
    (tmp_path / "train/stone").mkdir()
    with open_source(tmp_path) as source:
        assert [n.source for n in source.notices] == ["train/stone"]


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("good/1.tif", "unsupported"),
        ("good/notes.txt", "not_an_image"),
        ("1.png", "no_class"),
        ("bad name/1.png", "bad_class_name"),
        (".hidden/1.png", "bad_class_name"),
        (f"{'x' * 65}/1.png", "bad_class_name"),
    ],
)
def test_files_that_cannot_be_samples_come_out_with_the_reason(tmp_path: Path, name: str, outcome: str) -> None:
    write_folder(tmp_path, {name: b"x", "stone/1.png": b"y"})
    assert refused(tmp_path) == {name: outcome}


def test_a_file_that_the_manifest_lists_is_tried_whatever_its_name(tmp_path: Path) -> None:
    write_folder(tmp_path, {"good/1.picture": b"x", "manifest.csv": b"file,class\ngood/1.picture,good\n"})
    assert [image.source for image in images(tmp_path)] == ["good/1.picture"]


@pytest.mark.parametrize(
    ("name", "is_valid"),
    [
        *((name, True) for name in ("good", "full_black-2.b", "破碎", "ごみ", "돌", "x" * 64)),
        *((name, False) for name in ("", "x" * 65, "a b", "a/b", "..", "-x", "é", "a\n")),
    ],
)
def test_class_names(name: str, is_valid: bool) -> None:
    assert is_class_name(name) is is_valid


def test_links_in_a_folder_are_never_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    write_folder(secret, {"key.png": b"secret"})
    root = write_folder(tmp_path / "set", {"good/1.png": b"x"})
    (root / "good/2.png").symlink_to(secret / "key.png")
    (root / "linked").symlink_to(secret)
    assert refused(root) == {"good/2.png": "link", "linked": "link"}
    assert [image.data for image in images(root)] == [b"x"]


def test_a_manifest_reaches_nothing_outside_through_links(tmp_path: Path) -> None:
    write_folder(tmp_path / "secret", {"key.png": b"secret"})
    root = write_folder(tmp_path / "set", {"list.csv": b"file,class\nlinked/key.png,good\n"})
    (root / "linked").symlink_to(tmp_path / "secret")
    assert refused(root / "list.csv") == {"linked/key.png": "link"}


def test_links_and_outside_names_in_a_tar_are_never_followed(tmp_path: Path) -> None:
    path = tmp_path / "set.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("good/1.png", "/etc/good/2.png", "../good/3.png"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
        for name, kind in (("good/4.png", tarfile.SYMTYPE), ("good/5.png", tarfile.LNKTYPE), ("good/6.png", b"3")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "good/1.png"
            archive.addfile(info)
    assert refused(path) == {
        "/etc/good/2.png": "unsafe_path",
        "../good/3.png": "unsafe_path",
        "good/4.png": "link",
        "good/5.png": "link",
        "good/6.png": "link",
    }


def test_a_member_that_occurs_twice_comes_out_twice(tmp_path: Path) -> None:
    path = tmp_path / "set.tar"
    with tarfile.open(path, "w") as archive:
        for data in (b"old", b"new"):
            info = tarfile.TarInfo("good/1.png")
            info.size = 3
            archive.addfile(info, io.BytesIO(data))
    assert [image.data for image in images(path)] == [b"old", b"new"]


def test_a_torn_tar_is_an_error(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "set.tar", {"good/1.png": bytes(5000), "good/2.png": bytes(5000)})
    path.write_bytes(path.read_bytes()[:7000])
    with pytest.raises(ImportFailedError), open_source(path) as source:
        list(source)


@pytest.mark.parametrize("data", [b"", b"no tar", b"x" * 600])
def test_a_file_that_is_no_tar_is_an_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "set.tar"
    path.write_bytes(data)
    with pytest.raises(ImportFailedError, match="neither a folder nor a readable tar"), open_source(path):
        pass


def test_a_source_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImportFailedError, match="does not exist"), open_source(tmp_path / "none"):
        pass
    with pytest.raises(ImportFailedError, match="cannot read"), open_source(tmp_path / "none.csv"):
        pass


def test_a_file_that_vanishes_meanwhile_is_an_error(tmp_path: Path) -> None:
    write_folder(tmp_path, FILES)
    with open_source(tmp_path) as source:
        (tmp_path / "good/1.png").unlink()
        with pytest.raises(ImportFailedError, match="cannot read"):
            list(source)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column class"),
        ("file;class\n", "no column class"),
        ("file,klass\na.png,x\n", "no column class"),
        ("file,class\na.png,\n", "line 2: file and class must not be empty"),
        ("file,class\na.png,x\na.png,x\n", "line 3: a.png is listed twice"),
        ("file,class\n./a.png,x\na.png,x\n", "line 3: a.png is listed twice"),
        ("file,class\n../a.png,x\n", "line 2: '../a.png' leads outside"),
        ("file,class,split\na.png,x,holdout\n", "line 2: split 'holdout' is unknown"),
        ("file,class,sha256\na.png,x,12\n", "line 2: sha256 '12' is not 64"),
        ('file,class\n"a.png,x\n', "line 2: "),
    ],
)
def test_a_wrong_manifest_names_the_line(text: str, message: str) -> None:
    with pytest.raises(ImportFailedError) as error:
        parse_manifest(text, "manifest.csv")
    assert message in str(error.value)


def test_a_manifest_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes("file,class\né.png,x\n".encode("latin-1"))
    with pytest.raises(ImportFailedError, match="not UTF-8"), open_source(tmp_path / "list.csv"):
        pass


def test_leaking_groups_are_those_in_the_test_and_outside_it() -> None:
    groups: dict[str, list[str | None]] = {
        "a": ["train", "test"],
        "b": ["validation", "test"],
        "c": ["train", "validation"],
        "d": ["test", None],
    }
    rows = [ManifestRow(f"{group}{at}", "x", groups[group][at], group, None) for group in groups for at in (0, 1)]
    rows += [ManifestRow("e", "x", "train", None, None), ManifestRow("f", "x", "test", None, None)]
    assert groups_on_both_sides(rows) == {"a", "b"}


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_manifest_or_a_clear_error(text: str) -> None:
    try:
        rows = parse_manifest(text, "manifest.csv")
    except ImportFailedError as error:
        assert str(error).startswith("manifest.csv")
    else:
        assert all(row.file == name and row.class_name for name, row in rows.items())


@settings(deadline=None)
@given(st.text(alphabet="ab./\\:\0", max_size=12))
def test_safe_names_never_lead_outside(name: str) -> None:
    safe = safe_name(name)
    assert safe is None or not (safe.startswith("/") or ".." in safe.split("/") or "\\" in safe or not safe)


@settings(deadline=None)
@given(st.text(alphabet="ab./", max_size=12))
def test_safe_names_are_stable(name: str) -> None:
    safe = safe_name(name)
    assert safe is None or safe_name(safe) == safe


def test_members_of_a_container_are_sorted(tmp_path: Path) -> None:
    write_folder(tmp_path, {"b/1": b"", "a/2": b"", "a/10": b"", "c": b""})
    with open_container(tmp_path) as container:
        assert [member.name for member in container.members] == ["a/10", "a/2", "b/1", "c"]
