"""What the operating system refused, in terms of the exception tree."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deltastore.errors import (
    AccessDeniedError,
    DeltastoreError,
    InvalidError,
    NoSpaceError,
    NotFoundError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["as_deltastore_error", "os_errors"]

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_INVALID = frozenset({errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.ENOTDIR, errno.EISDIR})


def as_deltastore_error(error: OSError, what: str) -> DeltastoreError:
    """The error of our tree for `error`, which happened to the file or folder `what`."""
    code = error.errno
    reason = os.strerror(code).lower() if code is not None else str(error)
    message = f"{what}: {reason}"
    if code in _NO_SPACE:
        return NoSpaceError(message, hint="free some space (or raise the quota) and run it again")
    if code in _DENIED:
        return AccessDeniedError(message, hint="check the permissions of the file and its folder")
    if code == errno.ENOENT:
        return NotFoundError(message)
    if code in _INVALID:
        return InvalidError(message)
    return UnreachableError(message)


@contextmanager
def os_errors(what: str) -> Iterator[None]:
    """Turn an `OSError` of the block into the `DeltastoreError` it stands for, naming `what`.

    Raises:
        DeltastoreError: `no_space`, `access_denied`, `not_found`, `invalid` or `unreachable`.
    """
    try:
        yield
    except DeltastoreError:
        raise
    except OSError as error:
        raise as_deltastore_error(error, what) from error
