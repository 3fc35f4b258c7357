"""Values for tests of the history package; every id is made from a readable seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastore.history.commits import CommitHeader, PreviewRef
from deltastore.history.entries import (
    Body,
    CheckpointRef,
    Entry,
    Head,
    RefMove,
    StoreRecord,
    Transaction,
)
from deltastore.history.entry_decoding import decode_entry
from deltastore.history.entry_encoding import encode_body, encode_head
from deltastore.ids import CommitId, Digest, bytes_digest
from deltastore.storage.records import PackId

if TYPE_CHECKING:
    from collections.abc import Iterable

STORE_ID = "5" * 32
TIME = "2026-01-02T03:04:05Z"
MAIN = "models/me/x/heads/main"


def digest(seed: object) -> Digest:
    return bytes_digest(f"digest {seed}".encode())


def commit(seed: object) -> CommitId:
    return CommitId(bytes_digest(f"commit {seed}".encode()))


def pack(seed: object) -> PackId:
    return PackId(bytes_digest(f"pack {seed}".encode()))


def txn_id(seed: object) -> str:
    return bytes_digest(f"txn {seed}".encode())[:32]


def header(
    *,
    parents: Iterable[CommitId] = (),
    manifest: Digest | None = None,
    base: CommitId | None = None,
    inputs: Iterable[CommitId] = (),
    preview: PreviewRef | None = None,
    message: str = "a message",
    time: str = TIME,
    recipe: Digest | None = None,
) -> CommitHeader:
    return CommitHeader(
        parents=tuple(parents),
        manifest=manifest or digest("manifest"),
        base=base,
        inputs=tuple(inputs),
        preview=preview,
        author="Ada <ada@example.org>",
        time=time,
        message=message,
        recipe=recipe,
        metadata={"run": "7"},
        metrics={"mmlu": "0.612"},
        producer="deltastore/0.1.0",
    )


def transaction(
    seed: object,
    moves: Iterable[RefMove] = (),
    commits: Iterable[CommitId] = (),
    meta: PackId | None = None,
    op: str = "commit",
) -> Transaction:
    return Transaction(
        txn_id(seed), op, "ada", TIME, f"about {seed}", tuple(moves), tuple(commits), meta
    )


def body(
    *txns: Transaction,
    add: Iterable[PackId] = (),
    condemn: Iterable[PackId] = (),
    store: StoreRecord | None = None,
) -> Body:
    return Body(txns or (transaction("none"),), tuple(add), tuple(condemn), (), store)


def entry_after(
    previous: Entry | None,
    content: Body,
    *,
    needs: tuple[str, ...] = (),
    ckpt: CheckpointRef | None = None,
) -> Entry:
    line = encode_body(content)
    head = Head(
        v=0 if previous is None else previous.v + 1,
        prev=None if previous is None else previous.hash,
        store_id=STORE_ID if previous is None else previous.head.store_id,
        body=bytes_digest(line),
        needs=needs,
        ckpt=ckpt,
        writer="deltastore/test",
    )
    head_line = encode_head(head)
    return decode_entry(b"%s\n%s\n%s\n" % (head_line, line, bytes_digest(head_line).encode()))


def genesis() -> Entry:
    return entry_after(None, body(transaction("init", op="init"), store=StoreRecord(TIME, False)))


def commit_entry(
    previous: Entry,
    seed: object,
    ref: str = MAIN,
    old: CommitId | None = None,
) -> Entry:
    """An entry that commits `commit(seed)` to `ref`, its header in `pack(seed)`."""
    move = RefMove(ref, old, commit(seed))
    txn = transaction(seed, [move], [commit(seed)], pack(seed))
    return entry_after(previous, body(txn, add=[pack(seed)]))
