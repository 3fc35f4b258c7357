"""Bringing another version's files into a workspace: the record first, the files, then HEAD."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deltastore.checkpoints.remembered import RememberedHashes
from deltastore.checkpoints.removing import remove_files
from deltastore.errors import DirtyError
from deltastore.store.working_files import look, plan_move
from deltastore.store.workspace_files import hashes_file, write_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deltastore.history.manifests import Manifest, ManifestFile
    from deltastore.ids import CommitId
    from deltastore.materialize.session import Session
    from deltastore.progress import Progress
    from deltastore.store.working_files import Plan
    from deltastore.store.workspace_files import WorkspaceRecord

__all__ = ["Brought", "bring", "files_of", "spent_since", "write_files"]

NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Brought:
    """What a move did.

    Attributes:
        version: the files that are to be there.
        plan: what was done to them.
        fetched_bytes: read from the store.
        requests: to an object store; None on disk.
    """

    version: Manifest
    plan: Plan
    fetched_bytes: int
    requests: int | None


def files_of(session: Session, commit: CommitId) -> Manifest:
    """A version's files; no weights are read."""
    return session.history.manifest(commit, session.history.header(commit).manifest)


def spent_since(session: Session, before: tuple[int, int | None]) -> tuple[int, int | None]:
    """Bytes read from the store, and requests, since these were the counts."""
    read, requests = session.backend.traffic.bytes_read, session.backend.traffic.requests
    spent = None if requests is None or before[1] is None else requests - before[1]
    return read - before[0], spent


def bring(
    session: Session,
    folder: Path,
    record: WorkspaceRecord,
    commit: CommitId,
    branch: str | None,
    *,
    report: Progress,
    complete: bool = False,
) -> Brought:
    """Make a workspace's files those of another version; HEAD moves when all are there.

    Killed at any moment, the same call finishes it: the record says which versions the files that
    are there may come from.

    Args:
        session: of the store.
        folder: the workspace; the caller holds its lock.
        record: as it stands.
        commit: the version to bring; HEAD in the end.
        branch: that the workspace follows then.
        report: for progress.
        complete: bring also files that were removed here.

    Raises:
        DirtyError: changes of somebody's own are in the way; nothing was changed.
        CorruptError: what was rebuilt is not what was committed.
    """
    before = session.backend.traffic.bytes_read, session.backend.traffic.requests
    version = files_of(session, commit)
    head, pending = (
        None if known is None else files_of(session, known)
        for known in (record.head, record.pending)
    )
    versions = [known for known in (version, head, pending) if known is not None]
    hashes = RememberedHashes(hashes_file(folder))
    local = look(folder, versions, hashes, session.workers, report)
    plan = plan_move(local, version, head=head, pending=pending, complete=complete)
    if plan.lost:
        raise _dirty(folder, plan.lost)
    if plan.write or plan.remove:
        write_record(folder, replace(record, pending=commit))
        remove_files(folder, plan.remove)
        write_files(session, folder, commit, plan.write, report)
    write_record(folder, replace(record, branch=branch, head=commit, pending=None))
    return Brought(version, plan, *spent_since(session, before))


def write_files(
    session: Session,
    folder: Path,
    commit: CommitId,
    files: Sequence[ManifestFile],
    report: Progress,
) -> None:
    """Write some files of a version, over what is there.

    Raises:
        CorruptError: what was rebuilt is not what was committed.
    """
    from deltastore.checkpoints.destinations import LocalDestination
    from deltastore.materialize.files import check_out

    if files:
        version = session.version(commit)
        check_out(
            version,
            files,
            LocalDestination(folder),
            session.reader(version),
            overwrite=True,
            report=report,
        )


def _dirty(folder: Path, paths: Sequence[str]) -> DirtyError:
    more = f" and {len(paths) - NAMES_SHOWN} more" if len(paths) > NAMES_SHOWN else ""
    return DirtyError(
        f"changes in {folder} would be lost: {', '.join(paths[:NAMES_SHOWN])}{more}. "
        "Nothing was changed",
        hint="deltastore commit -m MESSAGE keeps them, deltastore restore PATH drops them;\n"
        "a file that no version here has can be moved away",
    )
