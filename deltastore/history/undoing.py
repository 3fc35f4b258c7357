"""Taking back what one writer did in one log entry, unless others have built on it.

Nothing is erased: the refs move back in an entry of their own, which can be taken back as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastore.errors import ConflictError, OutcomeUnknownError
from deltastore.history.entries import Draft, RefMove, Transaction, new_token
from deltastore.history.move_views import moved_refs
from deltastore.history.reachability import prove_all_reachable
from deltastore.history.reflog import newest_first
from deltastore.history.refs import parse_ref
from deltastore.results import UndoResult

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from deltastore.history.deeds import Deed
    from deltastore.history.log import Log
    from deltastore.history.objects import HistoryReader
    from deltastore.history.state import LogState
    from deltastore.ids import CommitId

__all__ = ["undo"]

NAMES_SHOWN = 3


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
