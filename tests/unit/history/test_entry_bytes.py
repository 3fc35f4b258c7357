from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from deltastore.errors import CorruptError, InvalidError
from deltastore.history.entries import (
    Absent,
    Body,
    CheckpointRef,
    Entry,
    Head,
    RefMove,
    Spilled,
    StoreRecord,
    log_key,
    new_token,
)
from deltastore.history.entry_decoding import decode_entry
from deltastore.history.entry_encoding import (
    MAX_BODY_BYTES,
    MAX_ENTRY_BYTES,
    body_lists,
    encode_body,
    encode_head,
)
from deltastore.ids import bytes_digest
from tests.unit.history.samples import (
    MAIN,
    STORE_ID,
    TIME,
    body,
    commit,
    digest,
    entry_after,
    genesis,
    pack,
    transaction,
)


def rich() -> Body:
    moves = [RefMove(MAIN, None, commit(1)), RefMove(MAIN, commit(1), None)]
    first = transaction("one", moves, [commit(1)], pack("meta"))
    content = body(first, transaction("two"), add=[pack("meta"), pack(1)], condemn=[pack(2)])
    absent = (Absent(digest("m"), "filtered", "s3://x"), Absent(digest("n"), "forgotten"))
    return replace(content, absent=absent)


def bytes_of(head_line: bytes, body_line: bytes) -> bytes:
    return b"%s\n%s\n%s\n" % (head_line, body_line, bytes_digest(head_line).encode())


def with_head(entry: Entry, **changes: Any) -> bytes:
    document = json.loads(entry.head_line) | changes
    return bytes_of(json.dumps(document).encode(), entry.body_line)


def with_body(entry: Entry, **changes: Any) -> bytes:
    line = json.dumps(json.loads(entry.body_line) | changes).encode()
    return bytes_of(encode_head(replace(entry.head, body=bytes_digest(line))), line)


def test_an_entry_comes_back_byte_for_byte() -> None:
    ckpt = CheckpointRef(0, pack("ckpt"), digest("root"))
    first = genesis()
    entry = entry_after(first, rich(), needs=("r:x", "w:y"), ckpt=ckpt)
    again = decode_entry(entry.data, v=1)
    assert again == entry
    assert again.data == entry.data
    assert again.body == rich()
    assert again.head.prev == first.hash
    assert again.head.ckpt == ckpt


def test_the_layout_is_three_lines() -> None:
    lines = genesis().data.split(b"\n")
    assert len(lines) == 4
    assert json.loads(lines[0])["body"] == bytes_digest(lines[1])
    assert json.loads(lines[1])["store"] == {"created": TIME, "single_writer": False}
    assert lines[2] == bytes_digest(lines[0]).encode()
    assert not lines[3]


def test_keys_and_tokens() -> None:
    assert log_key(42) == "log/00000000000000000042"
    assert len({new_token() for _ in range(50)}) == 50
    assert len(new_token()) == 32


def test_a_redacted_body_is_none_and_keeps_the_chain() -> None:
    entry = entry_after(genesis(), rich())
    redacted = decode_entry(bytes_of(entry.head_line, b"null"), v=1)
    assert redacted.body is None
    assert redacted.hash == entry.hash
    assert not redacted.has_txn(frozenset({"x"}))


def test_transactions_are_found() -> None:
    entry = entry_after(genesis(), rich())
    assert entry.body is not None
    assert entry.has_txn(frozenset({entry.body.txns[1].txn, "other"}))
    assert not entry.has_txn(frozenset({"other"}))


def test_unknown_keys_are_ignored() -> None:
    entry = genesis()
    assert decode_entry(with_head(entry, later=[1])).head == replace(entry.head)
    assert decode_entry(with_body(entry, later={})).body == entry.body


@pytest.mark.parametrize("place", list(body_lists(rich())))
def test_any_list_may_be_spilled(place: str) -> None:
    items = body_lists(rich())[place]
    spilled = Spilled(pack("spill"), digest(place), len(items))
    line = encode_body(rich(), {place: spilled})
    asked: list[Spilled] = []

    def read_list(each: Spilled) -> list[Any]:
        asked.append(each)
        return items

    head = Head(1, genesis().hash, STORE_ID, bytes_digest(line), (), None, "w")
    data = bytes_of(encode_head(head), line)
    added = (*rich().add, pack("spill")) if place == "add" else rich().add
    assert decode_entry(data, read_list=read_list).body == replace(rich(), add=added)
    assert asked == [spilled]
    with pytest.raises(CorruptError, match="not at hand"):
        decode_entry(data)
    with pytest.raises(CorruptError, match="were stated"):
        decode_entry(data, read_list=lambda _: [*items, items[0]] if items else [1])


