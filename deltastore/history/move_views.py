"""Moves of refs as people ask for them: under the names they write."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from deltastore.history.refs import parse_ref
from deltastore.results import MovedRef, ReflogEntry, ReflogResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deltastore.history.entries import RefMove
    from deltastore.history.reflog import LoggedMove

__all__ = ["moved_refs", "reflog_result"]


def moved_refs(moves: Iterable[RefMove]) -> tuple[MovedRef, ...]:
    """Moves of refs under the names that people write."""
    pairs = ((move, parse_ref(move.name)) for move in moves)
    return tuple(MovedRef(ref.label, ref.kind, move.old, move.new) for move, ref in pairs)


def reflog_result(moves: Iterator[LoggedMove], limit: int | None) -> ReflogResult:
    """The first moves; no more of the log is read than they take."""
    found = tuple(moves if limit is None else islice(moves, limit + 1))
    shown = found if limit is None else found[:limit]
    return ReflogResult(tuple(map(_reflog_entry, shown)), len(found) > len(shown))


def _reflog_entry(move: LoggedMove) -> ReflogEntry:
    ref = parse_ref(move.ref)
    return ReflogEntry(
        seq=move.v,
        time=move.time,
        actor=move.actor,
        op=move.op,
        message=move.message,
        ref=ref.label,
        kind=ref.kind,
        old=move.old,
        new=move.new,
        origin=None if move.origin is None else parse_ref(move.origin).label,
    )
