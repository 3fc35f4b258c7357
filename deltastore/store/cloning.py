"""Making a folder a workspace: the record first, then the files, then HEAD."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from deltastore.checkpoints.failures import os_errors
from deltastore.errors import ExistsError
from deltastore.results import CloneResult
from deltastore.store.workspace_files import (
    FOLDER,
    WorkspaceRecord,
    locked,
    read_record,
    record_file,
    write_record,
)
from deltastore.store.workspace_moves import bring

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.ids import CommitId
    from deltastore.materialize.session import Session
    from deltastore.progress import Progress

__all__ = ["clone"]


def clone(
    session: Session,
    folder: Path,
    commit: CommitId,
    wanted: WorkspaceRecord,
    *,
    report: Progress,
) -> CloneResult:
    """Make `folder` a workspace; killed at any moment, the same call finishes it.

    Args:
        session: of the store.
        folder: absolute; made if absent.
        commit: the version to bring.
        wanted: its record, without a HEAD yet.
        report: for progress.

    Raises:
        ExistsError: the folder has files, and is not this very workspace.
        DirtyError: it is this workspace, and changes in it would be overwritten.
        ConflictError: another process works in it.
    """
    begin = replace(wanted, pending=commit)
    _check_place(folder, begin)
    with os_errors(str(folder)):
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    with locked(folder):
        _check_place(folder, begin)
        if not record_file(folder).exists():
            write_record(folder, begin)
        record = read_record(folder)
        done = bring(session, folder, record, commit, begin.branch, report=report, complete=True)
    return CloneResult(
        commit=commit,
        files=len(done.version.files),
        bytes=done.version.size,
        fetched_bytes=done.fetched_bytes,
        requests=done.requests,
        fidelity="exact",
        verified=not done.plan.keep,
        kept=len(done.version.files) - len(done.plan.write),
        model=begin.model,
        branch=begin.branch,
        folder=str(folder),
    )


def _check_place(folder: Path, begin: WorkspaceRecord) -> None:
    """Whether the folder is absent, empty, or this very workspace."""
    if record_file(folder).exists():
        _check_same(folder, read_record(folder), begin)
        return
    with os_errors(str(folder)):
        names = set(os.listdir(folder)) if folder.exists() else set()
    if names - {FOLDER}:
        raise ExistsError(
            f"{folder} is not empty: {min(names - {FOLDER})} is there. Nothing was written",
            hint="name another folder; deltastore checkout REV DIR writes beside other files",
        )


def _check_same(folder: Path, found: WorkspaceRecord, begin: WorkspaceRecord) -> None:
    branch = f"@{found.branch}" if found.branch else ""
    same = (found.store_id, found.model, found.branch) == (
        (begin.store_id, begin.model, begin.branch)
    )
    detached = begin.branch is None and (found.head or found.pending) != begin.pending
    if not same or detached:
        raise ExistsError(
            f"{folder} is a workspace of {found.model}{branch} in {found.store}. Nothing was "
            "written",
            hint="name another folder, or deltastore switch BRANCH in that one",
        )
