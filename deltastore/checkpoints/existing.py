"""Comparing what a folder already holds with what is to be written there."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from deltastore.checkpoints.access import LocalFile
from deltastore.checkpoints.failures import os_errors
from deltastore.checkpoints.parents import opened_parent
from deltastore.checkpoints.paths import check_paths
from deltastore.checkpoints.reading import FileReader
from deltastore.errors import ExistsError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ExistingFiles", "ExpectedFile", "compare_existing"]

_Verdict = Literal["same", "different", "absent"]


@dataclass(frozen=True, slots=True)
class ExpectedFile:
    """A file that is to be in a folder.

    Attributes:
        path: manifest path.
        size: bytes.
        sha256: hex; None when it is not known, and then whatever is there counts as different.
    """

    path: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class ExistingFiles:
    """What is there already, as manifest paths in the order asked for.

    Attributes:
        same: there, with the expected SHA-256: to be kept.
        different: there, with other bytes, or no file at all.
        absent: not there.
    """

    same: tuple[str, ...]
    different: tuple[str, ...]
    absent: tuple[str, ...]


def compare_existing(folder: Path, files: Iterable[ExpectedFile]) -> ExistingFiles:
    """Sort files into those that are there already, by size and then SHA-256, and the others.

    A link at the file's own name is read through; one at a folder below `folder` is refused.

    Raises:
        InvalidError: a path is invalid, or leads through a link.
        AccessDeniedError: a file of the right size may not be read.
    """
    files = tuple(files)
    check_paths(file.path for file in files)
    if not folder.exists():
        return ExistingFiles((), (), tuple(file.path for file in files))
    with os_errors(str(folder)):
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        verdicts = [(file.path, _compare(folder, root, file)) for file in files]
    finally:
        os.close(root)
    return ExistingFiles(
        _having("same", verdicts), _having("different", verdicts), _having("absent", verdicts)
    )


def _having(wanted: _Verdict, verdicts: Iterable[tuple[str, _Verdict]]) -> tuple[str, ...]:
    return tuple(path for path, verdict in verdicts if verdict == wanted)


def _compare(folder: Path, root: int, file: ExpectedFile) -> _Verdict:
    try:
        with opened_parent(root, file.path) as parent:
            return _compare_in(parent, folder / file.path, file)
    except NotFoundError:
        return "absent"
    except ExistsError:  # a file where a folder has to be
        return "different"


def _compare_in(parent: int, place: Path, file: ExpectedFile) -> _Verdict:
    name = place.name
    with os_errors(str(place)):
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    try:
        with os_errors(str(place)):
            status = os.stat(name, dir_fd=parent)
    except NotFoundError:  # a link that leads nowhere
        return "different"
    if not stat.S_ISREG(status.st_mode) or status.st_size != file.size or file.sha256 is None:
        return "different"
    with FileReader(LocalFile(Path(name), name=str(place), folder=parent)) as reader:
        return "same" if reader.sha256() == file.sha256 else "different"
