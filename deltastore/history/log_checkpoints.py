"""Checkpoints of the log in a store: read by every cold client, written by every 64th commit.

A checkpoint is believed only because a head of the chain names it; what it says is what replaying
the log would say (format-v1, section 8).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeAlias

from deltastore.errors import CorruptError, IntegrityError, UnsupportedError
from deltastore.history.checkpoint_roots import MAX_ROOT_BYTES, Root, SegmentRef
from deltastore.history.entries import CheckpointRef
from deltastore.history.segment_rows import MAX_SECTION_BYTES
from deltastore.history.segments import (
    RADIX,
    STATE_KINDS,
    Segment,
    merge,
    state_of,
    stretches,
    summarize,
)
from deltastore.ids import bytes_digest
from deltastore.storage.blobs import BLOB_CODEC, blob_block_length, decode_blob_block
from deltastore.storage.packs import publish
from deltastore.storage.records import Kind
from deltastore.storage.spool import PackSpool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.history.entries import Entry
    from deltastore.history.state import LogState
    from deltastore.ids import Digest
    from deltastore.storage.backend import Backend
    from deltastore.storage.packs import PackReader
    from deltastore.storage.records import PackId, Placement

__all__ = ["EntrySource", "build", "due", "load_root", "load_sections", "load_state"]

EntrySource: TypeAlias = Callable[[int, int], "Iterable[Entry]"]
"""Entries from the first to the last position, both included."""

THREADS = 16
TARGET_BYTES = 1 << 30

_LOGGER = logging.getLogger(__name__)


def due(tip: int, newest: int) -> int | None:
    """Where a checkpoint should end now, if one is due.

    Args:
        tip: the newest entry.
        newest: the last entry in the newest checkpoint, or -1.
    """
    end = (tip + 1) // RADIX * RADIX - 1
    return end if end > newest else None


def load_root(packs: PackReader, ckpt: CheckpointRef) -> Root:
    """The root that a head names.

    Raises:
        IntegrityError: it is missing or damaged, or about another entry.
    """
    placement = _find(packs, ckpt.pack, Kind.CHECKPOINT, ckpt.root)
    root = Root.decode(packs.object(placement, max_bytes=MAX_ROOT_BYTES)).inside(ckpt.pack)
    if root.v != ckpt.v:
        raise CorruptError(f"the checkpoint of entry {ckpt.v} is one of entry {root.v}")
    return root


def load_sections(packs: PackReader, where: SegmentRef, kinds: Sequence[Kind]) -> dict[Kind, bytes]:
    """Some sections of a segment, neighbors in one request.

    Raises:
        IntegrityError: one is missing or damaged.
    """
    if where.pack is None:
        raise CorruptError(f"segment {where.first} names no pack")
    found = [_find(packs, where.pack, kind, where.hashes[kind]) for kind in kinds]
    contents = map(_content, found, packs.sections(found))
    return dict(zip(kinds, contents, strict=True))


def load_state(packs: PackReader, root: Root, store_id: str, *, parallel: bool = False) -> LogState:
    """The state at the end of a checkpoint.

    Args:
        packs: of the store.
        root: the checkpoint.
        store_id: of the store.
        parallel: whether requests take time, so that several should be under way.

    Raises:
        IntegrityError: a segment is missing or damaged.
    """

    def load(where: SegmentRef) -> Segment:
        return Segment.of(where.first, where.last, load_sections(packs, where, STATE_KINDS))

    if not parallel or len(root.segments) < 2:
        return state_of([load(each) for each in root.segments], store_id, root.head)
    with ThreadPoolExecutor(min(THREADS, len(root.segments))) as threads:
        return state_of(list(threads.map(load, root.segments)), store_id, root.head)


def build(
    backend: Backend,
    packs: PackReader,
    entries: EntrySource,
    previous: Root | None,
    end: int,
    *,
    writer: str,
) -> CheckpointRef:
    """Write a checkpoint of entries 0 to `end` as one pack.

    Stretches that a segment of `previous` covers already are taken over by name; 64 segments of
    one level become one of the next.

    Args:
        backend: where it goes.
        packs: reads segments to be merged.
        entries: reads the log.
        previous: the newest checkpoint, or None.
        end: the last entry in it; `end` + 1 is a multiple of 64.
        writer: program and version, kept in the pack.

    Returns:
        What the next head is to name; its pack has to be added by the same entry.
    """
    known = previous.segments if previous is not None else ()
    kept = {(each.first, each.last): each for each in known}
    with (
        TemporaryDirectory(prefix="deltastore-") as folder,
        PackSpool(Path(folder), writer, target_bytes=TARGET_BYTES) as spool,
    ):
        segments = []
        for stretch in stretches(0, end):
            fresh = stretch not in kept
            segments.append(
                _store(spool, _segment(packs, entries, known, *stretch)) if fresh else kept[stretch]
            )
        (head,) = (entry.hash for entry in entries(end, end))
        data = Root(end, head, tuple(segments)).encode()
        spool.add_blob("checkpoint", Kind.CHECKPOINT, bytes_digest(data), data)
        return CheckpointRef(end, _publish(backend, spool), bytes_digest(data))


def _publish(backend: Backend, spool: PackSpool) -> PackId:
    finished = spool.finish()
    if len(finished) != 1:
        raise UnsupportedError("a checkpoint of more than 1 GiB; the log stays without a newer one")
    publish(backend, finished[0])
    return finished[0].pack


def _store(spool: PackSpool, segment: Segment) -> SegmentRef:
    hashes: dict[Kind, Digest] = {}
    for kind, data in segment.sections().items():
        hashes[kind] = bytes_digest(data)
        spool.add_blob("checkpoint", kind, hashes[kind], data)
    return SegmentRef(segment.first, segment.last, None, hashes)


def _segment(
    packs: PackReader,
    entries: EntrySource,
    known: Sequence[SegmentRef],
    first: int,
    last: int,
) -> Segment:
    """The segment of a stretch: from smaller ones where there are any, else from the log."""
    parts: list[Segment] = []
    for where in known:
        if where.first == first and where.last <= last:
            parts.append(_read(packs, entries, where))
            first = where.last + 1
    if first <= last:
        parts.append(summarize(list(entries(first, last))))
    return merge(parts)


def _read(packs: PackReader, entries: EntrySource, where: SegmentRef) -> Segment:
    try:
        sections = load_sections(packs, where, (*STATE_KINDS, Kind.SEGMENT_LOG))
        return Segment.of(where.first, where.last, sections)
    except IntegrityError as reason:
        _LOGGER.warning(
            "segment %d to %d is read from the log: %s", where.first, where.last, reason
        )
        return summarize(list(entries(where.first, where.last)))


def _find(packs: PackReader, pack: PackId, kind: Kind, digest: Digest) -> Placement:
    for placement in packs.index(pack):
        if placement.record.kind is kind and placement.record.digest == digest:
            return placement
    raise CorruptError(f"checkpoint pack {pack} has no {kind.name.lower()} {digest}")


def _content(placement: Placement, payloads: tuple[bytes, ...]) -> bytes:
    record = placement.record
    what = f"pack {placement.pack}, {record.kind.name.lower()}"
    if record.raw_length > MAX_SECTION_BYTES or record.codec != BLOB_CODEC:
        raise CorruptError(f"{what}: {record.raw_length} bytes as {record.codec}")
    data = b"".join(
        decode_blob_block(payload, blob_block_length(record.raw_length, number), what=what)
        for number, payload in enumerate(payloads)
    )
    if bytes_digest(data) != record.digest:
        raise CorruptError(f"{what}: its content is not what its hash says")
    return data
