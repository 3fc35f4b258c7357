"""Giving a small file new content at once: readers see the old or the new one, never a part."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from deltastore.checkpoints.failures import os_errors

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["replace_file"]


def replace_file(place: Path, data: bytes, *, durable: bool = True) -> None:
    """Make `data` the content of a file, whole or not at all.

    Args:
        place: the file; its folder exists.
        data: all of it.
        durable: whether a power cut may not undo it; False for what can be made again.

    Raises:
        AccessDeniedError: the folder may not be written.
        NoSpaceError: disk or quota is full.
    """
    staged = place.with_name(f".{place.name}.{secrets.token_hex(8)}")
    with os_errors(str(place)):
        try:
            with staged.open("xb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            staged.replace(place)
        finally:
            staged.unlink(missing_ok=True)
        if durable:
            _sync_folder(place.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
