"""Where a workspace stands: beside its branch, and file by file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastore.checkpoints.remembered import RememberedHashes
from deltastore.history.refs import branch_ref
from deltastore.results import Status
from deltastore.store.working_files import changes, look
from deltastore.store.workspace_files import hashes_file, read_record
from deltastore.store.workspace_moves import files_of
from deltastore.store.workspace_places import head_of

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.materialize.session import Session
    from deltastore.progress import Progress

__all__ = ["status"]


def status(session: Session, folder: Path, report: Progress) -> Status:
    """Compare a workspace with its branch, and its files with HEAD.

    Raises:
        InvalidError: its record is damaged, or the clone was interrupted.
    """
    record = read_record(folder)
    head, state = head_of(record, folder), session.log.refresh()
    tip = state.ref(branch_ref(record.model, record.branch)) if record.branch else None
    version = files_of(session, head)
    hashes = RememberedHashes(hashes_file(folder))
    local = look(folder, [version], hashes, session.workers, report)
    return Status(
        model=record.model,
        branch=record.branch,
        head=head,
        tip=tip,
        stale=record.branch is not None and tip != head,
        files=changes(local, version),
        folder=str(folder),
        store=record.store,
        pending=record.pending,
    )
