"""Where a workspace stands, and which branch of which model a name in it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.errors import DirtyError, InvalidError, UsageError
from deltastore.history.refs import branch_ref, check_ref_name
from deltastore.history.resolving import Place
from deltastore.history.suggestions import no_such_name
from deltastore.ids import short
from deltastore.store.workspace_files import locate, no_workspace, read_record

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.history.state import LogState
    from deltastore.ids import CommitId
    from deltastore.store.workspace_files import WorkspaceRecord

__all__ = [
    "Target",
    "Terms",
    "branch_of",
    "head_of",
    "place_in",
    "refuse_pending",
    "target_of",
    "terms",
    "tip_of",
    "workspace_in",
]


@dataclass(frozen=True, slots=True)
class Target:
    """A branch of a model."""

    model: str
    branch: str

    @property
    def name(self) -> str:
        """`namespace/name@branch`."""
        return f"{self.model}@{self.branch}"


def target_of(to: str | None, record: WorkspaceRecord) -> Target:
    """The branch that a commit goes to.

    Args:
        to: `@branch` of the workspace's model, `namespace/name[@branch]`, or None for the branch
            it follows.
        record: of the workspace.

    Raises:
        InvalidError: a name that breaks the rules.
        UsageError: no branch is named or followed.
    """
    from deltastore.store.inputs import split_target

    if to is not None and not to.startswith("@"):
        return Target(*split_target(to))
    branch = (to or "@")[1:] or record.branch
    if branch is None:
        raise UsageError(
            f"this workspace of {record.model} stands on a tag or commit and follows no branch",
            hint="--to @NAME makes a branch that grows from HEAD",
        )
    return Target(record.model, check_ref_name(branch))


def branch_of(name: str, record: WorkspaceRecord) -> Target:
    """The branch of the workspace's model that `name`, `@name` or `namespace/name@name` means.

    Raises:
        UsageError: it is another model's.
        InvalidError: a name that breaks the rules.
    """
    target = target_of(name if "@" in name else f"@{name}", record)
    if target.model != record.model:
        raise UsageError(
            f"{target.name} is another model's, and this is a workspace of {record.model}",
            hint=f"deltastore clone {target.name} DIR",
        )
    return target


def tip_of(state: LogState, target: Target) -> CommitId:
    """Where a branch stands.

    Raises:
        NotFoundError: there is no such branch; the hint names what comes close.
        UsageError: it is a tag.
    """
    heads, tags = state.heads(target.model), state.tags(target.model)
    if target.branch in heads:
        return heads[target.branch]
    if target.branch in tags:
        raise UsageError(
            f"{target.name} is a tag, and a workspace follows branches",
            hint=f"deltastore branch @NAME @{target.branch} makes a branch there",
        )
    raise no_such_name(target.model, target.branch, heads, tags)


@dataclass(frozen=True, slots=True)
class Terms:
    """Where a branch must stand for a commit, and what a new one grows from, as revisions.

    Attributes:
        expect: a revision, or `none`; None for anywhere.
        parent: of a new branch.
        implied: the workspace says so, not the caller.
    """

    expect: str | None
    parent: str | None
    implied: bool = False


def terms(state: LogState, record: WorkspaceRecord, target: Target, asked: Terms) -> Terms:
    """The caller's terms, or those that a workspace implies for branches of its model.

    A branch must stand at HEAD; one that does not exist grows from HEAD, unless the workspace
    follows it: then it was deleted, which is for a person to see.
    """
    if asked.expect is not None:
        return asked
    tip = state.ref(branch_ref(target.model, target.branch))
    if tip is None and target.branch != record.branch:
        return Terms("none", asked.parent or record.head, implied=True)
    return Terms(record.head, asked.parent, implied=True)


def head_of(record: WorkspaceRecord, folder: Path) -> CommitId:
    """The commit that is checked out.

    Raises:
        InvalidError: the clone was interrupted before all files were there.
    """
    if record.head is None:
        branch = f"@{record.branch}" if record.branch else f"@{short(record.pending or '')}"
        raise InvalidError(
            f"{folder}: cloning was interrupted, and not all files are here",
            hint=f"run it again: deltastore clone {record.model}{branch} {folder}",
        )
    return record.head


def refuse_pending(record: WorkspaceRecord, folder: Path) -> None:
    """Refuse to take files of two versions for one.

    Raises:
        DirtyError: bringing another version's files was interrupted.
    """
    if record.pending is not None:
        raise DirtyError(
            f"{folder}: bringing the files of {short(record.pending)} was interrupted",
            hint="run the same deltastore switch again, or deltastore restore for those of HEAD",
        )


def workspace_in(here: Path, store_id: str, url: str) -> tuple[Path, WorkspaceRecord]:
    """The workspace of a store that a folder is in.

    Raises:
        UsageError: there is none, or it belongs to another store.
        InvalidError: its record is damaged.
    """
    folder = locate(here)
    if folder is None:
        raise no_workspace(here)
    record = read_record(folder)
    if record.store_id != store_id:
        raise UsageError(
            f"{folder} is a workspace of {record.store}, and {url} is another store",
            hint="leave out -s and unset DELTASTORE_STORE, or stand elsewhere",
        )
    return folder, record


def place_in(here: Path, store_id: str, url: str) -> Place:
    """What `HEAD` and `@REV` mean in a folder; raises as `workspace_in` and `head_of`."""
    folder, record = workspace_in(here, store_id, url)
    return Place(record.model, head_of(record, folder), record.branch)
