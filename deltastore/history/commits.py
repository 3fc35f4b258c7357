"""Commit headers: what one version is, without a word on where its bytes are kept.

Bytes: docs/reference/format-v1.md, section 5. The id is the hash of the stored bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltastore.errors import CorruptError, InvalidError
from deltastore.history.documents import Fields, encode_document, parse_document
from deltastore.ids import CommitId, Digest, bytes_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deltastore.errors import DeltastoreError
    from deltastore.ids import JsonObject

__all__ = ["MAX_HEADER_BYTES", "CommitHeader", "PreviewRef", "commit_id"]

MAX_HEADER_BYTES = 64 * 1024

_DECIMAL = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_CODEC = re.compile(r"[a-z0-9-]+/[0-9]+")


@dataclass(frozen=True, slots=True)
class PreviewRef:
    """A second, lossy reading of a version.

    Attributes:
        manifest: names the previewed tensors where there are any, the exact ones elsewhere.
        codec: that made the previewed tensors, such as `ternary/1`.
        error: |exact - preview| / |exact - base| over all previewed tensors, as a decimal string.
    """

    manifest: Digest
    codec: str
    error: str


@dataclass(frozen=True, slots=True)
class CommitHeader:
    """One version.

    Attributes:
        parents: what stood on the branch before, the first one first.
        manifest: its files and tensors.
        base: what it was fine-tuned from, or None.
        inputs: other versions it was made from, such as the inputs of a merge.
        preview: its lossy reading, or None.
        author: of the version, for people.
        time: RFC 3339, UTC, for people.
        message: for people.
        recipe: a blob that says how it was made, or None.
        metadata: free text by name.
        metrics: decimal strings by name.
        producer: program and version that made the commit.
    """

    parents: tuple[CommitId, ...]
    manifest: Digest
    base: CommitId | None
    inputs: tuple[CommitId, ...]
    preview: PreviewRef | None
    author: str
    time: str
    message: str
    recipe: Digest | None
    metadata: Mapping[str, str] = field(hash=False)
    metrics: Mapping[str, str] = field(hash=False)
    producer: str

    def encode(self) -> bytes:
        """The bytes to store: canonical JSON.

        Raises:
            InvalidError: more than 64 KiB, or a field that `decode` would refuse.
        """
        data = encode_document(_document(self), what="commit header", max_bytes=MAX_HEADER_BYTES)
        _parse(data, InvalidError)
        return data

    @classmethod
    def decode(cls, data: bytes) -> CommitHeader:
        """The header in stored bytes; keys of later versions are ignored.

        Raises:
            CorruptError: no valid header.
        """
        return _parse(data, CorruptError)


def commit_id(data: bytes) -> CommitId:
    """The id of the commit whose header is stored as `data`."""
    return CommitId(bytes_digest(data))


def _document(header: CommitHeader) -> JsonObject:
    preview = header.preview
    return {
        "author": header.author,
        "base": header.base,
        "inputs": list(header.inputs),
        "manifest": header.manifest,
        "message": header.message,
        "metadata": dict(header.metadata),
        "metrics": dict(header.metrics),
        "parents": list(header.parents),
        "preview": preview
        and {"codec": preview.codec, "error": preview.error, "manifest": preview.manifest},
        "producer": header.producer,
        "recipe": header.recipe,
        "time": header.time,
    }


def _parse(data: bytes, error: type[DeltastoreError]) -> CommitHeader:
    fields = parse_document(data, what="commit header", max_bytes=MAX_HEADER_BYTES, error=error)
    base = fields.optional_digest("base")
    return CommitHeader(
        parents=tuple(map(CommitId, fields.digests("parents"))),
        manifest=fields.digest("manifest"),
        base=None if base is None else CommitId(base),
        inputs=tuple(map(CommitId, fields.digests("inputs"))),
        preview=_preview(fields.child("preview")) if fields.has("preview") else None,
        author=fields.text("author"),
        time=fields.time("time"),
        message=fields.text("message"),
        recipe=fields.optional_digest("recipe"),
        metadata=fields.strings("metadata"),
        metrics=_metrics(fields),
        producer=fields.text("producer"),
    )


def _preview(fields: Fields) -> PreviewRef:
    return PreviewRef(
        manifest=fields.digest("manifest"),
        codec=fields.matching("codec", _CODEC, "a codec such as ternary/1"),
        error=fields.matching("error", _DECIMAL, "a decimal number"),
    )


def _metrics(fields: Fields) -> dict[str, str]:
    metrics = fields.strings("metrics")
    for name, value in metrics.items():
        if _DECIMAL.fullmatch(value) is None:
            raise fields.refuse("metrics", f"has {name} = {value[:40]!r}, no decimal number")
    return metrics
