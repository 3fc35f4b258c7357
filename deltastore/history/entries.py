"""Log entries as values: what one put-if-absent changes (format-v1, section 4).

`entry_encoding.py` and `entry_decoding.py` turn them into bytes and back.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deltastore.ids import bytes_digest

if TYPE_CHECKING:
    from deltastore.ids import CommitId, Digest
    from deltastore.storage.records import PackId

__all__ = [
    "AbsenceReason",
    "Absent",
    "Body",
    "CheckpointRef",
    "Draft",
    "Entry",
    "Head",
    "RefMove",
    "Spilled",
    "StoreRecord",
    "Transaction",
    "log_key",
    "new_token",
]

AbsenceReason = Literal["archived", "forgotten", "filtered"]


@dataclass(frozen=True, slots=True)
class RefMove:
    """One ref moved, made (`old` is None) or deleted (`new` is None).

    Attributes:
        name: full name, such as `models/me/x/heads/main`.
        old: where it stood in the entry before.
        new: where it stands from this entry on.
    """

    name: str
    old: CommitId | None
    new: CommitId | None


@dataclass(frozen=True, slots=True)
class Absent:
    """Content that is no longer owed; the commit and its id stay.

    Attributes:
        manifest: whose digests are meant.
        reason: archived (another copy exists), forgotten (for ever) or filtered (not fetched).
        origin: where it came from or went to, for people; never opened. None if unknown.
    """

    manifest: Digest
    reason: AbsenceReason
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one caller did.

    Attributes:
        txn: 32 hex digits, random; how a writer recognizes its own entry.
        op: commit, branch, tag, reset, ... : a word for people.
        actor: who, for people.
        time: RFC 3339, UTC, for people.
        message: for people.
        refs: moved, in order.
        commits: whose headers are in `meta`.
        meta: the pack that holds their headers, manifests and locators, or None.
    """

    txn: str
    op: str
    actor: str
    time: str
    message: str
    refs: tuple[RefMove, ...] = ()
    commits: tuple[CommitId, ...] = ()
    meta: PackId | None = None


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """What entry 0 says about the store as a whole.

    Attributes:
        created: RFC 3339, UTC.
        single_writer: made for one writer, on a backend that does not create atomically.
    """

    created: str
    single_writer: bool


@dataclass(frozen=True, slots=True)
class Body:
    """What an entry changes.

    Attributes:
        txns: one, or several with group commit.
        add: packs that are live from here on.
        condemn: packs that are dead from here on, for ever.
        absent: content no longer owed.
        store: of entry 0 only.
    """

    txns: tuple[Transaction, ...]
    add: tuple[PackId, ...] = ()
    condemn: tuple[PackId, ...] = ()
    absent: tuple[Absent, ...] = ()
    store: StoreRecord | None = None


@dataclass(frozen=True, slots=True)
class CheckpointRef:
    """Where a summary of entries 0 to `v` is.

    Attributes:
        v: the last entry it summarizes.
        pack: the checkpoint pack that holds the root.
        root: hash of the root.
    """

    v: int
    pack: PackId
    root: Digest


@dataclass(frozen=True, slots=True)
class Head:
    """The part of an entry that the chain runs over.

    Attributes:
        v: position in the log, from 0 on without a gap.
        prev: hash of the head before; None for 0.
        store_id: 32 hex digits.
        body: hash of the body as first written.
        needs: sorted flags `r:name` and `w:name` that a client must know.
        ckpt: the newest checkpoint, or None.
        writer: program and version.
    """

    v: int
    prev: Digest | None
    store_id: str
    body: Digest
    needs: tuple[str, ...]
    ckpt: CheckpointRef | None
    writer: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log, checked against itself.

    Attributes:
        head: what the chain runs over.
        body: None once redacted.
        head_line: as stored, without the line feed.
        body_line: as stored, without the line feed.
    """

    head: Head
    body: Body | None
    head_line: bytes
    body_line: bytes

    @property
    def v(self) -> int:
        """Position in the log."""
        return self.head.v

    @property
    def hash(self) -> Digest:
        """Hash of the head, which the next entry names as `prev`."""
        return bytes_digest(self.head_line)

    @property
    def data(self) -> bytes:
        """The object as stored: three lines."""
        return b"%s\n%s\n%s\n" % (self.head_line, self.body_line, self.hash.encode())

    def has_txn(self, txns: frozenset[str]) -> bool:
        """Whether any of these transactions is in this entry."""
        return self.body is not None and any(each.txn in txns for each in self.body.txns)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a writer wants in the next entry; the log adds position, chain and checkpoint.

    Attributes:
        txns: at least one.
        add: packs written for it, all durable already.
        condemn: packs that die with it.
        absent: content no longer owed.
        needs: flags to be added to the store's.
    """

    txns: tuple[Transaction, ...]
    add: tuple[PackId, ...] = ()
    condemn: tuple[PackId, ...] = ()
    absent: tuple[Absent, ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spilled:
    """A list too long for its entry, kept as a section of its own.

    Attributes:
        pack: a meta pack that the same entry makes live.
        section: hash of the list's JSON.
        count: items in it.
    """

    pack: PackId
    section: Digest
    count: int


def log_key(v: int) -> str:
    """The key of entry `v`."""
    return f"log/{v:020d}"


def new_token() -> str:
    """32 random hex digits: a store or transaction id."""
    return secrets.token_hex(16)
