"""The state of a store: what the entries 0 to v add up to, and which entry may come next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltastore.errors import CorruptError
from deltastore.history.refs import parse_ref

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from deltastore.history.entries import Absent, Body, CheckpointRef, Entry, RefMove, Transaction
    from deltastore.ids import CommitId, Digest
    from deltastore.storage.records import PackId

__all__ = ["EMPTY", "LogState", "RefState"]


@dataclass(frozen=True, slots=True)
class RefState:
    """Where a ref stands.

    Attributes:
        commit: what it names; None once deleted.
        v: the entry that moved it last.
        last: what it named last; `commit` unless deleted.
    """

    commit: CommitId | None
    v: int
    last: CommitId


@dataclass(frozen=True, slots=True)
class LogState:
    """All that the log says, up to one entry. A value: `apply` returns the next one.

    Attributes:
        v: the last entry in it; -1 before entry 0.
        head_hash: hash of that entry's head, which the next entry must name; None before entry 0.
        store_id: 32 hex digits.
        refs: every ref there ever was, deleted ones included, by full name.
        live: packs added and not condemned, with the entry that added them.
        condemned: packs condemned, ever, with the entry that did it.
        commits: the newest meta pack of every commit.
        absent: manifests whose content is not owed.
        needs: flags a client must know.
        ckpt: the newest checkpoint that a head names.
    """

    v: int
    head_hash: Digest | None
    store_id: str
    refs: Mapping[str, RefState] = field(default_factory=dict, hash=False, repr=False)
    live: Mapping[PackId, int] = field(default_factory=dict, hash=False, repr=False)
    condemned: Mapping[PackId, int] = field(default_factory=dict, hash=False, repr=False)
    commits: Mapping[CommitId, PackId] = field(default_factory=dict, hash=False, repr=False)
    absent: Mapping[Digest, Absent] = field(default_factory=dict, hash=False, repr=False)
    needs: tuple[str, ...] = ()
    ckpt: CheckpointRef | None = None

    def apply(self, entry: Entry) -> LogState:
        """The state after one more entry; costs a copy of the tables.

        Raises:
            CorruptError: the entry may not follow (`apply_all`).
        """
        return self.apply_all((entry,))

    def apply_all(self, entries: Iterable[Entry]) -> LogState:
        """The state after several more entries, for one copy of the tables.

        Raises:
            CorruptError: an entry does not continue the chain (position, previous hash, store),
                takes a flag back, names an older checkpoint, has a redacted body, moves a ref from
                where it does not stand, moves a tag, names an unknown commit, or makes a pack live
                that is or was live.
        """
        tables = _Tables(
            dict(self.refs),
            dict(self.live),
            dict(self.condemned),
            dict(self.commits),
            dict(self.absent),
        )
        last = self
        for entry in entries:
            last = _step(last, entry, tables)
        return last

    def ref(self, name: str) -> CommitId | None:
        """What a ref names; None if there is no such ref (any more)."""
        state = self.refs.get(name)
        return None if state is None else state.commit

    def roots(self) -> frozenset[CommitId]:
        """What the refs name."""
        return frozenset(ref.commit for ref in self.refs.values() if ref.commit is not None)

    def heads(self, model: str) -> dict[str, CommitId]:
        """The branches of a model and where they stand, by name."""
        return dict(self._named(f"models/{model}/heads/"))

    def tags(self, model: str) -> dict[str, CommitId]:
        """The tags of a model and what they name, by name."""
        return dict(self._named(f"models/{model}/tags/"))

    def models(self) -> tuple[str, ...]:
        """Models that have a branch or a tag, sorted."""
        names = (parse_ref(name).model for name, ref in self.refs.items() if ref.commit)
        return tuple(sorted({name for name in names if name}))

    def _named(self, prefix: str) -> Iterator[tuple[str, CommitId]]:
        for name in sorted(self.refs):
            commit = self.refs[name].commit
            if commit is not None and name.startswith(prefix):
                yield name[len(prefix) :], commit


EMPTY = LogState(v=-1, head_hash=None, store_id="")
"""Before entry 0."""


@dataclass(frozen=True, slots=True)
class _Tables:
    """The tables of the state under construction; mutable until `apply_all` hands them out."""

    refs: dict[str, RefState]
    live: dict[PackId, int]
    condemned: dict[PackId, int]
    commits: dict[CommitId, PackId]
    absent: dict[Digest, Absent]


def _step(state: LogState, entry: Entry, tables: _Tables) -> LogState:
    _check_chain(state, entry)
    if entry.body is None:
        raise CorruptError(
            f"log entry {entry.v} is redacted and no checkpoint covers it",
            hint="the state after it is only known from a checkpoint; restore one, or clone anew",
        )
    _move_packs(entry.v, entry.body, tables)
    for txn in entry.body.txns:
        _apply_txn(entry.v, txn, tables)
    tables.absent.update((absent.manifest, absent) for absent in entry.body.absent)
    head = entry.head
    if head.ckpt is not None and head.ckpt != state.ckpt and head.ckpt.pack not in tables.live:
        raise CorruptError(f"log entry {entry.v} names a checkpoint in a pack that is not live")
    return LogState(
        v=entry.v,
        head_hash=entry.hash,
        store_id=head.store_id,
        refs=tables.refs,
        live=tables.live,
        condemned=tables.condemned,
        commits=tables.commits,
        absent=tables.absent,
        needs=head.needs,
        ckpt=head.ckpt,
    )


def _check_chain(state: LogState, entry: Entry) -> None:
    head = entry.head
    what = f"log entry {head.v}"
    if head.v != state.v + 1:
        raise CorruptError(f"{what} does not follow entry {state.v}: the log has a hole")
    if head.prev != state.head_hash:
        raise CorruptError(
            f"history_rewritten: {what} does not continue the history known up to {state.v}",
            hint="the store was replaced or rolled back; compare it with a clone before going on",
        )
    if state.v >= 0 and head.store_id != state.store_id:
        raise CorruptError(f"{what} belongs to another store ({head.store_id})")
    if not set(state.needs) <= set(head.needs):
        raise CorruptError(f"{what} takes back a flag that clients must know")
    before, after = state.ckpt, head.ckpt
    if before is not None and (after is None or after.v < before.v):
        raise CorruptError(f"{what} names an older checkpoint than the entry before it")


def _move_packs(v: int, body: Body, tables: _Tables) -> None:
    for pack in body.add:
        if pack in tables.live or pack in tables.condemned:
            raise CorruptError(f"log entry {v} adds pack {pack[:12]}, which was added before")
        tables.live[pack] = v
    for pack in body.condemn:
        if pack in body.add:
            raise CorruptError(f"log entry {v} adds and condemns pack {pack[:12]}")
        tables.live.pop(pack, None)
        tables.condemned.setdefault(pack, v)


def _apply_txn(v: int, txn: Transaction, tables: _Tables) -> None:
    if txn.meta is not None:
        if txn.meta not in tables.live:
            raise CorruptError(f"log entry {v} has commits in pack {txn.meta[:12]}, not live")
        tables.commits.update(dict.fromkeys(txn.commits, txn.meta))
    for move in txn.refs:
        tables.refs[move.name] = _moved(v, move, tables)


def _moved(v: int, move: RefMove, tables: _Tables) -> RefState:
    before = tables.refs.get(move.name)
    stands = None if before is None else before.commit
    if move.old != stands:
        raise CorruptError(
            f"log entry {v} moves {move.name} from {_shown(move.old)}, but it stood at "
            f"{_shown(stands)}"
        )
    if before is not None and move.new is not None and move.new != before.last:
        _check_tag(v, move)
    if move.new is None:
        last = move.old if before is None else before.last
        if last is None:
            raise CorruptError(f"log entry {v} deletes {move.name}, which never was")
        return RefState(None, v, last)
    if move.new not in tables.commits:
        raise CorruptError(f"log entry {v} moves {move.name} to the unknown commit {move.new[:12]}")
    return RefState(move.new, v, move.new)


def _check_tag(v: int, move: RefMove) -> None:
    if parse_ref(move.name).kind == "tag":
        raise CorruptError(f"log entry {v} moves the tag {move.name}, which no entry may")


def _shown(commit: CommitId | None) -> str:
    return "nothing" if commit is None else commit[:12]
