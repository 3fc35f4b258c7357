from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from deltastore.errors import CorruptError, UnreachableError
from deltastore.history.checkpoint_roots import Root, SegmentRef
from deltastore.history.entries import RefMove, log_key
from deltastore.history.log import Log
from deltastore.history.log_checkpoints import due, load_root, load_sections
from deltastore.history.segments import Segment, merge, state_of, stretches, summarize
from deltastore.history.state import EMPTY
from deltastore.storage.keys import pack_key
from deltastore.storage.memory import MemoryBackend
from deltastore.storage.packs import PackReader
from deltastore.storage.records import Kind
from tests.unit.history.samples import (
    STORE_ID,
    body,
    commit,
    digest,
    entry_after,
    genesis,
    pack,
    transaction,
)
from tests.unit.history.stores import committing, fresh_backend, fresh_url, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deltastore.history.entries import Entry


def synthetic(last: Entry, count: int) -> Iterator[Entry]:
    """A history with commits on several branches, tags, deletions and condemnations."""
    stands: dict[str, int] = {}
    for v in range(1, count + 1):
        ref = f"models/me/m{v % 7}/heads/main"
        old = commit(stands[ref]) if ref in stands else None
        content = body(transaction(v, [RefMove(ref, old, commit(v))], [commit(v)], pack(v)))
        content = body(*content.txns, add=[pack(v)])
        if v % 11 == 0 and ref in stands:
            content = body(transaction(v, [RefMove(ref, old, None)]))
            del stands[ref]
        elif v % 13 == 0:
            content = body(transaction(v), condemn=[pack(v - 5), pack(f"unlogged {v}")])
        elif v % 17 == 0:
            tag = f"models/me/m{v % 7}/tags/v{v}"
            content = body(transaction(v, [RefMove(tag, None, commit(max(stands.values())))]))
        else:
            stands[ref] = v
        last = entry_after(last, content)
        yield last


def filled(count: int) -> MemoryBackend:
    """A store with `count` entries beside entry 0, none of which names a checkpoint."""
    backend = fresh_backend()
    log = started(backend)
    for entry in synthetic(log.entry(0), count):
        backend.put_if_absent(log_key(entry.v), entry.data)
    return backend


def requests(backend: MemoryBackend) -> int:
    assert backend.traffic.requests is not None
    return backend.traffic.requests


@pytest.mark.parametrize(
    ("tip", "newest", "expected"),
    [(0, -1, None), (62, -1, None), (63, -1, 63), (126, 63, None), (127, 63, 127), (300, -1, 255)],
)
def test_when_a_checkpoint_is_due(tip: int, newest: int, expected: int | None) -> None:
    assert due(tip, newest) == expected


def test_stretches_are_aligned_and_few() -> None:
    assert stretches(0, 63) == [(0, 63)]
    assert stretches(0, 191) == [(0, 63), (64, 127), (128, 191)]
    assert stretches(0, 4095) == [(0, 4095)]
    assert stretches(0, 4223) == [(0, 4095), (4096, 4159), (4160, 4223)]
    assert stretches(0, 262143) == [(0, 262143)]
    assert len(stretches(0, 262143 + 4096 + 64)) == 3


def test_merging_summaries_is_summarizing_the_whole() -> None:
    entries = [genesis(), *synthetic(genesis(), 255)]
    parts = [summarize(entries[at : at + 64]) for at in range(0, 256, 64)]
    whole = summarize(entries)
    assert merge(parts) == whole
    assert merge([merge(parts[:2]), merge(parts[2:])]) == whole
    state = EMPTY.apply_all(entries)
    assert state_of(parts, STORE_ID, entries[-1].hash) == state


def test_a_segment_comes_back() -> None:
    segment = summarize([genesis(), *synthetic(genesis(), 127)])
    assert Segment.of(0, 127, segment.sections()) == segment


@pytest.mark.parametrize("count", [62, 63, 64, 127, 300])
def test_the_next_writer_makes_a_checkpoint_that_says_what_replaying_says(count: int) -> None:
    backend = filled(count)
    writer = Log.open(backend)
    entry = writer.append(committing("last"))
    assert (entry.head.ckpt is not None) == (count >= 63)
    cold = Log.open(backend)
    assert cold.refresh() == writer.state == cold.replay()


def test_5000_entries_are_read_with_few_requests() -> None:
    backend = filled(5000)
    writer = Log.open(backend)
    writer.append(committing("last"))
    root = writer.root()
    assert root is not None
    assert [(each.first, each.last) for each in root.segments] == stretches(0, 4991)
    before = requests(backend)
    cold = Log.open(backend)
    state = cold.refresh()
    used = requests(backend) - before
    # FORMAT, entry 0, hint, tip: 5; root: 2; a segment each in this one pack: 2; tail: 10
    assert used <= 60
    assert state == writer.state == cold.replay()


def test_a_checkpoint_grows_by_what_is_new() -> None:
    backend = fresh_backend()
    log = started(backend)
    for v in range(1, 301):
        log.append(committing(v, f"models/me/m{v % 5}/heads/main"))
    assert log.state.ckpt is not None
    assert log.state.ckpt.v == 255
    root = log.root()
    assert root is not None
    assert len({each.pack for each in root.segments}) == 4
    before = requests(backend)
    cold = Log.open(backend)
    assert cold.refresh() == log.state == cold.replay()
    assert requests(backend) - before <= 5 + 2 + 46 + 2 * 4 + 301


