"""Log entries to bytes: three lines (format-v1, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltastore.history.documents import encode_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deltastore.history.entries import Absent, Body, Head, RefMove, Spilled
    from deltastore.ids import JsonObject

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_ENTRY_BYTES",
    "MAX_HEAD_BYTES",
    "absent_document",
    "body_lists",
    "encode_body",
    "encode_head",
]

MAX_HEAD_BYTES = 4 * 1024
MAX_ENTRY_BYTES = 256 * 1024
MAX_BODY_BYTES = MAX_ENTRY_BYTES - MAX_HEAD_BYTES - 64 - 3


def body_lists(body: Body) -> dict[str, list[Any]]:
    """The lists of a body that may be spilled, as JSON, by their place."""
    lists: dict[str, list[Any]] = {
        "add": list(body.add),
        "condemn": list(body.condemn),
        "absent": [absent_document(absent) for absent in body.absent],
    }
    for number, txn in enumerate(body.txns):
        lists[f"txns/{number}/refs"] = [_move_document(move) for move in txn.refs]
        lists[f"txns/{number}/commits"] = list(txn.commits)
    return lists


def encode_body(body: Body, spilled: Mapping[str, Spilled] | None = None) -> bytes:
    """The body line, without its line feed; it may still be too long for an entry.

    Args:
        body: what to encode.
        spilled: lists kept elsewhere, by their place as `body_lists` names it.

    Raises:
        InvalidError: text that is no NFC Unicode.
    """
    kept = {place: _spilled_document(each) for place, each in (spilled or {}).items()}
    lists: dict[str, Any] = body_lists(body) | kept
    document: JsonObject = {name: lists[name] for name in ("add", "condemn", "absent")}
    document["txns"] = [
        {
            "txn": txn.txn,
            "op": txn.op,
            "actor": txn.actor,
            "time": txn.time,
            "message": txn.message,
            "refs": lists[f"txns/{number}/refs"],
            "commits": lists[f"txns/{number}/commits"],
            "meta": txn.meta,
        }
        for number, txn in enumerate(body.txns)
    ]
    if body.store is not None:
        store = body.store
        document["store"] = {"created": store.created, "single_writer": store.single_writer}
    return encode_document(document, what="log entry body", max_bytes=2**26)


def encode_head(head: Head) -> bytes:
    """The head line, without its line feed.

    Raises:
        InvalidError: more than 4 KiB.
    """
    ckpt = head.ckpt
    document: JsonObject = {
        "v": head.v,
        "prev": head.prev,
        "store_id": head.store_id,
        "body": head.body,
        "needs": list(head.needs),
        "ckpt": ckpt and {"v": ckpt.v, "pack": ckpt.pack, "root": ckpt.root},
        "writer": head.writer,
    }
    return encode_document(document, what="log entry head", max_bytes=MAX_HEAD_BYTES)


def absent_document(absent: Absent) -> JsonObject:
    """One item of an `absent` list, as JSON."""
    return {"manifest": absent.manifest, "reason": absent.reason, "from": absent.origin}


def _move_document(move: RefMove) -> JsonObject:
    return {"name": move.name, "old": move.old, "new": move.new}


def _spilled_document(spilled: Spilled) -> JsonObject:
    return {"pack": spilled.pack, "section": spilled.section, "count": spilled.count}
