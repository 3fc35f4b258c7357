"""Which commits the refs keep, and what that owes. The only walker: push, gc and proofs use it.

Parents and bases are followed; inputs of a merge are not: they are named for people, and what a
merge rule needs of them is a matter of representations (format-v1, section 9).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from deltastore.errors import ConflictError, MissingObjectError
from deltastore.history.invariant import owed, prove
from deltastore.history.representations import placed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from deltastore.history.ancestry import HeaderSource
    from deltastore.history.commits import CommitHeader
    from deltastore.history.manifests import Manifest
    from deltastore.history.representations import PlacedRepresentation
    from deltastore.history.state import LogState
    from deltastore.ids import CommitId, Digest
    from deltastore.storage.records import Placement

__all__ = [
    "History",
    "is_reachable",
    "newly_reachable",
    "owed_at",
    "owed_by",
    "prove_all_reachable",
    "prove_reachable",
    "reachable",
    "representations_of",
]


class History(Protocol):
    """What is read of commits; `HistoryReader` is one."""

    def header(self, commit: CommitId) -> CommitHeader:
        """The header of a commit."""
        ...

    def manifests(self, commit: CommitId) -> tuple[tuple[Digest, Manifest], ...]:
        """Its manifests, previews included: digest and content."""
        ...

    def locator(self, commit: CommitId) -> tuple[Placement, ...]:
        """Where its content is kept."""
        ...


def reachable(
    roots: Iterable[CommitId],
    header: HeaderSource,
    *,
    stop: Collection[CommitId] = (),
) -> set[CommitId]:
    """The roots and everything behind them along parents and bases, without `stop` and beyond."""
    return set(_walk(roots, header, stop))


def is_reachable(state: LogState, commit: CommitId, header: HeaderSource) -> bool:
    """Whether a ref keeps `commit`; stops as soon as it is met, refs moved last first."""
    return commit in _walk(_newest_roots(state), header)


def _newest_roots(state: LogState) -> list[CommitId]:
    """What the refs name, refs moved last first."""
    refs = sorted(state.refs.values(), key=lambda ref: -ref.v)
    return [ref.commit for ref in refs if ref.commit is not None]


def newly_reachable(state: LogState, commit: CommitId, header: HeaderSource) -> set[CommitId]:
    """The commits that a ref at `commit` would keep and no ref keeps now."""
    return _newly_reachable(state, [commit], header)


def _newly_reachable(
    state: LogState, commits: Iterable[CommitId], header: HeaderSource
) -> set[CommitId]:
    """What the refs keep is walked once, and no further than to the last of `commits`."""
    left = set(commits) - state.roots()
    kept: set[CommitId] = set()
    for each in _walk(_newest_roots(state), header) if left else ():
        kept.add(each)
        left.discard(each)
        if not left:
            break
    return reachable(left, header, stop=kept)


def owed_by(commits: Iterable[CommitId], state: LogState, history: History) -> frozenset[Digest]:
    """What some commits owe: the digests of their manifests, less those absent, and recipes.

    Raises:
        IntegrityError: a header or manifest cannot be read; whoever deletes must stop here.
    """
    chosen = tuple(commits)
    recipes = (history.header(commit).recipe for commit in chosen)
    manifests = (pair for commit in chosen for pair in history.manifests(commit))
    return owed(manifests, state.absent, recipes=(each for each in recipes if each is not None))


def owed_at(state: LogState, history: History) -> frozenset[Digest]:
    """Everything owed in a state; reads every reachable manifest."""
    return owed_by(reachable(state.roots(), history.header), state, history)


def representations_of(
    commits: Iterable[CommitId], history: History
) -> tuple[PlacedRepresentation, ...]:
    """What the locators of some commits say; hints, which only count where packs are live."""
    placements = (each for commit in commits for each in history.locator(commit))
    return placed(dict.fromkeys(placements))


def prove_reachable(state: LogState, commit: CommitId, history: History) -> None:
    """Show that a ref may be moved to `commit`: it is kept already, or can be rebuilt for ever.

    To be called in `compose`, for every ref moved to a commit that the entry does not make.

    Raises:
        ConflictError: something it needs was condemned, which is final.
        IncompatibleError: a tensor of it is more than 8 steps from one that is kept whole.
        MissingObjectError: something it needs is nowhere.
    """
    _prove(state, newly_reachable(state, commit, history.header), history)


def prove_all_reachable(state: LogState, commits: Iterable[CommitId], history: History) -> None:
    """`prove_reachable` for refs moved to several commits at once: what is kept is walked once.

    Raises:
        ConflictError, IncompatibleError, MissingObjectError: as `prove_reachable`.
    """
    wanted = set(commits)
    for commit in sorted(wanted):
        _check_meta(state, commit)
    _prove(state, _newly_reachable(state, wanted, history.header), history)


def _prove(state: LogState, fresh: Collection[CommitId], history: History) -> None:
    for each in sorted(fresh):
        _check_meta(state, each)
    needed = owed_by(fresh, state, history)
    known = representations_of(fresh, history)
    try:
        prove(needed, known, state.live, condemned=state.condemned)
    except (ConflictError, MissingObjectError):
        # locators may be stale: what is owed anyway is vouched for by the invariant
        vouched = owed_at(state, history)
        prove(needed, known, state.live, vouched=vouched, condemned=state.condemned)


def _check_meta(state: LogState, commit: CommitId) -> None:
    meta = state.commits.get(commit)
    if meta is None:
        raise MissingObjectError(f"commit {commit} is not in this store")
    if meta not in state.live:
        raise ConflictError(
            f"commit {commit} was collected as garbage (its pack {meta} was condemned)",
            hint="commit those weights again",
        )


def _walk(
    roots: Iterable[CommitId], header: HeaderSource, stop: Collection[CommitId] = ()
) -> Iterator[CommitId]:
    seen = set(stop)
    pending = list(roots)[::-1]
    while pending:
        commit = pending.pop()
        if commit not in seen:
            seen.add(commit)
            yield commit
            pending.extend(_behind(header(commit)))


def _behind(header: CommitHeader) -> tuple[CommitId, ...]:
    return header.parents if header.base is None else (*header.parents, header.base)
