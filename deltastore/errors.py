"""The one exception tree, shaped by what the catcher will do.

Every error has a stable machine-readable `kind` and, where there is one, a `hint` that says what to
do next. The command line maps kinds to exit codes; scripts may rely on both.
"""

from __future__ import annotations

from typing import ClassVar

from deltastore.credentials import redact

__all__ = [
    "AccessDeniedError",
    "AmbiguousError",
    "ConflictError",
    "CorruptError",
    "DeltastoreError",
    "DirtyError",
    "ExistsError",
    "IncompatibleError",
    "IntegrityError",
    "InvalidError",
    "MissingObjectError",
    "NewerFormatError",
    "NoSpaceError",
    "NotAStoreError",
    "NotFoundError",
    "OutcomeUnknownError",
    "StorageError",
    "UnreachableError",
    "UnsafeBackendError",
    "UnsupportedError",
    "UsageError",
]


class DeltastoreError(Exception):
    """Base of every error that deltastore raises on purpose; passwords in URLs are blotted out.

    Attributes:
        kind: stable code, one of the table in docs/reference/errors.md.
        exit_code: what the command line exits with.
        hint: the remedy, or an empty string.
    """

    kind: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(redact(message))
        self.hint = redact(hint)


class UsageError(DeltastoreError, ValueError):
    """The call itself is wrong: a missing or contradictory argument."""

    kind = "usage"
    exit_code = 2


class NotFoundError(DeltastoreError, LookupError):
    """A model, revision, path or tensor of that name does not exist."""

    kind = "not_found"
    exit_code = 3


class AmbiguousError(DeltastoreError, LookupError):
    """An abbreviation fits several things; the message names them."""

    kind = "ambiguous"
    exit_code = 3


class NotAStoreError(DeltastoreError):
    """The location holds no store."""

    kind = "not_a_store"
    exit_code = 3


class ConflictError(DeltastoreError):
    """Somebody else moved what this call expected to find unmoved; nothing was changed."""

    kind = "conflict"
    exit_code = 4


class ExistsError(DeltastoreError, FileExistsError):
    """The target holds something else already; nothing was written."""

    kind = "exists"
    exit_code = 4


class DirtyError(DeltastoreError):
    """Files of a workspace that were changed and are in no commit are in the way; all stayed."""

    kind = "dirty"
    exit_code = 4


class InvalidError(DeltastoreError, ValueError):
    """Input from outside (a checkpoint, a name, a setting) breaks its own format."""

    kind = "invalid"
    exit_code = 5


class IncompatibleError(DeltastoreError, ValueError):
    """Two valid things do not go together, such as a base of which no tensor matches."""

    kind = "incompatible"
    exit_code = 5


class UnsupportedError(DeltastoreError):
    """Valid, but not something this version can do."""

    kind = "unsupported"
    exit_code = 5


class NewerFormatError(DeltastoreError):
    """The store needs a newer deltastore; nothing was read beyond the flag that says so."""

    kind = "newer_format"
    exit_code = 5


class IntegrityError(DeltastoreError):
    """Stored data is not what its name or digest promises."""

    kind = "corrupt"
    exit_code = 6

    def __init__(
        self, message: str, *, hint: str = "deltastore fsck says what else is damaged"
    ) -> None:
        super().__init__(message, hint=hint)


class CorruptError(IntegrityError):
    """Stored bytes fail their checksum or break the format."""


class MissingObjectError(IntegrityError):
    """The store names an object that is not there."""

    kind = "missing_object"


class StorageError(DeltastoreError, OSError):
    """The backend failed; the store itself is as it was."""

    kind = "unreachable"
    exit_code = 7


class UnreachableError(StorageError):
    """The backend does not answer."""


class AccessDeniedError(StorageError):
    """The backend answers, and refuses."""

    kind = "access_denied"


class NoSpaceError(StorageError):
    """Disk, quota or bucket is full; nothing was recorded."""

    kind = "no_space"


class UnsafeBackendError(StorageError):
    """The backend cannot create atomically, so two writers could overwrite each other."""

    kind = "unsafe_backend"


class OutcomeUnknownError(StorageError):
    """The network went away while a log entry was being written; running again settles it first."""

    kind = "outcome_unknown"
