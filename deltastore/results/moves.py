"""What moving refs and taking things back returns."""

from __future__ import annotations

from dataclasses import dataclass

from deltastore.results.html import InNotebooks
from deltastore.results.recording import Commit

__all__ = [
    "MovedRef",
    "ReflogEntry",
    "ReflogResult",
    "RemoveResult",
    "RenameResult",
    "RevertResult",
    "UndoResult",
]


@dataclass(frozen=True, slots=True, repr=False)
class MovedRef(InNotebooks):
    """A ref and its move.

    Attributes:
        ref: as people write it, `namespace/name@branch`.
        kind: `branch` or `tag`; `incoming` and `keep` are roots without a model.
        old: commit it stood at; None if it was made.
        new: commit it stands at; None if it was deleted.
    """

    ref: str
    kind: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True, repr=False)
class ReflogEntry(InNotebooks):
    """One move of one ref.

    Attributes:
        seq: the log entry, as `undo SEQ` takes it; one entry may move several refs.
        time: RFC 3339, UTC.
        actor: who.
        op: `commit`, `branch`, `tag`, `reset`, `rm`, `mv`, `revert`, `undo`, ...
        message: of the commit, or why.
        ref: as `MovedRef.ref`.
        kind: as `MovedRef.kind`.
        old: commit it stood at; None if it was made.
        new: commit it went to; None if it was deleted.
        origin: the ref that this one was before its model was renamed; else None.
    """

    seq: int
    time: str
    actor: str
    op: str
    message: str
    ref: str
    kind: str
    old: str | None
    new: str | None
    origin: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class ReflogResult(InNotebooks):
    """Moves, newest first; `truncated` when there are more."""

    entries: tuple[ReflogEntry, ...]
    truncated: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class UndoResult(InNotebooks):
    """What `undo` took back, or would.

    Attributes:
        seq: the log entry that is taken back.
        time: of that entry, RFC 3339, UTC.
        actor: who wrote it.
        op: what it did.
        message: its own.
        refs: what taking it back does to each ref.
        entry: the log entry that takes it back; None when nothing was written.
        dry_run: only shown.
        unchanged: it was taken back before; nothing was written.
    """

    seq: int
    time: str
    actor: str
    op: str
    message: str
    refs: tuple[MovedRef, ...]
    entry: int | None = None
    dry_run: bool = False
    unchanged: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class RemoveResult(InNotebooks):
    """What `rm` removed: models, their refs, and the log entry that did it."""

    models: tuple[str, ...]
    refs: tuple[MovedRef, ...]
    seq: int


@dataclass(frozen=True, slots=True, repr=False)
class RenameResult(InNotebooks):
    """What `mv` renamed.

    Attributes:
        model: as it is called now.
        origin: as it was called before.
        refs: under the new name.
        seq: the log entry that did it.
    """

    model: str
    origin: str
    refs: tuple[MovedRef, ...]
    seq: int


@dataclass(frozen=True, slots=True, repr=False)
class RevertResult(Commit):
    """What `revert` did: the new commit, as of `Commit`, and how it was made.

    Attributes:
        reverted: the commit whose change was taken back.
        exact: every tensor has the very bits of a version before; False when weights were
            subtracted and rounded.
        subtracted: names of the tensors that were.
    """

    reverted: str = ""
    exact: bool = True
    subtracted: tuple[str, ...] = ()
