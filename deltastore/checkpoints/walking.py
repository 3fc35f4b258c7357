"""Walking a checkpoint folder: links are followed, loops and what is no file are refused."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from deltastore.checkpoints.access import kind_of
from deltastore.checkpoints.failures import os_errors
from deltastore.checkpoints.paths import MAX_FILES
from deltastore.errors import InvalidError, NotFoundError

if TYPE_CHECKING:
    from deltastore.checkpoints.patterns import Selection

__all__ = ["Found", "walk"]

_Identity: TypeAlias = tuple[int, int]


@dataclass(slots=True)
class Found:
    """What a walk met.

    Attributes:
        files: manifest path to the file's place, in no particular order.
        skipped: paths left out; a folder left out whole is one path and ends in `/`.
    """

    files: dict[str, Path] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Folder:
    place: Path
    prefix: str  # manifest path with a trailing slash, or empty for the root
    chain: tuple[_Identity, ...]  # the folders it is in, by device and inode, itself included


def walk(root: Path, selection: Selection) -> Found:
    """Find the files of a folder tree that `selection` keeps.

    Links are followed, also those that lead out of the tree (a Hugging Face cache snapshot is made
    of them): whoever commits a folder commits what it shows.

    Raises:
        InvalidError: a link leads nowhere or back to a folder it is in; a socket, pipe or device;
            more than 10^5 files or folders.
        AccessDeniedError: a folder may not be listed.
    """
    found = Found()
    with os_errors(str(root)):
        waiting = [_Folder(root, "", (_identity(root.stat()),))]
    visited = 0
    while waiting:
        visited += 1
        if max(visited, len(found.files)) > MAX_FILES:
            raise InvalidError(f"{root}: more than {MAX_FILES} files or folders")
        waiting += _visit(waiting.pop(), selection, found)
    return found


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino


def _visit(folder: _Folder, selection: Selection, found: Found) -> list[_Folder]:
    """Sort one folder's entries into `found`; returns the folders still to visit."""
    with os_errors(str(folder.place)), os.scandir(folder.place) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    below = []
    for entry in listed:
        path = folder.prefix + entry.name
        if _is_folder(entry):
            inner = f"{path}/"
            if selection.may_keep_below(inner):
                below.append(_enter(folder, Path(entry.path), inner))
            else:
                found.skipped.append(inner)
        elif selection.keeps(path):
            found.files[path] = _regular(entry)
        else:
            found.skipped.append(path)
    return below


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or into a folder that may not be searched
        return False


def _enter(parent: _Folder, place: Path, prefix: str) -> _Folder:
    with os_errors(str(place)):
        identity = _identity(place.stat())
    if identity in parent.chain:
        raise InvalidError(
            f"{place}: a link to a folder that it is in",
            hint=f"leave it out: --exclude {prefix}",
        )
    return _Folder(place, prefix, (*parent.chain, identity))


def _regular(entry: os.DirEntry[str]) -> Path:
    place = Path(entry.path)
    try:
        with os_errors(str(place)):
            status = entry.stat()
    except NotFoundError:
        raise InvalidError(
            f"{place}: a link that leads nowhere", hint="leave it out with --exclude"
        ) from None
    if not stat.S_ISREG(status.st_mode):
        raise InvalidError(
            f"{place}: {kind_of(status.st_mode)}, which no checkpoint can hold",
            hint="leave it out with --exclude",
        )
    return place
