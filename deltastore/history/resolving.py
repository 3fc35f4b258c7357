"""From a revision to a commit: branches and tags first, then prefixes, then steps."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeAlias

from deltastore.errors import AmbiguousError, InvalidError, NotFoundError, UsageError
from deltastore.history.refs import branch_ref
from deltastore.history.revisions import MIN_PREFIX, Revision, Step, parse_revision
from deltastore.history.suggestions import no_such_model, no_such_name
from deltastore.ids import short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deltastore.history.ancestry import HeaderSource
    from deltastore.history.state import LogState
    from deltastore.ids import CommitId

__all__ = ["Moved", "Place", "ReflogSource", "Resolved", "resolve"]

_PREFIX = re.compile(rf"[0-9a-f]{{{MIN_PREFIX},64}}")
MOST_CANDIDATES = 10


class Moved(Protocol):
    """One move of a ref, as a reflog tells it."""

    @property
    def old(self) -> CommitId | None:
        """Where the ref stood before; None if it was made."""
        ...


ReflogSource: TypeAlias = "Callable[[str], Iterator[Moved]]"
"""Moves of a ref by its full name, newest first."""


@dataclass(frozen=True, slots=True)
class Place:
    """The workspace one stands in.

    Attributes:
        model: it was cloned from.
        head: the commit that is checked out.
        branch: it follows, or None.
    """

    model: str
    head: CommitId
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a revision turned out to be.

    Attributes:
        commit: its id.
        model: `namespace/name`; None for a commit id alone.
        branch: if the revision is a branch without any step.
        tag: if the revision is a tag without any step.
        warnings: what a person should be told.
    """

    commit: CommitId
    model: str | None
    branch: str | None = None
    tag: str | None = None
    warnings: tuple[str, ...] = ()


def resolve(
    revision: Revision | str,
    state: LogState,
    header: HeaderSource,
    reflog: ReflogSource,
    *,
    place: Place | None = None,
) -> Resolved:
    """Look a revision up.

    Args:
        revision: taken apart or as typed.
        state: of the log.
        header: reads commit headers, for `~` and `^`.
        reflog: reads moves of a branch, for `@{N}`.
        place: the workspace, for revisions that do not name a model.

    Raises:
        NotFoundError: there is no such model, branch, tag, commit or ancestor; the hint names what
            comes close.
        AmbiguousError: a prefix fits several commits; the message names them.
        InvalidError: it cannot be taken apart, or `@{N}` of something that is no branch.
        UsageError: it needs a workspace and there is none.
    """
    parsed = parse_revision(revision) if isinstance(revision, str) else revision
    start = _start(parsed, state, place)
    if not parsed.steps:
        return start
    walker = _Walker(parsed, state, header, reflog)
    return replace(walker.walk(start), branch=None, tag=None)


def _start(revision: Revision, state: LogState, place: Place | None) -> Resolved:
    if revision.scope == "commit":
        commit, warnings = _by_prefix(revision, state)
        return Resolved(commit, None, warnings=warnings)
    if revision.scope == "workspace":
        if place is None:
            raise UsageError(
                f"{revision.text!r} needs a workspace, and this is none",
                hint="name the model: NAMESPACE/NAME" + revision.text.replace("HEAD", ""),
            )
        if revision.name is None:
            return Resolved(place.head, place.model, branch=place.branch)
    model = revision.model or (place.model if place else "")
    return _in_model(revision, model, state)


def _in_model(revision: Revision, model: str, state: LogState) -> Resolved:
    name = revision.name or ""
    branches, tags = state.heads(model), state.tags(model)
    if not branches and not tags:
        raise no_such_model(model, state)
    kinds = ["tag"] * (name in tags) + ["branch"] * (name in branches)
    warnings = _clashes(name, model, kinds, state)
    if name in tags:
        return Resolved(tags[name], model, tag=name, warnings=warnings)
    if name in branches:
        return Resolved(branches[name], model, branch=name, warnings=warnings)
    if not _PREFIX.fullmatch(name):
        raise no_such_name(model, name, branches, tags)
    try:
        commit, warnings = _by_prefix(revision, state)
    except NotFoundError:
        raise no_such_name(model, name, branches, tags) from None
    return Resolved(commit, model, warnings=warnings)


def _clashes(name: str, model: str, kinds: list[str], state: LogState) -> tuple[str, ...]:
    """Warnings about a name that means more than one thing; the first of `kinds` was taken."""
    if kinds and _PREFIX.fullmatch(name):
        kinds = kinds + [f"the beginning of commit {short(each)}" for each in _commits(name, state)]
    if len(kinds) < 2:
        return ()
    return (f"{model}@{name} is a {kinds[0]} and {' and '.join(kinds[1:])}: the {kinds[0]} counts",)


def _by_prefix(revision: Revision, state: LogState) -> tuple[CommitId, tuple[str, ...]]:
    found = _commits(revision.name or "", state)
    if not found:
        raise NotFoundError(
            f"{revision.text}: no commit begins so", hint="deltastore log shows the commits"
        )
    if len(found) > 1:
        names = ", ".join(commit[: len(revision.name or "") + 8] for commit in found)
        raise AmbiguousError(
            f"{revision.text} fits several commits: {names}", hint="type more of its digits"
        )
    return found[0], ()


def _commits(prefix: str, state: LogState) -> list[CommitId]:
    if prefix in state.commits:
        return [commit for commit in state.commits if commit == prefix]
    return sorted(commit for commit in state.commits if commit.startswith(prefix))[:MOST_CANDIDATES]


@dataclass(frozen=True, slots=True)
class _Walker:
    """Takes the steps of one revision."""

    revision: Revision
    state: LogState
    header: HeaderSource
    reflog: ReflogSource

    def walk(self, start: Resolved) -> Resolved:
        at = start
        for step in self.revision.steps:
            at = replace(at, commit=self._step(at, step), branch=None)
        return at

    def _step(self, at: Resolved, step: Step) -> CommitId:
        if step.kind == "reflog":
            return self._earlier(at, step.count)
        if step.kind == "parent":
            return self._parent(at.commit, step.count)
        commit = at.commit
        for _ in range(step.count):
            commit = self._parent(commit, 1)
        return commit

    def _parent(self, commit: CommitId, number: int) -> CommitId:
        if number == 0:
            return commit
        parents = self.header(commit).parents
        if number > len(parents):
            many = f"has {len(parents)} parents" if len(parents) > 1 else "has one parent only"
            has = many if parents else "is where the history begins"
            raise NotFoundError(
                f"{self.revision.text}: commit {short(commit)} {has}",
                hint=f"deltastore log {short(commit)} shows what is behind it",
            )
        return parents[number - 1]

    def _earlier(self, at: Resolved, count: int) -> CommitId:
        if at.model is None or at.branch is None:
            raise InvalidError(
                f"{self.revision.text}: @{{{count}}} is where a branch stood, and must follow one",
                hint="write NAMESPACE/NAME@BRANCH@{1}",
            )
        if count == 0:
            return at.commit
        moves = list(islice(self.reflog(branch_ref(at.model, at.branch)), count))
        old = moves[-1].old if len(moves) == count else None
        if old is None:
            raise NotFoundError(
                f"{self.revision.text}: {at.model}@{at.branch} goes back to "
                f"@{{{max(0, len(moves) - 1)}}}, where it was made",
                hint=f"deltastore log {at.model}@{at.branch} shows its commits",
            )
        return old
