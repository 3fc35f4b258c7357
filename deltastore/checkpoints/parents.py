"""Entering folders below a target one at a time, so that no link below it is ever followed."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deltastore.checkpoints.failures import os_errors
from deltastore.errors import ExistsError, InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["make_parents", "opened_parent"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def make_parents(root: int, path: str, made: list[str]) -> None:
    """Make the folders that `path` is in, below the folder open as `root`.

    Args:
        root: descriptor of a folder.
        path: manifest path of a file.
        made: gets the folders that were not there, outermost first.

    Raises:
        InvalidError: one of them is a link.
        ExistsError: one of them is there and no folder.
    """
    parts = path.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        folder = "/".join(parts[:count])
        with opened_parent(root, folder) as parent, os_errors(folder):
            if _make(parent, parts[count - 1]):
                made.append(folder)


def _make(parent: int, name: str) -> bool:
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        return False
    return True


@contextmanager
def opened_parent(root: int, path: str) -> Iterator[int]:
    """A descriptor of the folder that holds `path`, reached from `root` without following links.

    Raises:
        InvalidError: a folder on the way is a link.
        ExistsError: something on the way is no folder.
        NotFoundError: a folder on the way is not there.
    """
    parts = path.split("/")[:-1]
    with os_errors(path):
        current = os.dup(root)
    try:
        for part in parts:
            below = _enter(current, part, path)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def _enter(parent: int, part: str, path: str) -> int:
    with os_errors(path):
        try:
            return os.open(part, _FOLDER, dir_fd=parent)
        except OSError as error:
            blocked = _blocked(parent, part, path)
            raise (blocked or error) from None


def _blocked(parent: int, part: str, path: str) -> InvalidError | ExistsError | None:
    try:
        mode = os.stat(part, dir_fd=parent, follow_symlinks=False).st_mode
    except OSError:
        return None
    if stat.S_ISLNK(mode):
        return InvalidError(
            f"{path}: {part!r} on its way is a link, which could lead anywhere",
            hint="remove the link, or write into another folder",
        )
    if not stat.S_ISDIR(mode):
        return ExistsError(
            f"{path}: {part!r} on its way is there and no folder",
            hint="move it away, or write into another folder",
        )
    return None
