"""A checkpoint on disk: one file, or a folder of safetensors files and whatever is beside them."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from deltastore.checkpoints.access import LocalFile, LocalOrigin
from deltastore.checkpoints.examining import assemble, examine, read_whole
from deltastore.checkpoints.failures import os_errors
from deltastore.checkpoints.paths import check_paths
from deltastore.checkpoints.patterns import IGNORE_FILE, LEFT_OUT, Selection, parse_ignore_file
from deltastore.checkpoints.walking import Found, walk
from deltastore.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deltastore.checkpoints.access import ReadableFile
    from deltastore.checkpoints.examining import CheckpointFile, CheckpointFolder

__all__ = ["ignoring", "look", "scan", "selection_of"]

MAX_IGNORE_BYTES = 2**20


def scan(
    path: Path, *, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> CheckpointFolder:
    """Look at a checkpoint: which files it has, and the headers of its safetensors files.

    Args:
        path: a file or a folder.
        include: globs that bring back what is left out by default or by `.deltastoreignore`.
        exclude: globs of more to leave out; stronger than `include`.

    Raises:
        NotFoundError: there is nothing at `path`.
        InvalidError: an invalid safetensors file, shard index or path; a link that leads nowhere or
            in a circle; a socket, pipe or device; no files; a file that changes while it is read.
        AccessDeniedError: something may not be read.
    """
    with os_errors(str(path)):
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    if is_folder:
        found = walk(path, selection_of(path, include, exclude))
    else:
        found = Found(files={path.name: path})
    twins = check_paths(found.files)
    looks = [look(name, found.files[name]) for name in sorted(found.files)]
    return assemble(str(path), looks, found.skipped, twins)


def selection_of(root: Path, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Selection:
    """Which files of a folder take part: the rules built in, its `.deltastoreignore`, and these.

    Raises:
        InvalidError: a damaged `.deltastoreignore`.
    """
    place = root / IGNORE_FILE
    with os_errors(str(place)):
        present = place.is_file()
    if not present:
        return Selection(tuple(include), tuple(exclude))
    with LocalFile(place) as file:
        return ignoring(file, include, exclude)


def ignoring(file: ReadableFile, include: Sequence[str], exclude: Sequence[str]) -> Selection:
    """What a `.deltastoreignore` and the globs of a call select.

    Raises:
        InvalidError: the file is no such file.
    """
    try:
        text = read_whole(file, MAX_IGNORE_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidError(f"{file.name}: not UTF-8 text") from None
    return Selection(tuple(include), tuple(exclude), (*LEFT_OUT, *parse_ignore_file(text)))


def look(path: str, place: Path) -> tuple[CheckpointFile, str]:
    """What `examine` says of a file on this machine.

    Raises:
        InvalidError: as `examine`, or it changed meanwhile.
    """
    with LocalFile(place) as file:
        found = examine(path, LocalOrigin(place, file.stamp), file)
        file.check_unchanged()
        return found
