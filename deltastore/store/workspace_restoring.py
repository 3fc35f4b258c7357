"""Bringing single files of a version back into a workspace, over what is there."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deltastore.checkpoints.patterns import matches
from deltastore.checkpoints.remembered import RememberedHashes
from deltastore.checkpoints.removing import remove_files
from deltastore.errors import NotFoundError, UsageError
from deltastore.history.manifests import Manifest
from deltastore.results import RestoreResult
from deltastore.store.working_files import look, plan_move
from deltastore.store.workspace_files import hashes_file, write_record
from deltastore.store.workspace_moves import files_of, spent_since, write_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from deltastore.history.manifests import ManifestFile
    from deltastore.ids import CommitId
    from deltastore.materialize.session import Session
    from deltastore.progress import Progress
    from deltastore.store.workspace_files import WorkspaceRecord

__all__ = ["restore"]

NAMES_SHOWN = 5


def restore(
    session: Session,
    folder: Path,
    record: WorkspaceRecord,
    commit: CommitId,
    paths: Sequence[str | PathLike[str]],
    report: Progress,
) -> RestoreResult:
    """Write files of a version that are not there as they should be.

    Everything of HEAD, after a move that was interrupted, ends that move: what it had brought goes.

    Args:
        session: of the store.
        folder: the workspace; the caller holds its lock.
        record: as it stands.
        commit: to take files from.
        paths: files, folders or globs; all files when empty.
        report: for progress.

    Raises:
        NotFoundError: no file of the version fits a path.
        UsageError: a path is outside of the workspace.
    """
    before = session.backend.traffic.bytes_read, session.backend.traffic.requests
    version = files_of(session, commit)
    wanted = _selected(version, folder, paths)
    ends = record.pending if not paths and commit == record.head else None
    pending = None if ends is None else files_of(session, ends)
    versions = [Manifest(wanted), *([pending] if pending else [])]
    hashes = RememberedHashes(hashes_file(folder))
    local = look(folder, versions, hashes, session.workers, report)
    files = [file for file in wanted if not local.matches(file)]
    if pending is not None:
        remove_files(folder, plan_move(local, version, head=None, pending=pending).remove)
    write_files(session, folder, commit, files, report)
    if pending is not None:
        write_record(folder, replace(record, pending=None))
    fetched, requests = spent_since(session, before)
    return RestoreResult(
        commit=commit,
        files=tuple(file.path for file in files),
        same=len(wanted) - len(files),
        bytes=sum(file.size for file in files),
        fetched_bytes=fetched,
        requests=requests,
    )


def _selected(
    version: Manifest, folder: Path, paths: Sequence[str | PathLike[str]]
) -> tuple[ManifestFile, ...]:
    if not paths:
        return version.files
    chosen: dict[str, ManifestFile] = {}
    for path in paths:
        found = _fitting(version, _inside(folder, path))
        if not found:
            names = ", ".join(file.path for file in version.files[:NAMES_SHOWN])
            raise NotFoundError(
                f"{os.fspath(path)}: no file of this version fits", hint=f"it has: {names}"
            )
        chosen |= {file.path: file for file in found}
    return tuple(chosen[path] for path in sorted(chosen))


def _fitting(version: Manifest, path: str) -> tuple[ManifestFile, ...]:
    """The file of that name, those in the folder of that name, or those that a glob fits."""
    if path == ".":
        return version.files
    exact = tuple(
        file for file in version.files if file.path == path or file.path.startswith(f"{path}/")
    )
    return exact or tuple(file for file in version.files if matches(f"/{path}", file.path))


def _inside(folder: Path, path: str | PathLike[str]) -> str:
    """A path, relative to where one stands, as one below the workspace."""
    place = Path(os.path.abspath(path))
    try:
        return place.relative_to(folder).as_posix()
    except ValueError:
        raise UsageError(f"{os.fspath(path)} is outside of the workspace {folder}") from None
