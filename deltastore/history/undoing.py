"""Taking back what one writer did in one log entry, unless others have built on it.

Nothing is erased: the refs move back in an entry of their own, which can be taken back as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.errors import ConflictError, NotFoundError, OutcomeUnknownError
from deltastore.history.entries import Draft, RefMove, Transaction, new_token
from deltastore.history.move_views import moved_refs
from deltastore.history.reachability import prove_all_reachable
from deltastore.history.reflog import newest_first
from deltastore.history.refs import parse_ref
from deltastore.results import UndoResult

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from deltastore.history.entries import Entry
    from deltastore.history.log import Log
    from deltastore.history.objects import HistoryReader
    from deltastore.history.state import LogState
    from deltastore.ids import CommitId

__all__ = ["Deed", "deed_at", "last_deed", "undo"]

NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Deed:
    """What one writer did in one entry, which may hold transactions of several.

    Attributes:
        v: the entry.
        actor: who did it.
        time: RFC 3339, UTC; of the last transaction.
        op: what was done, a word; likewise.
        message: for people; likewise.
        moves: of branches and tags: from where each stood to where it was left.
        commits: made by it.
        txns: ids of its transactions.
    """

    v: int
    actor: str
    time: str
    op: str
    message: str
    moves: tuple[RefMove, ...]
    commits: frozenset[CommitId]
    txns: frozenset[str]


def last_deed(log: Log, actor: str) -> Deed:
    """The last thing that `actor` did to a branch or tag.

    Raises:
        NotFoundError: nothing so far.
    """
    for entry in newest_first(log):
        found = _deed(entry, actor)
        if found is not None:
            return found
    raise NotFoundError(
        f"no entry of {actor}: there is nothing to take back",
        hint="deltastore reflog shows who did what; the author setting says who you are",
    )


def deed_at(log: Log, seq: int, actor: str) -> Deed:
    """What `actor` did in an entry, or somebody else where `actor` did nothing in it.

    Raises:
        NotFoundError: there is no such entry, or it moved neither branch nor tag.
    """
    state = log.state
    if not 0 <= seq <= state.v:
        raise NotFoundError(
            f"there is no entry {seq}; the newest is {state.v}",
            hint="deltastore reflog shows the entries",
        )
    entry = log.entry(seq)
    actors = dict.fromkeys(txn.actor for txn in (entry.body.txns if entry.body else ()))
    for each in sorted(actors, key=lambda name: name != actor):
        found = _deed(entry, each)
        if found is not None:
            return found
    raise NotFoundError(
        f"entry {seq} moved neither branch nor tag: there is nothing to take back",
        hint="deltastore reflog shows the entries that did",
    )


def undo(
    log: Log,
    history: HistoryReader,
    deed: Deed,
    *,
    actor: str,
    time: str,
    dry_run: bool = False,
) -> UndoResult:
    """Take a deed back: every ref goes where it stood before; a race lost is checked anew.

    Nothing is written when all refs stand there already.

    Raises:
        ConflictError: it is not `actor`'s, others have built on it, or what a ref would go back to
            was collected as garbage.
        OutcomeUnknownError: the backend stopped answering; the hint says how to look.
    """
    txn = new_token()

    def compose(state: LogState) -> Draft:
        moves = _back(log, state, deed, history, actor)
        prove_all_reachable(state, (move.new for move in moves if move.new), history)
        text = f"takes back entry {deed.v} ({deed.op})"
        return Draft((Transaction(txn, "undo", actor, time, text, refs=moves),))

    entry: int | None = None
    try:
        if dry_run:
            compose(log.state)
        else:
            entry = log.append(compose).v
    except _TakenBackError:
        return _result(deed, None, dry_run=dry_run, unchanged=True)
    except OutcomeUnknownError as reason:
        hint = f"deltastore undo {deed.v} looks first; without the number it might do it again"
        raise OutcomeUnknownError(str(reason), hint=hint) from reason
    return _result(deed, entry, dry_run=dry_run)


class _TakenBackError(Exception):
    """The refs stand where taking the deed back would put them: no entry is written."""


def _result(deed: Deed, entry: int | None, *, dry_run: bool, unchanged: bool = False) -> UndoResult:
    return UndoResult(
        seq=deed.v,
        time=deed.time,
        actor=deed.actor,
        op=deed.op,
        message=deed.message,
        refs=moved_refs(_inverse(deed.moves)),
        entry=entry,
        dry_run=dry_run,
        unchanged=unchanged,
    )


def _inverse(moves: tuple[RefMove, ...]) -> tuple[RefMove, ...]:
    return tuple(RefMove(move.name, move.new, move.old) for move in moves)


def _deed(entry: Entry, actor: str) -> Deed | None:
    """What an actor did to branches and tags in an entry, from the first of them to the last."""
    own = [txn for txn in (entry.body.txns if entry.body else ()) if txn.actor == actor]
    moves: dict[str, RefMove] = {}
    for move in (move for txn in own for move in txn.refs):
        if parse_ref(move.name).kind in ("branch", "tag"):
            first = moves.get(move.name, move)
            moves[move.name] = RefMove(move.name, first.old, move.new)
    left = tuple(move for move in moves.values() if move.old != move.new)
    if not left:
        return None
    return Deed(
        v=entry.v,
        actor=actor,
        time=own[-1].time,
        op=own[-1].op,
        message=own[-1].message,
        moves=left,
        commits=frozenset(commit for txn in own for commit in txn.commits),
        txns=frozenset(txn.txn for txn in own),
    )


# whether others have built on it


def _back(
    log: Log, state: LogState, deed: Deed, history: HistoryReader, actor: str
) -> tuple[RefMove, ...]:
    """The moves that take a deed back, given the freshest state."""
    own = deed.actor == actor
    if own and all(state.ref(move.name) == move.old for move in deed.moves):
        raise _TakenBackError
    later = list(_since(log, state, deed))
    built = _built_on(state, deed, later, history)
    if not own:
        raise _foreign(deed, built, later)
    if built:
        raise _conflict(deed, built, later)
    return _inverse(deed.moves)


def _since(log: Log, state: LogState, deed: Deed) -> Iterator[tuple[int, Transaction]]:
    """Transactions after the first one of a deed, and their entries; the newest first."""
    for entry in newest_first(log):
        if entry.v < deed.v:
            return
        txns = entry.body.txns if entry.body and entry.v <= state.v else ()
        own = [i for i, txn in enumerate(txns) if txn.txn in deed.txns]
        for txn in reversed(txns[min(own, default=0) :]):
            if txn.txn not in deed.txns:
                yield entry.v, txn


def _built_on(
    state: LogState, deed: Deed, later: list[tuple[int, Transaction]], history: HistoryReader
) -> list[str]:
    """Refs that stand on what a deed left, or were moved on from there by others; full names."""
    own = {move.name: move.new for move in deed.moves}
    built = [name for name, left in own.items() if state.ref(name) != left]
    others = [txn for _, txn in later if txn.actor != deed.actor]
    moved = dict.fromkeys(move.name for txn in others for move in txn.refs)
    built += [name for name in own if name in moved and name not in built]
    made = frozenset(commit for _, txn in later for commit in txn.commits)
    for name in moved:
        commit = state.ref(name)
        if name not in own and commit and _stands_on(commit, deed.commits, made, history):
            built.append(name)
    return built


def _stands_on(
    commit: CommitId,
    found: Collection[CommitId],
    made_later: Collection[CommitId],
    history: HistoryReader,
) -> bool:
    """Whether a commit is one of `found` or behind it; only what was made later can be."""
    seen: set[CommitId] = set()
    pending = [commit]
    while pending:
        each = pending.pop()
        if each in found:
            return True
        if each in made_later and each not in seen:
            seen.add(each)
            header = history.header(each)
            pending += [*header.parents, *([header.base] if header.base else [])]
    return False


def _builders(built: list[str], later: list[tuple[int, Transaction]]) -> list[int]:
    """The entries that moved these refs, the newest first."""
    names = set(built)
    moved = (v for v, txn in later if any(move.name in names for move in txn.refs))
    return list(dict.fromkeys(moved))


def _told(built: list[str], later: list[tuple[int, Transaction]]) -> str:
    count = len(_builders(built, later))
    names = sorted(parse_ref(name).label for name in built)
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    entries = "1 later entry builds" if count == 1 else f"{count} later entries build"
    return f"{entries} on it ({', '.join(names[:NAMES_SHOWN])}{more})"


def _foreign(deed: Deed, built: list[str], later: list[tuple[int, Transaction]]) -> ConflictError:
    also = f" and {_told(built, later)}" if built else ""
    return ConflictError(
        f"entry {deed.v} is another writer's ({deed.actor}){also}",
        hint="deltastore revert makes a new commit that takes a commit's change back; "
        "deltastore reset moves a branch",
    )


def _conflict(deed: Deed, built: list[str], later: list[tuple[int, Transaction]]) -> ConflictError:
    entries = _builders(built, later)
    mine = all(txn.actor == deed.actor for v, txn in later if v in entries)
    hint = (
        f"take back the later ones first: deltastore undo {entries[0]}"
        if mine and entries
        else "deltastore revert makes a new commit that takes a commit's change back; "
        "deltastore reset moves a branch"
    )
    return ConflictError(
        f"entry {deed.v} cannot be taken back: {_told(built, later)}; nothing was changed",
        hint=hint,
    )
