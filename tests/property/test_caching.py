"""Any sequence of reads through a cache gives what the store itself gives."""

from __future__ import annotations

import tempfile
from itertools import count
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from deltastore.cache.backend import CachingBackend
from deltastore.cache.covering import parts
from deltastore.cache.entries import Entry
from deltastore.cache.ranges import RANGES, RangeFolder
from deltastore.errors import CorruptError
from deltastore.storage.memory import MemoryBackend

NUMBERS = count()
SIZE = 3000
KEYS = ("packs/aa/one", "packs/bb/two")
BODIES = {
    key: bytes((7 * n + len(key) * place) % 251 for n in range(SIZE))
    for place, key in enumerate(KEYS, start=1)
}

spans = st.tuples(st.integers(0, SIZE + 20), st.integers(0, SIZE // 2))
reads = st.one_of(
    st.tuples(st.just("ranges"), st.sampled_from(KEYS), st.lists(spans, max_size=5)),
    st.tuples(st.just("prefix"), st.sampled_from(KEYS), st.integers(1, 2 * SIZE)),
    st.tuples(st.just("damage"), st.sampled_from(KEYS), st.integers(0, 5000)),
    st.tuples(st.just("clear"), st.sampled_from(KEYS), st.just(0)),
)


def damage(folder: Path, number: int) -> None:
    files = sorted(path for path in (folder / RANGES).rglob("*") if path.is_file())
    if files:
        file = files[number % len(files)]
        content = bytearray(file.read_bytes())
        content[number % len(content)] ^= 1
        file.write_bytes(content)


def ranges_of(body: bytes, asked: list[tuple[int, int]]) -> list[bytes] | None:
    """What a store gives; None where it refuses."""
    if any(length and start + length > len(body) for start, length in asked):
        return None
    return [body[start : start + length] for start, length in asked]


@given(steps=st.lists(reads, max_size=25), limit=st.sampled_from([500, 4000, 1 << 20]))
def test_reads_through_a_cache_are_reads(steps: list[tuple[str, str, object]], limit: int) -> None:
    memory = MemoryBackend(f"memory://cache-property-{next(NUMBERS)}")
    for key, body in BODIES.items():
        memory.put_immutable(key, body)
    with tempfile.TemporaryDirectory() as name:
        folder = RangeFolder(Path(name), limit)
        cached = CachingBackend(memory, folder)
        for kind, key, detail in steps:
            if kind == "ranges":
                assert isinstance(detail, list)
                try:
                    found = cached.get_ranges(key, detail)
                except CorruptError:
                    found = None
                assert found == ranges_of(BODIES[key], detail)
            elif kind == "prefix":
                assert isinstance(detail, int)
                assert cached.get_prefix(key, detail) == BODIES[key][:detail]
            elif kind == "damage":
                assert isinstance(detail, int)
                damage(Path(name), detail)
            else:
                folder.clear()
            assert folder.census()[1] <= limit


entries = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 40)).map(lambda each: Entry(each[0], sum(each))),
    max_size=12,
)


@given(entries, st.integers(0, 60), st.integers(0, 60))
def test_parts_cover_each_byte_once_and_miss_nothing_that_is_kept(
    held: list[Entry], start: int, length: int
) -> None:
    found = parts(held, start, start + length)
    assert [byte for part in found for byte in range(part.start, part.stop)] == list(
        range(start, start + length)
    )
    kept = {byte for entry in held for byte in range(entry.start, entry.stop)}
    for part in found:
        bytes_of = range(part.start, part.stop)
        if part.entry is None:
            assert not kept & set(bytes_of)
        else:
            assert set(bytes_of) <= set(range(part.entry.start, part.entry.stop))