def test_a_long_body_is_refused_by_readers_and_a_long_head_by_writers() -> None:
    head = genesis().head
    with pytest.raises(InvalidError, match="4096"):
        encode_head(replace(head, writer="x" * 4096))
    line = encode_body(body(transaction("x"), add=[pack(n) for n in range(4000)]))
    assert len(line) > MAX_BODY_BYTES
    with pytest.raises(CorruptError, match=f"{MAX_ENTRY_BYTES} allowed"):
        decode_entry(bytes_of(encode_head(replace(head, body=bytes_digest(line))), line))


def test_the_largest_body_still_fits() -> None:
    padding = MAX_BODY_BYTES - len(encode_body(body(replace(transaction("x"), message=""))))
    content = body(replace(transaction("x"), message="m" * padding))
    assert len(encode_body(content)) == MAX_BODY_BYTES
    assert entry_after(genesis(), content).body == content


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": -1},
        {"v": None},
        {"prev": None},
        {"prev": "x"},
        {"store_id": "5"},
        {"body": digest("other")},
        {"needs": ["x:y"]},
        {"needs": ["r:b", "r:a"]},
        {"needs": ["r:a", "r:a"]},
        {"needs": None},
        {"ckpt": {"v": 1, "pack": pack(1), "root": digest(1)}},
        {"ckpt": {"v": 0, "pack": "no", "root": digest(1)}},
        {"ckpt": []},
        {"writer": None},
        {"writer": "x" * 4096},
    ],
)
def test_a_bad_head_is_corrupt(change: dict[str, Any]) -> None:
    entry = entry_after(genesis(), rich())
    with pytest.raises(CorruptError, match="log entry 1"):
        decode_entry(with_head(entry, **change), v=1)


GOOD_TXN: dict[str, Any] = json.loads(encode_body(rich()))["txns"][0]


@pytest.mark.parametrize(
    "change",
    [
        {"txns": []},
        {"txns": [GOOD_TXN] * 257},
        {"txns": [GOOD_TXN | {"txn": "1"}]},
        {"txns": [GOOD_TXN | {"op": "No Word"}]},
        {"txns": [GOOD_TXN | {"time": "now"}]},
        {"txns": [GOOD_TXN | {"meta": None}]},
        {"txns": [GOOD_TXN | {"commits": ["1"]}]},
        {"txns": [GOOD_TXN | {"refs": [{"name": "main", "old": None, "new": commit(1)}]}]},
        {"txns": [GOOD_TXN | {"refs": [{"name": MAIN, "old": None, "new": None}]}]},
        {"txns": [GOOD_TXN | {"refs": [{"name": MAIN, "old": None, "new": "1"}]}]},
        {"txns": [GOOD_TXN | {"refs": [7]}]},
        {"txns": [GOOD_TXN | {"message": "e\u0301"}]},
        {"add": ["x"]},
        {"add": [pack(1), pack(1)]},
        {"add": None},
        {"add": {"pack": pack(1)}},
        {"condemn": [[pack(1)]]},
        {"absent": [{"manifest": digest(1), "reason": "lost"}]},
        {"absent": [digest(1)]},
        {"store": {"created": TIME, "single_writer": False}},
    ],
)
def test_a_bad_body_is_corrupt(change: dict[str, Any]) -> None:
    with pytest.raises(CorruptError, match="log entry"):
        decode_entry(with_body(entry_after(genesis(), rich()), **change), v=1)


def test_only_entry_0_describes_the_store() -> None:
    with pytest.raises(CorruptError, match="store"):
        decode_entry(with_body(genesis(), store=None), v=0)
    with pytest.raises(CorruptError, match="created"):
        decode_entry(with_body(genesis(), store={"created": 1}), v=0)
    record = decode_entry(with_body(genesis(), store={"created": TIME})).body
    assert record is not None
    assert record.store == StoreRecord(TIME, False)


def test_a_torn_entry_is_corrupt_at_every_length() -> None:
    data = genesis().data
    for size in range(len(data)):
        with pytest.raises(CorruptError):
            decode_entry(data[:size], v=0)
    with pytest.raises(CorruptError):
        decode_entry(data + b"\n", v=0)
