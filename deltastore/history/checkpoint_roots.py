"""The root of a log checkpoint: which segments summarize the log (format-v1, section 8)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deltastore.history.documents import Fields, encode_document, parse_document
from deltastore.storage.records import Kind, PackId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deltastore.ids import Digest, JsonObject

__all__ = ["MAX_ROOT_BYTES", "Root", "SegmentRef"]

MAX_ROOT_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class SegmentRef:
    """Where a segment is.

    Attributes:
        first: its first entry.
        last: its last entry.
        pack: the checkpoint pack it is in; None for the one that holds the root.
        hashes: of its sections, by kind.
    """

    first: int
    last: int
    pack: PackId | None
    hashes: Mapping[Kind, Digest]


_PARTS = {
    "log": Kind.SEGMENT_LOG,
    "refs": Kind.SEGMENT_REFS,
    "commits": Kind.SEGMENT_COMMITS,
    "packs": Kind.SEGMENT_PACKS,
}


@dataclass(frozen=True, slots=True)
class Root:
    """A checkpoint of the log: what summarizes entries 0 to `v`.

    Attributes:
        v: the last entry in it.
        head: hash of that entry's head.
        segments: oldest first, without a gap from 0 to `v`.
    """

    v: int
    head: Digest
    segments: tuple[SegmentRef, ...]

    def encode(self) -> bytes:
        """The bytes to store: canonical JSON."""
        segments: list[JsonObject] = [
            {"first": each.first, "last": each.last, "pack": each.pack}
            | {name: each.hashes[kind] for name, kind in _PARTS.items()}
            for each in self.segments
        ]
        document: JsonObject = {"v": self.v, "head": self.head, "segments": segments}
        return encode_document(document, what="checkpoint root", max_bytes=MAX_ROOT_BYTES)

    def inside(self, pack: PackId) -> Root:
        """The same root, read from `pack`: every segment then names its pack."""
        named = (replace(each, pack=each.pack or pack) for each in self.segments)
        return replace(self, segments=tuple(named))

    @classmethod
    def decode(cls, data: bytes) -> Root:
        """The root in stored bytes.

        Raises:
            CorruptError: a field that breaks the format, or segments that leave a gap.
        """
        fields = parse_document(data, what="checkpoint root", max_bytes=MAX_ROOT_BYTES)
        segments = tuple(_parse_segment(item) for item in fields.children("segments"))
        following = 0
        for each in segments:
            if each.first != following or each.last < each.first:
                raise fields.refuse("segments", "leaves a gap or overlaps")
            following = each.last + 1
        v = fields.integer("v")
        if following != v + 1:
            raise fields.refuse("segments", f"ends at {following - 1}, not at {v}")
        return cls(v, fields.digest("head"), segments)


def _parse_segment(fields: Fields) -> SegmentRef:
    return SegmentRef(
        first=fields.integer("first"),
        last=fields.integer("last"),
        pack=PackId(fields.digest("pack")) if fields.has("pack") else None,
        hashes={kind: fields.digest(name) for name, kind in _PARTS.items()},
    )
