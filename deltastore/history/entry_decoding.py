"""Bytes to log entries: nothing is believed before it was checked (format-v1, section 4)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from deltastore.errors import CorruptError, InvalidError
from deltastore.history.documents import Fields, parse_document
from deltastore.history.entries import (
    Absent,
    Body,
    CheckpointRef,
    Entry,
    Head,
    RefMove,
    Spilled,
    StoreRecord,
    Transaction,
)
from deltastore.history.entry_encoding import MAX_ENTRY_BYTES, MAX_HEAD_BYTES
from deltastore.history.refs import parse_ref
from deltastore.ids import CommitId, bytes_digest
from deltastore.storage.records import PackId

if TYPE_CHECKING:
    from deltastore.errors import DeltastoreError
    from deltastore.history.entries import AbsenceReason

__all__ = ["ListReader", "decode_entry", "parse_absent", "parse_head"]

MAX_TXNS = 256

ListReader: TypeAlias = Callable[[Spilled], list[Any]]
"""Reads a spilled list; whoever implements it checks the hash."""

_NEED = re.compile(r"[rw]:[a-z0-9-]{1,64}")
_OP = re.compile(r"[a-z][a-z0-9-]{0,63}")
_REASON = re.compile(r"archived|forgotten|filtered")


def decode_entry(
    data: bytes,
    *,
    v: int | None = None,
    read_list: ListReader | None = None,
    error: type[DeltastoreError] = CorruptError,
) -> Entry:
    """The entry in a stored object, checked against itself.

    Args:
        data: the whole object.
        v: the position it was read from; None takes the head's word.
        read_list: reads spilled lists; without it an entry that has some is refused.
        error: the class to raise.

    Raises:
        DeltastoreError: (as `error`) not three lines, a hash that does not match, another
            position than `v`, or a field that breaks the format.
    """
    what = "log entry" if v is None else f"log entry {v}"
    if len(data) > MAX_ENTRY_BYTES:
        raise error(f"{what}: {len(data)} bytes, more than the {MAX_ENTRY_BYTES} allowed")
    lines = data.split(b"\n")
    if len(lines) != 4 or lines[3]:
        raise error(f"{what}: not three whole lines; it is truncated or no log entry")
    head_line, body_line, trailer, _ = lines
    if trailer != bytes_digest(head_line).encode():
        raise error(f"{what}: the head does not have the hash that its third line states")
    head = parse_head(head_line, what, error)
    if v is not None and head.v != v:
        raise error(f"{what}: its head says that it is entry {head.v}")
    body = _body(body_line, head, what, read_list or _refuse_list, error)
    return Entry(head, body, head_line, body_line)


def parse_head(line: bytes, what: str, error: type[DeltastoreError] = CorruptError) -> Head:
    """The head in its stored line.

    Raises:
        DeltastoreError: (as `error`) too long, or a field that breaks the format.
    """
    fields = parse_document(line, what=f"{what}, head", max_bytes=MAX_HEAD_BYTES, error=error)
    v = fields.integer("v")
    prev = fields.optional_digest("prev")
    if (prev is None) != (v == 0):
        raise fields.refuse("prev", "must be null in entry 0 and only there")
    return Head(
        v=v,
        prev=prev,
        store_id=fields.token("store_id"),
        body=fields.digest("body"),
        needs=_needs(fields),
        ckpt=_ckpt(fields, v),
        writer=fields.text("writer"),
    )


def _needs(fields: Fields) -> tuple[str, ...]:
    needs = fields.items("needs")
    if not all(isinstance(need, str) and _NEED.fullmatch(need) for need in needs):
        raise fields.refuse("needs", "holds something that is no r:name or w:name")
    if needs != sorted(set(needs)):
        raise fields.refuse("needs", "is not sorted, or holds a flag twice")
    return tuple(needs)


def _ckpt(fields: Fields, v: int) -> CheckpointRef | None:
    if not fields.has("ckpt"):
        return None
    ckpt = fields.child("ckpt")
    return CheckpointRef(
        v=ckpt.integer("v", high=v - 1),
        pack=PackId(ckpt.digest("pack")),
        root=ckpt.digest("root"),
    )


def _body(
    line: bytes, head: Head, what: str, read_list: ListReader, error: type[DeltastoreError]
) -> Body | None:
    if line == b"null":
        return None
    if bytes_digest(line) != head.body:
        raise error(f"{what}: the body does not have the hash that the head states")
    fields = parse_document(line, what=what, max_bytes=MAX_ENTRY_BYTES, error=error)
    if fields.has("store") != (head.v == 0):
        raise fields.refuse("store", "must be in entry 0 and only there")
    txns = fields.children("txns")
    if not 1 <= len(txns) <= MAX_TXNS:
        raise fields.refuse("txns", f"must be 1 to {MAX_TXNS} transactions")
    absent = _listed(fields, "absent", read_list)
    return Body(
        txns=tuple(_transaction(txn, read_list) for txn in txns),
        add=_packs(fields, "add", read_list),
        condemn=_packs(fields, "condemn", read_list),
        absent=tuple(parse_absent(item) for item in absent.children("absent")),
        store=_store(fields.child("store")) if head.v == 0 else None,
    )


def _packs(fields: Fields, key: str, read_list: ListReader) -> tuple[PackId, ...]:
    packs = tuple(map(PackId, _listed(fields, key, read_list).digests(key)))
    if key == "add" and isinstance(fields.values.get(key), dict):
        # a list cannot name the pack it is in, whose id depends on the list
        packs = (*packs, PackId(fields.child(key).digest("pack")))
    if len(set(packs)) != len(packs):
        raise fields.refuse(key, "names a pack twice")
    return packs


def _transaction(fields: Fields, read_list: ListReader) -> Transaction:
    meta = fields.optional_digest("meta")
    commits = _listed(fields, "commits", read_list).digests("commits")
    if commits and meta is None:
        raise fields.refuse("meta", "is null although there are commits")
    moves = _listed(fields, "refs", read_list).children("refs")
    return Transaction(
        txn=fields.token("txn"),
        op=fields.matching("op", _OP, "a word"),
        actor=fields.text("actor"),
        time=fields.time("time"),
        message=fields.text("message"),
        refs=tuple(_move(move) for move in moves),
        commits=tuple(map(CommitId, commits)),
        meta=None if meta is None else PackId(meta),
    )


def _move(fields: Fields) -> RefMove:
    name = fields.text("name")
    try:
        parse_ref(name)
    except InvalidError as reason:
        raise fields.refuse("name", str(reason)) from None
    old, new = fields.optional_digest("old"), fields.optional_digest("new")
    if old is None and new is None:
        raise fields.refuse("new", "is null, and so is `old`")
    return RefMove(
        name, None if old is None else CommitId(old), None if new is None else CommitId(new)
    )


def _store(fields: Fields) -> StoreRecord:
    return StoreRecord(fields.time("created"), fields.boolean("single_writer", default=False))


def parse_absent(fields: Fields) -> Absent:
    """One item of an `absent` list."""
    reason = fields.matching("reason", _REASON, "a reason to be absent")
    return Absent(
        fields.digest("manifest"), cast("AbsenceReason", reason), fields.optional_text("from")
    )


def _listed(fields: Fields, key: str, read_list: ListReader) -> Fields:
    """`fields` with the list `key` in it, wherever it is kept."""
    value = fields.values.get(key)
    if not isinstance(value, dict):
        return fields
    item = fields.child(key)
    spilled = Spilled(PackId(item.digest("pack")), item.digest("section"), item.integer("count"))
    items = read_list(spilled)
    if len(items) != spilled.count:
        raise fields.refuse(key, f"has {len(items)} items elsewhere, {spilled.count} were stated")
    return Fields(fields.what, {key: items}, fields.error)


def _refuse_list(spilled: Spilled) -> list[Any]:
    raise CorruptError(f"the list {spilled.section[:12]} of a log entry is in a pack, not at hand")
