"""What the operating system refused, in terms of the exception tree."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deltastore.errors import (
    AccessDeniedError,
    DeltastoreError,
    ExistsError,
    InvalidError,
    NoSpaceError,
    NotFoundError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["as_deltastore_error", "os_errors"]

_TABLE: tuple[tuple[frozenset[int], type[DeltastoreError], str], ...] = (
    (
        frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG}),
        NoSpaceError,
        "free some space (or raise the quota) and run it again",
    ),
    (
        frozenset({errno.EACCES, errno.EPERM, errno.EROFS}),
        AccessDeniedError,
        "check the permissions of the file and its folder",
    ),
    (frozenset({errno.ENOENT}), NotFoundError, "check the spelling, and the folder you stand in"),
    (frozenset({errno.EEXIST}), ExistsError, ""),
    (
        frozenset({errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.ENOTDIR, errno.EISDIR}),
        InvalidError,
        "",
    ),
)


def as_deltastore_error(error: OSError, what: str) -> DeltastoreError:
    """The error of our tree for `error`, which happened to the file or folder `what`."""
    code = error.errno
    reason = os.strerror(code).lower() if code is not None else str(error)
    message = f"{what}: {reason}"
    kind, hint = next((row[1:] for row in _TABLE if code in row[0]), (UnreachableError, ""))
    return kind(message, hint=hint)


@contextmanager
def os_errors(what: str) -> Iterator[None]:
    """Turn an `OSError` of the block into the `DeltastoreError` it stands for, naming `what`.

    Raises:
        DeltastoreError: `no_space`, `access_denied`, `not_found`, `exists`, `invalid` or, for
            anything else, `unreachable`.
    """
    try:
        yield
    except DeltastoreError:
        raise
    except OSError as error:
        raise as_deltastore_error(error, what) from error
