"""What one writer did in one log entry: the unit that is taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.errors import NotFoundError
from deltastore.history.entries import RefMove
from deltastore.history.reflog import newest_first
from deltastore.history.refs import parse_ref

if TYPE_CHECKING:
    from deltastore.history.entries import Entry
    from deltastore.history.log import Log
    from deltastore.ids import CommitId

__all__ = ["Deed", "deed_at", "last_deed"]


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
