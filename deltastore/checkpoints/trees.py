"""Trees that may hold many checkpoints: listed whole, each checkpoint looked at on its own."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from deltastore.checkpoints.access import LocalFile, kind_of
from deltastore.checkpoints.examining import CheckpointFolder, assemble
from deltastore.checkpoints.failures import os_errors
from deltastore.checkpoints.folder import ignoring, look
from deltastore.checkpoints.paths import check_paths
from deltastore.checkpoints.patterns import IGNORE_FILE, Selection
from deltastore.checkpoints.url_folder import examine_listed, scan_listed, select
from deltastore.errors import InvalidError
from deltastore.places.place import Listed, Listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deltastore.checkpoints.finding import FoundCheckpoint
    from deltastore.places.place import Place

__all__ = ["LocalTree", "Tree", "UrlTree"]

_Identity: TypeAlias = tuple[int, int]

_BROKEN = -1
"""The size of what is no file that can be read."""


class Tree(Protocol):
    """A folder or file that is searched for checkpoints."""

    @property
    def url(self) -> str:
        """Where it is, without credentials; a local path is absolute."""
        ...

    def list(self) -> Listing:
        """All files; what cannot be read is listed too, so that its checkpoint fails alone."""
        ...

    def scan(
        self, found: FoundCheckpoint, *, include: Sequence[str], exclude: Sequence[str]
    ) -> CheckpointFolder:
        """Look at one checkpoint of the listing; raises as `scan_url`."""
        ...


class UrlTree:
    """A tree at a URL; see `Tree`."""

    def __init__(self, place: Place) -> None:
        self._place = place

    @property
    def url(self) -> str:
        """See `Tree`."""
        return self._place.url

    def list(self) -> Listing:
        """See `Tree`; raises as `Place.list`."""
        return self._place.list()

    def scan(
        self, found: FoundCheckpoint, *, include: Sequence[str], exclude: Sequence[str]
    ) -> CheckpointFolder:
        """See `Tree`."""
        where = found.url(self.url)
        if found.single:
            return examine_listed(self._place, found.files, where)
        return scan_listed(self._place, found.files, where, include=include, exclude=exclude)


class LocalTree:
    """A tree on this machine; see `Tree`. Links are followed; those in a circle are left."""

    def __init__(self, path: Path) -> None:
        self._path = Path(os.path.abspath(path))

    @property
    def url(self) -> str:
        """See `Tree`."""
        return str(self._path)

    def list(self) -> Listing:
        """See `Tree`.

        Raises:
            NotFoundError: there is nothing.
            AccessDeniedError: it may not be looked at.
        """
        with os_errors(str(self._path)):
            status = self._path.stat()
        if not stat.S_ISDIR(status.st_mode):
            return Listing((_listed(self._path.name, str(self._path)),), single=True)
        with os_errors(str(self._path)), os.scandir(self._path):
            pass  # a folder below that may not be read is left out; this one is what was asked for
        files = _files(str(self._path), "", ((status.st_dev, status.st_ino),))
        return Listing(tuple(sorted(files, key=lambda file: file.path)), single=False)

    def scan(
        self, found: FoundCheckpoint, *, include: Sequence[str], exclude: Sequence[str]
    ) -> CheckpointFolder:
        """See `Tree`."""
        where = found.url(self.url)
        selection = Selection(tuple(include), tuple(exclude))
        ignore = next((file for file in found.files if file.path == IGNORE_FILE), None)
        if ignore is not None:
            with LocalFile(Path(ignore.key)) as file:
                selection = ignoring(file, include, exclude)
        kept = select(found.files, selection)
        broken = next((file for file in kept.files if file.size == _BROKEN), None)
        if broken is not None:
            raise InvalidError(f"{broken.key}: {broken.version}", hint="leave it out: --exclude")
        twins = check_paths(file.path for file in kept.files)
        looks = [look(file.path, Path(file.key)) for file in kept.files]
        return assemble(where, looks, tuple(kept.skipped), twins)


def _files(folder: str, prefix: str, chain: tuple[_Identity, ...]) -> Iterator[Listed]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as reason:
        yield Listed(f"{prefix}?", folder, _BROKEN, f"a folder that cannot be read: {reason}")
        return
    for entry in entries:
        path = prefix + entry.name
        identity = _folder_identity(entry)
        if identity is None:
            yield _listed(path, entry.path)
        elif identity not in chain:
            yield from _files(entry.path, f"{path}/", (*chain, identity))


def _folder_identity(entry: os.DirEntry[str]) -> _Identity | None:
    """Device and inode of a folder, links followed; None of anything else."""
    try:
        status = entry.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None


def _listed(path: str, key: str) -> Listed:
    try:
        status = os.stat(key)
    except OSError:
        return Listed(path, key, _BROKEN, "a link that leads nowhere, or may not be followed")
    if not stat.S_ISREG(status.st_mode):
        return Listed(path, key, _BROKEN, f"{kind_of(status.st_mode)}, not a file")
    version = f"mtime_ns:{status.st_mtime_ns}"
    return Listed(path, key, status.st_size, version, status.st_mtime)
