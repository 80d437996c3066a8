"""Files inside a folder or a tar, listed once in sorted order and read one by one.

Nothing is ever unpacked to disk, and links are never followed, so that no member can reach outside. Knows names and
bytes, nothing of classes or pictures.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     _ = (Path(folder) / "a.txt").write_bytes(b"hello")
...     with open_container(Path(folder)) as container:
...         [(member.name, container.read(member)) for member in container.members]
[('a.txt', b'hello')]
"""

import os
import re
import stat
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal, Protocol

from trainer.errors import ImportFailedError

__all__ = ["MAX_MEMBER_B", "Container", "Member", "Obstacle", "listed_files", "open_container", "safe_name"]

MAX_MEMBER_B: Final = 1 << 28  # 256 MiB: no picture within the decoder's limit is larger

_DRIVE: Final = re.compile(r"[A-Za-z]:")

Obstacle = Literal["", "link", "unsafe_path", "too_large"]


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a container.

    Attributes:
        name: path inside the container, "/" between parts.
        obstacle: why it must not be read: a link or device, a name that leads outside, or more than 256 MiB; "" if
            it may be read.
        position: where the container finds it again.
    """

    name: str
    obstacle: Obstacle
    position: int


class Container(Protocol):
    """A folder or tar of files.

    Attributes:
        members: all files and links, sorted by name; folders are not members.
        folders: names of all folders, also the empty ones, sorted.
    """

    members: Sequence[Member]
    folders: Sequence[str]

    def read(self, member: Member) -> bytes:
        """Return the bytes of a member that has no obstacle.

        Raises:
            ImportFailedError: it cannot be read any more.
        """
        ...


@contextmanager
def open_container(path: Path) -> Iterator[Container]:
    """Open a folder or a tar (plain, gz, bz2 or xz); a context manager.

    Raises:
        ImportFailedError: neither of them, damaged, or unreadable.

    Note:
        A compressed tar is read from its start whenever a member lies before the last one; plain tars are faster.
    """
    if path.is_dir():
        found = sorted(_walk(path), key=lambda entry: entry[0])
        files = [Member(name, _file_obstacle(status), 0) for name, status in found if not stat.S_ISDIR(status.st_mode)]
        yield _Folder(path, files, [name for name, status in found if stat.S_ISDIR(status.st_mode)])
        return
    if not path.is_file():
        raise ImportFailedError(f"{path} does not exist: give a folder of class folders, a tar of one, or a manifest")
    try:
        archive = tarfile.open(path, "r:*")  # noqa: SIM115 - closed below; the with statement would hide its errors
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ImportFailedError(f"{path} is neither a folder nor a readable tar: {error}") from error
    with archive:
        yield _Tar(path, archive)


def listed_files(root: Path, names: Iterable[str]) -> Container:
    """Return a container of those of the named files below `root` that exist; names as from `safe_name`.

    Raises:
        ImportFailedError: a file exists but cannot be looked at.
    """
    members = []
    for name in sorted(names):
        path = root / name
        try:
            obstacle = _file_obstacle(path.lstat())
            leads_outside = not path.resolve().is_relative_to(root.resolve())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ImportFailedError(f"cannot read {path}: {error.strerror or error}") from error
        members.append(Member(name, "link" if leads_outside else obstacle, 0))
    return _Folder(root, members, [])


def safe_name(name: str) -> str | None:
    r"""Return a relative path with "/" between its parts, None if it is absolute or leads outside.

    >>> safe_name("./train/rice/1.jpg"), safe_name("../x.jpg"), safe_name("C:\\x.jpg")
    ('train/rice/1.jpg', None, None)
    """
    if "\\" in name or "\0" in name or _DRIVE.match(name):
        return None
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return None
    return str(path)


class _Folder:
    """A folder; all members or chosen ones."""

    def __init__(self, root: Path, members: Sequence[Member], folders: Sequence[str]) -> None:
        self._root = root
        self.members = members
        self.folders = folders

    def read(self, member: Member) -> bytes:
        """Return a member's bytes.

        Raises:
            ImportFailedError: the file cannot be read.
        """
        path = self._root / member.name
        try:
            return path.read_bytes()
        except OSError as error:
            raise ImportFailedError(f"cannot read {path}: {error.strerror or error}") from error


def _walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    def refuse(error: OSError) -> None:
        """Stop at a folder that cannot be listed.

        Raises:
            ImportFailedError: always.
        """
        raise ImportFailedError(f"cannot list {error.filename}: {error.strerror}") from error

    for folder, folders, files in os.walk(root, onerror=refuse, followlinks=False):
        for name in (*folders, *files):
            path = Path(folder, name)
            try:
                yield path.relative_to(root).as_posix(), path.lstat()
            except OSError as error:
                raise ImportFailedError(f"cannot read {path}: {error.strerror or error}") from error


def _file_obstacle(status: os.stat_result) -> Obstacle:
    if not stat.S_ISREG(status.st_mode):
        return "link"
    return "too_large" if status.st_size > MAX_MEMBER_B else ""


class _Tar:
    """A tar; a member that occurs twice is listed twice."""

    def __init__(self, path: Path, archive: tarfile.TarFile) -> None:
        self._path = path
        self._archive = archive
        with self._translated():
            self._infos = archive.getmembers()
        found: list[Member] = []
        folders: set[str] = set()
        for position, info in enumerate(self._infos):
            name = safe_name(info.name)
            if info.isdir():
                folders |= {name} if name else set()
                continue
            found.append(Member(name or info.name, _tar_obstacle(info, name), position))
            folders |= {str(parent) for parent in PurePosixPath(name).parents[:-1]} if name else set()
        self.members: Sequence[Member] = sorted(found, key=lambda member: (member.name, member.position))
        self.folders: Sequence[str] = sorted(folders)

    def read(self, member: Member) -> bytes:
        """Return a member's bytes.

        Raises:
            ImportFailedError: the archive is damaged or ends too early.
        """
        with self._translated():
            file = self._archive.extractfile(self._infos[member.position])
            assert file is not None, "members without an obstacle are regular files"
            data = file.read()
        if len(data) != self._infos[member.position].size:
            raise ImportFailedError(f"{self._path} ends inside {member.name}: copy it again")
        return data

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (tarfile.TarError, OSError, EOFError) as error:
            raise ImportFailedError(f"cannot read {self._path}: {error}") from error


def _tar_obstacle(info: tarfile.TarInfo, name: str | None) -> Obstacle:
    if name is None:
        return "unsafe_path"
    if not info.isreg():
        return "link"
    return "too_large" if info.size > MAX_MEMBER_B else ""
