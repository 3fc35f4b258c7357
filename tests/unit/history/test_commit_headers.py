from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from deltastore.errors import CorruptError, InvalidError
from deltastore.history.commits import MAX_HEADER_BYTES, CommitHeader, PreviewRef, commit_id
from deltastore.ids import bytes_digest
from tests.unit.history.samples import commit, digest, header


def full() -> CommitHeader:
    return header(
        parents=[commit(1), commit(2)],
        base=commit("base"),
        inputs=[commit(3)],
        preview=PreviewRef(digest("preview"), "ternary/1", "0.81"),
        recipe=digest("recipe"),
    )


@pytest.mark.parametrize("value", [header(), full()])
def test_a_header_comes_back(value: CommitHeader) -> None:
    assert CommitHeader.decode(value.encode()) == value


def test_the_bytes_are_canonical_and_their_hash_is_the_id() -> None:
    data = full().encode()
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode()
    assert str(commit_id(data)) == str(bytes_digest(data))
    assert set(json.loads(data)) == {
        *("author", "base", "inputs", "manifest", "message", "metadata", "metrics", "parents"),
        *("preview", "producer", "recipe", "time"),
    }


def test_two_ways_to_write_the_same_give_one_id() -> None:
    first, second = replace(full(), metadata={"a": "1", "b": "2"}), full()
    second = replace(second, metadata={"b": "2", "a": "1"})
    assert first.encode() == second.encode()


def test_unknown_keys_are_ignored() -> None:
    document = json.loads(header().encode()) | {"signature": "later"}
    assert CommitHeader.decode(json.dumps(document).encode()) == header()


def test_a_header_over_64_kib_is_refused() -> None:
    with pytest.raises(InvalidError, match="65536 allowed"):
        header(message="x" * MAX_HEADER_BYTES).encode()
    data = json.loads(header().encode()) | {"message": "x" * MAX_HEADER_BYTES}
    with pytest.raises(CorruptError, match="65536 allowed"):
        CommitHeader.decode(json.dumps(data).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"message": "e\u0301"},
        {"message": "\udc80"},
        {"time": "yesterday"},
        {"time": "2026-01-02T03:04:05+01:00"},
        {"metrics": {"loss": "nan"}},
        {"metrics": {"loss": "0,5"}},
        {"recipe": "f" * 63},
        {"parents": ("F" * 64,)},
        {"manifest": ""},
        {"preview": PreviewRef(digest(1), "ternary", "0.5")},
        {"preview": PreviewRef(digest(1), "ternary/1", "half")},
    ],
)
def test_what_a_reader_would_refuse_is_never_written(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        replace(header(), **changes).encode()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("parents", None),
        ("parents", ["abc"]),
        ("parents", [7]),
        ("base", 1),
        ("manifest", None),
        ("metadata", {"a": 1}),
        ("metadata", []),
        ("metrics", {"a": ""}),
        ("author", None),
        ("time", 0),
        ("preview", "no"),
        ("preview", {}),
        ("message", ["text"]),
    ],
)
def test_a_field_of_another_type_is_corrupt(key: str, value: Any) -> None:
    document = json.loads(header().encode()) | {key: value}
    with pytest.raises(CorruptError, match=key):
        CommitHeader.decode(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"{", b"null", b'{"a":1,"a":2}', b"\xff"])
def test_what_is_no_header_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptError, match="commit header"):
        CommitHeader.decode(data)
