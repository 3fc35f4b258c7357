"""What commands in a workspace return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deltastore.results.html import InNotebooks

if TYPE_CHECKING:
    from deltastore.results.changes import FileChange

__all__ = ["CloneResult", "RestoreResult", "Status", "SwitchResult"]


@dataclass(frozen=True, slots=True, repr=False)
class Status(InNotebooks):
    """Where a workspace stands, and which of its files are not as they were committed.

    Attributes:
        model: `namespace/name`.
        branch: it follows; None where it stands on a tag or commit.
        head: id of the commit its files come from.
        tip: where the branch stands by now; None without a branch, or when that was deleted.
        stale: the branch is not at `head` any more.
        files: those that differ from `head`: `added`, `removed` or `changed`.
        folder: the workspace, absolute.
        store: its URL or absolute path.
        pending: a commit whose files an interrupted command has brought in part, or None.
    """

    model: str
    branch: str | None
    head: str
    tip: str | None
    stale: bool
    files: tuple[FileChange, ...]
    folder: str = ""
    store: str = ""
    pending: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class CloneResult(InNotebooks):
    """What `clone` did; the fields of `CheckoutResult`, and `folder`, absolute."""

    commit: str
    files: int
    bytes: int
    fetched_bytes: int
    requests: int | None
    fidelity: Literal["exact"]
    verified: bool
    kept: int
    model: str
    branch: str | None
    folder: str


@dataclass(frozen=True, slots=True, repr=False)
class SwitchResult(InNotebooks):
    """What `switch` did.

    Attributes:
        model: `namespace/name`.
        branch: the workspace follows now.
        previous: the one before, or None.
        commit: id of the new head.
        old: id of the head before.
        written: paths of files written.
        removed: paths of files removed.
        kept: paths of files that were changed here and stayed so.
        fetched_bytes: read from the store.
        requests: to an object store; None on disk.
        created: the branch was made.
    """

    model: str
    branch: str
    previous: str | None
    commit: str
    old: str
    written: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    fetched_bytes: int
    requests: int | None
    created: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class RestoreResult(InNotebooks):
    """What `restore` did.

    Attributes:
        commit: id of the version that files were brought back from.
        files: paths of files written.
        same: files that were as they are in that version.
        bytes: written.
        fetched_bytes: read from the store.
        requests: to an object store; None on disk.
    """

    commit: str
    files: tuple[str, ...]
    same: int
    bytes: int
    fetched_bytes: int
    requests: int | None
