"""Where refs stood before: the log read backwards, through checkpoints where there are any."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deltastore.errors import CorruptError
from deltastore.history.entry_decoding import decode_entry
from deltastore.history.log_checkpoints import load_sections
from deltastore.history.segment_rows import parse_refs
from deltastore.ids import bytes_digest
from deltastore.storage.records import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from deltastore.history.checkpoint_roots import SegmentRef
    from deltastore.history.entries import Entry, Transaction
    from deltastore.history.log import Log
    from deltastore.ids import CommitId

__all__ = ["LoggedMove", "newest_first", "positions", "reflog", "reflog_of"]

CHUNK = 64


@dataclass(frozen=True, slots=True)
class LoggedMove:
    """One move of one ref.

    Attributes:
        v: the log entry.
        ref: full name.
        old: where it stood; None if it was made.
        new: where it went; None if it was deleted.
        op: what was done, a word.
        actor: who did it.
        time: RFC 3339, UTC.
        message: for people.
        origin: full name of the ref that this one was, when the move renamed it; else None.
    """

    v: int
    ref: str
    old: CommitId | None
    new: CommitId | None
    op: str
    actor: str
    time: str
    message: str
    origin: str | None = None


def reflog(log: Log, ref: str | None = None) -> Iterator[LoggedMove]:
    """Moves of one ref, or of all, newest first. Read as far as it is consumed.

    Args:
        log: of the store; its state is not refreshed.
        ref: full name, or None for all refs.

    Raises:
        CorruptError: an entry is missing or damaged.
    """
    names = None if ref is None else {ref}
    for entry in newest_first(log, names):
        for txn in reversed(entry.body.txns if entry.body is not None else ()):
            yield from _moves(entry.v, txn, names, {})


def reflog_of(log: Log, refs: Collection[str]) -> Iterator[LoggedMove]:
    """Moves of some refs, newest first; of a renamed one also those under its former name.

    Args:
        log: of the store; its state is not refreshed.
        refs: full names.

    Raises:
        CorruptError: an entry is missing or damaged.
    """
    names = set(refs)
    for entry in newest_first(log, names):
        for txn in reversed(entry.body.txns if entry.body is not None else ()):
            origins = _origins(txn)
            yield from _moves(entry.v, txn, names, origins)
            names.update(former for ref, former in origins.items() if ref in names)


def positions(log: Log, ref: str) -> Iterator[LoggedMove]:
    """`reflog_of` one ref for `@{N}`: to be renamed is to move from a commit to the same one."""
    for move in reflog_of(log, [ref]):
        yield move if move.origin is None else replace(move, old=move.new)


def _origins(txn: Transaction) -> dict[str, str]:
    """The former names of refs that a transaction renamed: deleted there, made here, one commit."""
    gone = {(_rest(move.name), move.old): move.name for move in txn.refs if move.new is None}
    made = (move for move in txn.refs if move.old is None)
    pairs = ((move.name, gone.get((_rest(move.name), move.new))) for move in made)
    return {name: former for name, former in pairs if former is not None}


def _rest(full: str) -> str:
    """What is left of `models/NAMESPACE/NAME/heads/BRANCH` when the model is renamed."""
    return full.split("/", 3)[-1] if full.startswith("models/") else full


def _moves(
    v: int, txn: Transaction, names: Collection[str] | None, origins: dict[str, str]
) -> list[LoggedMove]:
    return [
        LoggedMove(
            v=v,
            ref=move.name,
            old=move.old,
            new=move.new,
            op=txn.op,
            actor=txn.actor,
            time=txn.time,
            message=txn.message,
            origin=origins.get(move.name),
        )
        for move in reversed(txn.refs)
        if names is None or move.name in names
    ]


def newest_first(log: Log, refs: Collection[str] | None = None) -> Iterator[Entry]:
    """Entries, the newest one first; with `refs` those in which none of them moved may be left out.

    Raises:
        CorruptError: an entry is missing or damaged.
    """
    root = log.root()
    covered = -1 if root is None else root.v
    last = log.state.v
    while last > covered:
        first = max(covered + 1, last - CHUNK + 1)
        yield from reversed(list(log.entries(first, last)))
        last = first - 1
    for where in reversed(root.segments if root is not None else ()):
        if refs is None or not _names(log, where).isdisjoint(refs):
            yield from reversed(_entries(log, where))


def _names(log: Log, where: SegmentRef) -> set[str]:
    """The refs that moved in a segment."""
    kind = Kind.SEGMENT_REFS
    return set(parse_refs(load_sections(log.packs, where, [kind])[kind]))


def _entries(log: Log, where: SegmentRef) -> list[Entry]:
    """The entries of a segment, from its verbatim copy of the log."""
    kind = Kind.SEGMENT_LOG
    lines = load_sections(log.packs, where, [kind])[kind].split(b"\n")
    if len(lines) != 2 * (where.last - where.first + 1) + 1:
        raise CorruptError(f"the segment of log entries from {where.first} has other lines")
    return [
        _entry(log, where.first + i, lines[2 * i], lines[2 * i + 1])
        for i in range(where.last - where.first + 1)
    ]


def _entry(log: Log, v: int, head: bytes, body: bytes) -> Entry:
    data = b"%s\n%s\n%s\n" % (head, body, bytes_digest(head).encode())
    return decode_entry(data, v=v, read_list=log.reader.read_list)
