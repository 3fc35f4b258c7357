"""A new commit that takes one commit's change back.

Of the tip: its parent's version again, bit for bit, without reading a weight. Of an older commit:
its change is subtracted from what has become of it since.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deltastore.errors import (
    ConflictError,
    IncompatibleError,
    NotFoundError,
    OutcomeUnknownError,
)
from deltastore.history.ancestry import is_ancestor
from deltastore.history.refs import branch_ref
from deltastore.ids import short
from deltastore.ingest.committing import commit, recommit
from deltastore.ingest.planned_source import PlannedSource
from deltastore.ingest.requests import Committed
from deltastore.ingest.revert_plans import Sides, plan_revert, whole_version
from deltastore.ingest.written import WrittenBlob, WrittenVersion

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deltastore.history.commits import CommitHeader
    from deltastore.ids import CommitId
    from deltastore.ingest.requests import Request
    from deltastore.materialize.session import Session
    from deltastore.materialize.versions import Version

__all__ = ["REVERTS", "Reverted", "revert", "revert_message"]

REVERTS = "reverts"
"""Metadata of a commit that takes another one's change back: its id."""


@dataclass(frozen=True, slots=True)
class Reverted:
    """What became of a request to revert.

    Attributes:
        done: as of a commit.
        source: the files of the new version.
        subtracted: names of tensors that were computed.
    """

    done: Committed
    source: PlannedSource
    subtracted: tuple[str, ...]


def revert_message(header: CommitHeader, commit_: CommitId) -> str:
    """What git would say."""
    subject = header.message.partition("\n")[0]
    return f'Revert "{subject}"\n\nThis reverts commit {commit_}.'


def revert(
    session: Session,
    request: Request,
    target: CommitId,
    spool_folder: Path,
    *,
    report: Callable[[int], Callable[[int], None]],
) -> Reverted:
    """Record a commit without the change of `target`.

    Args:
        session: of the store.
        request: where to and what to say; base, density and expectation are decided here.
        target: the commit, which the branch must have.
        spool_folder: for packs.
        report: called with the bytes of all files; gives what is called with those of each
            finished piece.

    Raises:
        ConflictError: files that it changed were changed since, or the branch moved meanwhile.
        IncompatibleError: the same of tensors that cannot be subtracted, or it is not in the
            branch's history.
        NotFoundError: no such branch, or the commit has no parent to go back to.
        OutcomeUnknownError: the backend stopped answering; the hint says how to look.
    """
    tip = _tip(session, request)
    sides = _sides(session, request, tip, target)
    asked = replace(request, expect=tip, op="revert", metadata={REVERTS: target})
    plan = whole_version(sides.parent) if tip == target else plan_revert(sides)
    source = PlannedSource(session, plan, sides)
    try:
        if tip == target:
            done = _restore(session, asked, sides.parent, spool_folder)
        elif sides.tip.header.metadata.get(REVERTS) == target:
            done = Committed(tip, sides.tip.header, None, sides.tip.manifest.size)
        else:
            asked = replace(asked, reuse=(sides.parent.commit,))
            size = sum(file.file.size for file in plan.files)
            done = commit(session, asked, source, spool_folder, report=report(size))
    except OutcomeUnknownError as reason:
        hint = f"deltastore revert {short(target)} --to {_name(request)} looks first"
        raise OutcomeUnknownError(str(reason), hint=hint) from reason
    except ConflictError as reason:
        raise _moved(session, request, tip) or reason from reason
    return Reverted(done, source, plan.subtracted if done.written else ())


def _tip(session: Session, request: Request) -> CommitId:
    tip = session.log.refresh().ref(branch_ref(request.model, request.branch))
    if tip is None:
        raise NotFoundError(
            f"{_name(request)}: no such branch", hint="--to NS/NAME@BRANCH names one that exists"
        )
    return tip


def _sides(session: Session, request: Request, tip: CommitId, target: CommitId) -> Sides:
    history = session.history
    if not is_ancestor(target, tip, history.header):
        raise IncompatibleError(
            f"{short(target)} is not in the history of {_name(request)}: there is nothing to take "
            "back",
            hint="--to NS/NAME@BRANCH names the branch that has it",
        )
    parents = history.header(target).parents
    if not parents:
        raise NotFoundError(
            f"{short(target)} has no parent to go back to",
            hint="deltastore undo takes the commit itself back, rm removes the model",
        )
    return Sides(session.version(tip), session.version(target), session.version(parents[0]))


def _restore(session: Session, request: Request, parent: Version, folder: Path) -> Committed:
    """The tip's parent once more: its manifests, its base, its measurements."""
    header = parent.header
    asked = replace(request, base=header.base, inherit=False, metrics=header.metrics)
    return recommit(session, asked, lambda: stored_version(session.version(parent.commit)), folder)


def stored_version(version: Version) -> WrittenVersion:
    """A version that is in the store, as if it had just been written without a new byte."""
    manifests = [version.manifest, *([version.preview] if version.preview else [])]
    digests = tuple(dict.fromkeys(each for one in manifests for each in one.digests()))
    preview = version.header.preview
    return WrittenVersion(
        packs=(),
        manifest=version.manifest,
        preview=version.preview,
        preview_error=float(preview.error) if preview else None,
        placements=tuple(
            placement for kept in version.closure.needed(digests) for placement in kept.placements
        ),
        reused=digests,
        unchanged=sum(len(file.tensors) for file in version.manifest.files),
        delta=0,
        dense=0,
        dense_names=(),
        too_deep=0,
        blobs=tuple(
            WrittenBlob(file.path, file.size, 0) for file in version.manifest.files if file.blob
        ),
    )


def _moved(session: Session, request: Request, tip: CommitId) -> ConflictError | None:
    """A better word for a conflict when somebody else was faster; None when it is another one."""
    now = session.log.refresh().ref(branch_ref(request.model, request.branch))
    if now == tip:
        return None
    at = f"is at {short(now)}" if now else "was deleted"
    return ConflictError(
        f"{_name(request)} moved meanwhile: it was at {short(tip)} and {at}; nothing was recorded",
        hint="run the same command again to take the change out of what is there now",
    )


def _name(request: Request) -> str:
    return f"{request.model}@{request.branch}"
