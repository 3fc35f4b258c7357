"""Committing from a workspace: what it implies, and HEAD, which moves when all is recorded."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltastore.errors import ConflictError
from deltastore.ids import CommitId
from deltastore.store.working_files import tracked_globs
from deltastore.store.workspace_conflicts import Attempt, moved_error
from deltastore.store.workspace_files import FOLDER, write_record
from deltastore.store.workspace_moves import files_of
from deltastore.store.workspace_places import Terms, head_of, refuse_pending, target_of, terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from os import PathLike

    from deltastore.history.log import Log
    from deltastore.materialize.session import Session
    from deltastore.results import Commit
    from deltastore.store.facade import Store
    from deltastore.store.workspace_files import WorkspaceRecord

__all__ = ["Wanted", "commit"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller said.

    Attributes:
        source: another folder or file to commit; the workspace when None.
        message: what it is.
        to: branch, as `target_of` takes it.
        asked: where the branch must stand, and what a new one grows from.
        include: globs of files that are left out by default.
        actor: who commits.
    """

    source: str | PathLike[str] | None
    message: str
    to: str | None
    asked: Terms
    include: tuple[str, ...]
    actor: str


def commit(
    store: Store,
    session: Session,
    folder: Path,
    record: WorkspaceRecord,
    wanted: Wanted,
    options: Mapping[str, Any],
) -> Commit:
    """Commit a workspace, or from one; raises as `Workspace.commit`.

    Args:
        store: to commit to.
        session: of it.
        folder: the workspace; the caller holds its lock.
        record: as it stands.
        wanted: what the caller said.
        options: more for `Store.commit`.
    """
    head, target = head_of(record, folder), target_of(wanted.to, record)
    own = wanted.source is None or _absolute(wanted.source) == folder
    here = own or wanted.to is None or wanted.to.startswith("@")
    place, include = wanted.asked, wanted.include
    if own:
        refuse_pending(record, folder)
        session.log.refresh()
        include = (*include, *tracked_globs(folder, files_of(session, head)))
    ours = here and target.model == record.model
    if ours:
        place = terms(session.log.refresh(), record, target, place)
    follows = target.branch == record.branch
    attempt = Attempt(target, head, wanted.message, wanted.actor, follows)
    with _telling(session.log, attempt, place):
        done = store.commit(
            folder if own or wanted.source is None else wanted.source,
            to=target.name,
            message=wanted.message,
            expect=place.expect,
            parent=place.parent,
            include=include,
            **options,
        )
    if not own:
        return done
    if ours:
        write_record(folder, replace(record, branch=target.branch, head=CommitId(done.commit)))
    return replace(done, skipped_files=_told(done.skipped_files))


@contextmanager
def _telling(log: Log, attempt: Attempt, place: Terms) -> Iterator[None]:
    """Tell a conflict over what was implied by the story behind it."""
    try:
        yield
    except ConflictError:
        moved = moved_error(log, attempt) if place.implied else None
        if moved is None:
            raise
        raise moved from None


def _absolute(path: str | PathLike[str]) -> Path:
    return Path(os.path.abspath(Path(path).expanduser()))


def _told(skipped: tuple[str, ...]) -> tuple[str, ...]:
    """Paths left out, but for the workspace's own folder, which goes without saying."""
    return tuple(path for path in skipped if path != f"{FOLDER}/")
