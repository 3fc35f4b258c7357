"""Removing files from a folder, and folders that this leaves empty; no link is followed."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from deltastore.checkpoints.failures import os_errors
from deltastore.checkpoints.parents import opened_parent
from deltastore.errors import DeltastoreError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["remove_files"]


def remove_files(folder: Path, paths: Iterable[str]) -> None:
    """Remove files below a folder; a link goes, not its target.

    Args:
        folder: stays, even when nothing is left in it.
        paths: manifest paths.

    Raises:
        InvalidError: a path leads through a link.
        NotFoundError: there is no such file.
        AccessDeniedError: it may not be removed.
    """
    with os_errors(str(folder)):
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in paths:
            with opened_parent(root, path) as parent, os_errors(str(folder / path)):
                os.unlink(path.rpartition("/")[2], dir_fd=parent)
            _remove_empty_parents(root, path)
    finally:
        os.close(root)


def _remove_empty_parents(root: int, path: str) -> None:
    above = path.rpartition("/")[0]
    with suppress(OSError, DeltastoreError):  # not empty, or gone already
        while above:
            with opened_parent(root, above) as parent:
                os.rmdir(above.rpartition("/")[2], dir_fd=parent)
            above = above.rpartition("/")[0]
