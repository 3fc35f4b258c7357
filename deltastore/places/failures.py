"""What the operating system's errors mean to a caller: class, sentence, remedy."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deltastore.errors import (
    AccessDeniedError,
    IntegrityError,
    MissingObjectError,
    NoSpaceError,
    StorageError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    Failure: TypeAlias = StorageError | IntegrityError

__all__ = ["failure_of", "local_failures"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def failure_of(reason: OSError, where: str) -> Failure:
    """The error to raise for one of the operating system's or of fsspec's.

    Args:
        reason: what was raised; its number decides, then its class.
        where: the place, such as `/models.ds: log/HINT`.
    """
    text = reason.strerror or str(reason) or type(reason).__name__
    if reason.errno in _FULL:
        return NoSpaceError(
            f"{where}: no space: {text}",
            hint="free some space, or raise the quota or file size limit; nothing was recorded",
        )
    if isinstance(reason, PermissionError) or reason.errno in _DENIED:
        return AccessDeniedError(
            f"{where}: access denied: {text}", hint="check who owns it, and your credentials"
        )
    if isinstance(reason, FileNotFoundError) or reason.errno in _ABSENT:
        return MissingObjectError(f"{where}: there is no such object")
    return UnreachableError(f"{where}: {text}", hint="check the disk or the network, and try again")


@contextmanager
def local_failures(where: str) -> Iterator[None]:
    """Turn what the operating system raises inside into this package's errors."""
    try:
        yield
    except (StorageError, FileExistsError):
        raise
    except OSError as reason:
        raise failure_of(reason, where) from reason
