"""The files of a workspace as they are, beside those of versions; what a move would do to them."""

from __future__ import annotations

import glob
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deltastore.checkpoints.folder import selection_of
from deltastore.checkpoints.walking import walk
from deltastore.results import FileChange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from deltastore.checkpoints.remembered import RememberedHashes
    from deltastore.engine.threads import Workers
    from deltastore.history.manifests import Manifest, ManifestFile
    from deltastore.progress import Progress

__all__ = ["Plan", "WorkingFiles", "changes", "look", "plan_move", "tracked_globs"]

Verdict = Literal["same", "write", "keep", "lost"]


@dataclass(frozen=True, slots=True)
class _Content:
    """Size in bytes (-1: no regular file); SHA-256 where some version's file is as large."""

    size: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class WorkingFiles:
    """Files that take part in a workspace, by path."""

    found: Mapping[str, _Content]

    def has(self, path: str) -> bool:
        """Whether anything is there."""
        return path in self.found

    def matches(self, file: ManifestFile | None) -> bool:
        """Whether a version's file is there, byte for byte."""
        here = None if file is None else self.found.get(file.path)
        return here is not None and file is not None and here == _Content(file.size, file.sha256)


def look(
    root: Path,
    versions: Sequence[Manifest],
    hashes: RememberedHashes,
    workers: Workers,
    report: Progress,
) -> WorkingFiles:
    """Look at a workspace's files; only those as large as a version's file are read, on threads.

    Args:
        root: the workspace.
        versions: that the files will be compared with; their files take part even where the
            folder's rules would leave them out.
        hashes: remembered from earlier looks; saved.
        workers: to hash with.
        report: called with "status", bytes read and bytes in all.

    Raises:
        InvalidError: something no checkpoint can hold, such as a link that leads nowhere.
        AccessDeniedError: a file or folder may not be read.
    """
    sizes: dict[str, set[int]] = {}
    for version in versions:
        for file in version.files:
            sizes.setdefault(file.path, set()).add(file.size)
    places = walk(root, selection_of(root)).files
    places |= {path: root / path for path in sizes if os.path.lexists(root / path)}
    found = {path: _Content(_size(place)) for path, place in places.items()}
    wanted = [path for path, here in found.items() if here.size in sizes.get(path, ())]
    total, done = sum(found[path].size for path in wanted), 0
    digests = workers.map(lambda path: hashes.sha256(path, places[path]), wanted)
    for path, sha256 in zip(wanted, digests, strict=True):
        found[path] = _Content(found[path].size, sha256)
        done += found[path].size
        report("status", done, total)
    hashes.save(found)
    return WorkingFiles(found)


def _size(place: Path) -> int:
    try:
        status = place.stat()
    except OSError:  # a link that leads nowhere, say: no content that any version has
        return -1
    return status.st_size if stat.S_ISREG(status.st_mode) else -1


def tracked_globs(root: Path, version: Manifest) -> tuple[str, ...]:
    """Globs of a version's files that the folder's rules would leave out of a commit."""
    selection = selection_of(root)
    left_out = (file.path for file in version.files if not selection.keeps(file.path))
    return tuple(f"/{glob.escape(path)}" for path in left_out)


def changes(local: WorkingFiles, version: Manifest) -> tuple[FileChange, ...]:
    """Files that differ from a version's: `added`, `removed` or `changed`, sorted by path."""
    tracked = {file.path: file for file in version.files}
    found = [FileChange(path, "added") for path in local.found if path not in tracked]
    found += [
        FileChange(path, "changed" if local.has(path) else "removed")
        for path, file in tracked.items()
        if not local.matches(file)
    ]
    return tuple(sorted(found, key=lambda change: change.path))


@dataclass(frozen=True, slots=True)
class Plan:
    """What bringing a version's files means.

    Attributes:
        write: files to bring.
        remove: paths of files that the version lacks, and that hold nothing of anybody's own.
        keep: paths of files that were changed here and are the same in both versions.
        lost: paths of files whose changes would be overwritten.
    """

    write: tuple[ManifestFile, ...]
    remove: tuple[str, ...]
    keep: tuple[str, ...]
    lost: tuple[str, ...]


def plan_move(
    local: WorkingFiles,
    target: Manifest,
    *,
    head: Manifest | None,
    pending: Manifest | None,
    complete: bool = False,
) -> Plan:
    """What it takes to get from the files that are there to a version's; git's rules.

    Args:
        local: what is there.
        target: what is to be there.
        head: what was there last; None at first.
        pending: what an interrupted move was bringing.
        complete: bring also files that were removed here.
    """
    known = [_by_path(version) for version in (head, pending) if version is not None]
    mine = _by_path(head) if head is not None else {}
    verdicts = {
        file.path: _verdict(
            local,
            file,
            mine.get(file.path),
            clean=any(local.matches(version.get(file.path)) for version in known),
            bring=complete or pending is not None,
        )
        for file in target.files
    }
    leaving = sorted(path for path in set().union(*known) - verdicts.keys() if local.has(path))
    clean = [path for path in leaving if any(local.matches(v.get(path)) for v in known)]
    return Plan(
        write=tuple(file for file in target.files if verdicts[file.path] == "write"),
        remove=tuple(clean),
        keep=tuple(path for path, verdict in verdicts.items() if verdict == "keep"),
        lost=(
            *(path for path, verdict in verdicts.items() if verdict == "lost"),
            *(path for path in leaving if path not in clean),
        ),
    )


def _by_path(version: Manifest) -> dict[str, ManifestFile]:
    return {file.path: file for file in version.files}


def _verdict(
    local: WorkingFiles, file: ManifestFile, mine: ManifestFile | None, *, clean: bool, bring: bool
) -> Verdict:
    if local.matches(file):
        return "same"
    unmoved = mine is not None and mine.sha256 == file.sha256
    if not local.has(file.path):
        return "keep" if unmoved and not bring else "write"
    if clean:
        return "write"
    return "keep" if unmoved else "lost"