def test_the_cost_of_a_cold_read_does_not_grow_with_history() -> None:
    used = []
    for count in (200, 4300):
        backend = filled(count)
        Log.open(backend).append(committing("last"))
        before = requests(backend)
        Log.open(backend).refresh()
        used.append(requests(backend) - before)
    assert max(used) <= 75


def test_64_segments_become_one() -> None:
    backend = filled(4094)
    log = Log.open(backend)
    log.append(committing("a"))
    root = log.root()
    assert root is not None
    assert len(root.segments) == 63
    first = Log.open(backend).refresh()
    assert first == log.state
    log.append(committing("b"))
    log.append(committing("c"))
    root = log.root()
    assert root is not None
    assert [(each.first, each.last) for each in root.segments] == [(0, 4095)]
    assert Log.open(backend).refresh() == log.state == log.replay()


def test_the_segment_log_is_the_log_verbatim() -> None:
    backend = filled(130)
    log = Log.open(backend)
    log.append(committing("last"))
    root = log.root()
    assert root is not None
    lines = b"".join(
        load_sections(PackReader(backend), each, [Kind.SEGMENT_LOG])[Kind.SEGMENT_LOG]
        for each in root.segments
    ).split(b"\n")
    for entry in log.entries(0, 127):
        assert (lines[2 * entry.v], lines[2 * entry.v + 1]) == (entry.head_line, entry.body_line)


def with_checkpoint() -> tuple[MemoryBackend, Log]:
    backend = filled(130)
    log = Log.open(backend)
    log.append(committing("last"))
    return backend, log


def test_a_missing_checkpoint_costs_time_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    backend, log = with_checkpoint()
    assert log.state.ckpt is not None
    backend.delete_many([pack_key(log.state.ckpt.pack)])
    with caplog.at_level(logging.WARNING):
        cold = Log.open(backend)
        assert cold.refresh() == log.state
    assert "is ignored" in caplog.text
    for v in range(70):
        cold.append(committing(f"more {v}"))
    assert cold.state.ckpt is not None
    assert cold.state.ckpt.v == 191
    assert cold.root() is not None
    assert Log.open(backend).refresh() == cold.state == cold.replay()


@pytest.mark.parametrize("part", ["index", "data"])
def test_a_damaged_checkpoint_is_never_believed(
    part: str, caplog: pytest.LogCaptureFixture
) -> None:
    backend, log = with_checkpoint()
    assert log.state.ckpt is not None
    key = pack_key(log.state.ckpt.pack)
    data = bytearray(backend.get(key, max_bytes=1 << 30))
    start = PackReader(backend).index(log.state.ckpt.pack)[0].data_start
    span = range(4096, start) if part == "index" else range(start, len(data))
    for at in span:
        data[at] ^= 0x55
    backend.overwrite(key, bytes(data))
    assert Log.open(backend).refresh() == log.state
    assert "is ignored" in caplog.text


def test_a_checkpoint_that_no_head_names_is_ignored() -> None:
    backend, log = with_checkpoint()
    rival = Log.open(backend)
    rival.refresh()
    rival._checkpoints.next(rival.state)
    assert Log.open(backend).refresh() == log.state


def test_a_checkpoint_that_cannot_be_written_does_not_fail_the_commit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class NoPacks(MemoryBackend):
        def put_immutable(self, key: str, source: Path | bytes) -> int:
            raise UnreachableError(f"cannot write {key}")

    url = fresh_url()
    log = started(NoPacks(url))
    for v in range(70):
        log.append(committing(v))
    assert log.state.ckpt is None
    assert "was made" in caplog.text
    assert Log.open(MemoryBackend(url)).append(committing("x")).head.ckpt is not None


def test_a_checkpoint_made_for_a_lost_race_is_used_in_the_next() -> None:
    backend = filled(63)
    log, rival = Log.open(backend), Log.open(backend)
    log.refresh()
    first = log._checkpoints.next(log.state)
    rival.append(committing("rival"))
    assert rival.state.ckpt is not None
    assert log._checkpoints.next(log.state) == first
    log.append(committing("mine"))
    assert log.state.ckpt == rival.state.ckpt


def test_a_root_that_leaves_a_gap_is_corrupt() -> None:
    def segment(first: int, last: int) -> SegmentRef:
        kinds = (*(Kind.SEGMENT_LOG, Kind.SEGMENT_REFS, Kind.SEGMENT_COMMITS, Kind.SEGMENT_PACKS),)
        return SegmentRef(first, last, pack(1), {kind: digest(kind) for kind in kinds})

    whole = Root(127, digest("head"), (segment(0, 63), segment(64, 127)))
    assert Root.decode(whole.encode()) == whole
    for segments, v in [
        ((segment(0, 63), segment(65, 127)), 127),
        ((segment(64, 127),), 127),
        ((segment(0, 63),), 127),
        ((segment(0, 63), segment(64, 63)), 63),
        ((), 5),
    ]:
        with pytest.raises(CorruptError, match="segments"):
            Root.decode(Root(v, digest("head"), segments).encode())


def test_a_root_about_another_entry_is_corrupt() -> None:
    backend, log = with_checkpoint()
    ckpt = log.state.ckpt
    assert ckpt is not None
    with pytest.raises(CorruptError, match="is one of entry"):
        load_root(PackReader(backend), type(ckpt)(63, ckpt.pack, ckpt.root))
    with pytest.raises(CorruptError, match="has no checkpoint"):
        load_root(PackReader(backend), type(ckpt)(ckpt.v, ckpt.pack, digest("other")))
