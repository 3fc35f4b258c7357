"""The contract through a cache, and what of it reaches the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deltastore.cache.backend import CachingBackend
from deltastore.cache.ranges import RANGES, RangeFolder
from deltastore.errors import CorruptError, MissingObjectError, UsageError
from deltastore.storage.memory import MemoryBackend
from deltastore.storage.remote import RemoteBackend
from deltastore.testing.backend_contract import BackendContract, ObjectContract

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.cache.entries import Entry
    from deltastore.storage.backend import Backend

KEY = "packs/ab/one.safetensors"
BODY = bytes(range(256)) * 1000
LIMIT = 1 << 26


class TestCachedMemory(BackendContract):
    """Both instances of a test share one cache, as two processes would."""

    @pytest.fixture
    def backend(self, request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
        self.folder = tmp_path / "cache"
        url = f"memory://cached/{request.node.name}"
        return CachingBackend(MemoryBackend(url), RangeFolder(self.folder, LIMIT))

    def again(self, backend: Backend) -> Backend:
        return CachingBackend(MemoryBackend(backend.url), RangeFolder(self.folder, LIMIT))


class TestSmallCacheOverFsspec(ObjectContract):
    """Nearly everything is too large for it, or evicted at once."""

    @pytest.fixture
    def backend(self, request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
        self.folder = tmp_path / "cache"
        remote = RemoteBackend(f"memory://cached-small/{request.node.name}", {})
        return CachingBackend(remote, RangeFolder(self.folder, 3000))

    def again(self, backend: Backend) -> Backend:
        remote = RemoteBackend(backend.url, {})
        return CachingBackend(remote, RangeFolder(self.folder, 3000))


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> MemoryBackend:
    found = MemoryBackend(f"memory://caching/{request.node.name}")
    found.put_immutable(KEY, BODY)
    return found


@pytest.fixture
def cached(memory: MemoryBackend, tmp_path: Path) -> CachingBackend:
    return CachingBackend(memory, RangeFolder(tmp_path, LIMIT))


def traffic(memory: MemoryBackend) -> tuple[int, int]:
    assert memory.traffic.requests is not None
    return memory.traffic.requests, memory.traffic.bytes_read


def test_what_was_fetched_is_not_fetched_again(
    cached: CachingBackend, memory: MemoryBackend, tmp_path: Path
) -> None:
    assert cached.get_range(KEY, 100, 5000) == BODY[100:5100]
    before = traffic(memory)
    later = CachingBackend(memory, RangeFolder(tmp_path, LIMIT))
    for start, length in ((100, 5000), (100, 1), (5099, 1), (300, 4000), (200, 0)):
        assert later.get_range(KEY, start, length) == BODY[start : start + length]
    assert traffic(memory) == before


def test_only_the_rest_of_a_range_is_fetched(cached: CachingBackend, memory: MemoryBackend) -> None:
    cached.get_range(KEY, 1000, 1000)
    cached.get_range(KEY, 3000, 1000)
    before = traffic(memory)
    assert cached.get_range(KEY, 500, 4000) == BODY[500:4500]
    requests, read = traffic(memory)
    assert requests - before[0] == 1  # neighbors this close come in one
    assert cached.get_range(KEY, 500, 4000) == BODY[500:4500]
    assert traffic(memory) == (requests, read)


def test_ranges_asked_for_together_are_fetched_together(
    cached: CachingBackend, memory: MemoryBackend
) -> None:
    asked = [(5000, 100), (0, 100), (100, 50), (5050, 100), (90, 20), (7, 0)]
    before = traffic(memory)
    for _ in range(2):
        found = cached.get_ranges(KEY, asked)
        assert found == [BODY[start : start + length] for start, length in asked]
    assert traffic(memory)[0] - before[0] == 1


def test_prefixes_are_kept_with_where_the_object_ends(
    cached: CachingBackend, memory: MemoryBackend
) -> None:
    for length in (100, len(BODY) + 1):
        assert cached.get_prefix(KEY, length) == BODY[:length]
    before = traffic(memory)
    for length in (1, 100, 5000, len(BODY), len(BODY) + 1, 10 * len(BODY)):
        assert cached.get_prefix(KEY, length) == BODY[:length]
    assert cached.get_range(KEY, 10, 1000) == BODY[10:1010]
    assert traffic(memory) == before


def test_a_prefix_beyond_what_is_kept_is_fetched(cached: CachingBackend) -> None:
    assert cached.get_prefix(KEY, 100) == BODY[:100]
    assert cached.get_prefix(KEY, 101) == BODY[:101]
    assert cached.get_prefix(KEY, len(BODY)) == BODY


def test_a_range_beyond_the_end_fails_as_ever(cached: CachingBackend) -> None:
    cached.get_prefix(KEY, len(BODY) + 5)
    with pytest.raises(CorruptError, match="cut off"):
        cached.get_range(KEY, len(BODY) - 5, 6)
    with pytest.raises(UsageError):
        cached.get_range(KEY, -1, 5)


def test_damage_in_the_cache_costs_a_request_and_nothing_else(
    cached: CachingBackend, memory: MemoryBackend, tmp_path: Path
) -> None:
    cached.get_range(KEY, 0, 5000)
    (file,) = (path for path in (tmp_path / RANGES).rglob("*") if path.is_file())
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    before = traffic(memory)[0]
    assert cached.get_range(KEY, 1000, 4000) == BODY[1000:5000]
    assert traffic(memory)[0] == before + 1


def test_the_log_is_never_kept(cached: CachingBackend, memory: MemoryBackend) -> None:
    with pytest.raises(MissingObjectError):
        cached.get("log/00000000000000000001", max_bytes=10)
    memory.put_if_absent("log/00000000000000000001", b"one")
    memory.overwrite("log/HINT", b"1")
    assert cached.get("log/00000000000000000001", max_bytes=10) == b"one"
    assert cached.get_prefix("log/HINT", 10) == b"1"
    memory.overwrite("log/HINT", b"2")
    assert cached.get_prefix("log/HINT", 10) == b"2"
    assert cached.get_range("log/HINT", 0, 1) == b"2"
    memory.delete_many(["log/00000000000000000001"])
    with pytest.raises(MissingObjectError):
        cached.get("log/00000000000000000001", max_bytes=10)


def test_an_absent_pack_is_asked_for_each_time(
    cached: CachingBackend, memory: MemoryBackend
) -> None:
    key = "packs/cd/late.safetensors"
    for _ in range(2):
        with pytest.raises(MissingObjectError):
            cached.get_prefix(key, 9)
        with pytest.raises(MissingObjectError):
            cached.get_range(key, 0, 3)
    memory.put_immutable(key, b"here now")
    assert cached.get_prefix(key, 4) == b"here"
    assert cached.get_range(key, 0, 8) == b"here now"


def test_deleting_an_object_drops_what_is_kept_of_it(cached: CachingBackend) -> None:
    cached.get_prefix(KEY, 100)
    cached.get_range(KEY, 0, 5000)
    cached.delete_many([KEY])
    with pytest.raises(MissingObjectError):
        cached.get_prefix(KEY, 100)
    with pytest.raises(MissingObjectError):
        cached.get_range(KEY, 0, 5000)


def test_parts_of_one_piece_verify_it_once(
    memory: MemoryBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    CachingBackend(memory, RangeFolder(tmp_path, LIMIT)).get_range(KEY, 0, 200_000)
    ranges = RangeFolder(tmp_path, LIMIT)
    reads: list[Entry] = []
    read = ranges.read

    def counted(key: str, entry: Entry) -> bytes | None:
        reads.append(entry)
        return read(key, entry)

    monkeypatch.setattr(ranges, "read", counted)
    later = CachingBackend(memory, ranges)
    for start in range(0, 200_000, 1000):
        assert later.get_range(KEY, start, 1000) == BODY[start : start + 1000]
    assert len(reads) == 1
    assert later.get_range(KEY, 0, 200_000) == BODY[:200_000]
    assert len(reads) == 2


def test_what_is_remembered_is_bounded_and_forgotten(
    cached: CachingBackend, memory: MemoryBackend
) -> None:
    for start in range(0, 100_000, 10_000):
        cached.get_range(KEY, start, 10_000)
        assert cached.get_range(KEY, start + 5, 100) == BODY[start + 5 : start + 105]
        assert len(cached._recent) <= 4
    before = traffic(memory)[0]
    cached.forget(KEY)
    assert not cached._recent
    assert cached.get_range(KEY, 5, 100) == BODY[5:105]
    assert traffic(memory)[0] == before + 1
