"""What every backend must do, as tests to inherit.

class TestMyBackend(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend: ...
"""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from deltastore.errors import CorruptError, MissingObjectError, UsageError
from deltastore.storage.location import open_backend

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.storage.backend import Backend

__all__ = ["BackendContract", "ObjectContract"]

BODY = bytes(range(256)) * 40
BAD_KEYS = ("", "/absolute", "../up", "a/../b", "a//b", ".hidden", "a/.hidden", "a/", "nul\0", "ä")


class ObjectContract:
    """What even a backend that cannot create exclusively has to do.

    Attributes:
        large: bytes of the file that is uploaded; above what is sent in one piece.
    """

    large = 20 << 20

    def again(self, backend: Backend) -> Backend:
        """Another instance for the same place, as another process would have."""
        return open_backend(backend.url)

    def test_objects_come_back(self, backend: Backend) -> None:
        """Whole, of any size, counted."""
        assert backend.put_immutable("packs/ab/one.safetensors", BODY) == len(BODY)
        assert backend.get("packs/ab/one.safetensors", max_bytes=len(BODY)) == BODY
        assert backend.size("packs/ab/one.safetensors") == len(BODY)
        assert backend.exists("packs/ab/one.safetensors")
        assert backend.traffic.bytes_written >= len(BODY)
        assert backend.traffic.bytes_read >= len(BODY)
        backend.put_immutable("empty", b"")
        assert backend.get("empty", max_bytes=0) == b""
        assert backend.size("empty") == 0
        assert backend.exists("empty")

    def test_limits_are_kept(self, backend: Backend) -> None:
        """An object beyond the limit is damage, not memory."""
        backend.put_immutable("one", BODY)
        with pytest.raises(CorruptError, match="one"):
            backend.get("one", max_bytes=len(BODY) - 1)

    def test_prefixes(self, backend: Backend) -> None:
        """As long as asked for, or the whole object."""
        backend.put_immutable("one", BODY)
        assert backend.get_prefix("one", 100) == BODY[:100]
        assert backend.get_prefix("one", 1 << 20) == BODY

    def test_ranges_are_exact(self, backend: Backend) -> None:
        """Exactly the bytes asked for, in the order asked for."""
        backend.put_immutable("one", BODY)
        assert backend.get_range("one", 17, 300) == BODY[17:317]
        assert backend.get_range("one", len(BODY) - 5, 5) == BODY[-5:]
        assert backend.get_range("one", 40, 0) == b""
        asked = [(5000, 10), (0, 7), (5005, 20), (9000, 0), (10, 3000)]
        assert backend.get_ranges("one", asked) == [BODY[at : at + size] for at, size in asked]
        assert backend.get_ranges("one", []) == []

    def test_far_ranges(self, backend: Backend) -> None:
        """Ranges too far apart for one request."""
        body = secrets.token_bytes(3 << 20)
        backend.put_immutable("one", body)
        asked = [(number * 300_000, 1000 + number) for number in range(10)]
        assert backend.get_ranges("one", asked) == [body[at : at + size] for at, size in asked]

    def test_ranges_beyond_the_end_fail(self, backend: Backend) -> None:
        """Never fewer bytes than asked for."""
        backend.put_immutable("one", BODY)
        size = len(BODY)
        for start, length in ((size - 5, 6), (size, 1), (size + 1000, 10), (0, size + 1)):
            with pytest.raises(CorruptError, match="one"):
                backend.get_range("one", start, length)
            with pytest.raises(CorruptError, match="one"):
                backend.get_ranges("one", [(0, 4), (start, length)])
        for start, length in ((-1, 4), (4, -1)):
            with pytest.raises(UsageError):
                backend.get_range("one", start, length)

    def test_absent_keys(self, backend: Backend) -> None:
        """Named, with the place, by every way of reading."""
        backend.put_immutable("packs/ab/other", BODY)
        for read in (
            lambda: backend.get("packs/ab/absent", max_bytes=10),
            lambda: backend.get_prefix("packs/ab/absent", 10),
            lambda: backend.get_range("packs/ab/absent", 0, 10),
            lambda: backend.get_ranges("packs/ab/absent", [(0, 10), (200_000, 10)]),
            lambda: backend.size("packs/ab/absent"),
        ):
            with pytest.raises(MissingObjectError, match="packs/ab/absent") as caught:
                read()
            assert backend.url in str(caught.value)
        assert not backend.exists("packs/ab/absent")
        assert not backend.exists("packs/ab")

    def test_files_are_stored(self, backend: Backend, tmp_path: Path) -> None:
        """From a local file, however large; writing the same again does no harm."""
        body = secrets.token_bytes(self.large)
        for size in (0, 1, self.large):
            source = tmp_path / f"source-{size}"
            for _ in range(2):
                source.unlink(missing_ok=True)
                source.write_bytes(body[:size])
                assert backend.put_immutable(f"packs/cd/{size}", source) == size
            assert backend.size(f"packs/cd/{size}") == size
            assert backend.get(f"packs/cd/{size}", max_bytes=size) == body[:size]

    def test_creation_is_exclusive(self, backend: Backend) -> None:
        """The first bytes remain, and the second caller knows."""
        assert backend.put_if_absent("log/00000000000000000001", b"first") is True
        assert backend.put_if_absent("log/00000000000000000001", b"second") is False
        assert backend.get("log/00000000000000000001", max_bytes=99) == b"first"
        with pytest.raises(UsageError, match="empty"):
            backend.put_if_absent("log/00000000000000000002", b"")

    def test_hints_are_overwritten(self, backend: Backend) -> None:
        """Disposable objects are replaced."""
        for text in (b"1", b"22", b"3"):
            backend.overwrite("log/HINT", text)
            assert backend.get("log/HINT", max_bytes=9) == text

    def test_lists_are_fresh_and_complete(self, backend: Backend) -> None:
        """Nothing cached, nothing hidden, no neighbor with a longer name."""
        other = self.again(backend)
        assert list(other.list("packs")) == []
        keys = {"packs/aa/1", "packs/ab/2", "packs/top"}
        for key in sorted(keys):
            backend.put_immutable(key, BODY)
            assert key in set(other.list("packs"))
        backend.put_immutable("packs2/aa/3", BODY)
        assert set(other.list("packs")) == keys
        assert set(other.list("packs/")) == keys
        assert set(other.list("packs/aa")) == {"packs/aa/1"}
        assert set(other.list("")) >= {*keys, "packs2/aa/3"}

    def test_deletion(self, backend: Backend) -> None:
        """Of what is there and of what is not."""
        for number in range(5):
            backend.put_immutable(f"packs/aa/{number}", BODY)
        backend.delete_many(iter([f"packs/aa/{number}" for number in range(1, 9)]))
        assert list(backend.list("packs")) == ["packs/aa/0"]
        with pytest.raises(MissingObjectError):
            backend.get("packs/aa/1", max_bytes=1 << 20)
        backend.delete_many([])

    def test_instances_see_each_other(self, backend: Backend) -> None:
        """Read-after-write across instances, also after an answer of absent."""
        other = self.again(backend)
        assert not other.exists("log/1")
        with pytest.raises(MissingObjectError):
            other.get("log/1", max_bytes=10)
        backend.put_if_absent("log/1", b"one")
        assert other.exists("log/1")
        assert other.get("log/1", max_bytes=10) == b"one"
        assert other.get_prefix("log/1", 2) == b"on"
        backend.delete_many(["log/1"])
        assert not other.exists("log/1")

    def test_the_clock_runs(self, backend: Backend) -> None:
        """Forward, and without leaving probes behind."""
        first = backend.now()
        assert first > 1_600_000_000
        assert backend.now() >= first
        assert list(backend.list("probe")) == []

    def test_keys_stay_below_the_root(self, backend: Backend) -> None:
        """What is no key is refused before any path is built."""
        for key in BAD_KEYS:
            for call in (
                lambda key=key: backend.get(key, max_bytes=1),
                lambda key=key: backend.get_range(key, 0, 1),
                lambda key=key: backend.put_immutable(key, b"x"),
                lambda key=key: backend.put_if_absent(key, b"x"),
                lambda key=key: backend.overwrite(key, b"x"),
                lambda key=key: backend.delete_many([key]),
                lambda key=key: backend.size(key),
            ):
                with pytest.raises(UsageError):
                    call()

    def test_threads_share_an_instance(self, backend: Backend) -> None:
        """Reads and writes of many keys at once, none mixed up."""

        def work(number: int) -> bool:
            body = bytes([number]) * (1000 + number)
            backend.put_immutable(f"packs/aa/{number}", body)
            return all(
                backend.get_range(f"packs/aa/{number}", 10, 900) == body[10:910] for _ in range(5)
            )

        with ThreadPoolExecutor(12) as pool:
            assert all(pool.map(work, range(24)))


class BackendContract(ObjectContract):
    """Inherit, and give a fixture `backend` with an empty key space.

    Attributes:
        tier: what the probe has to find.
    """

    tier = "A"

    def test_races_have_one_winner(self, backend: Backend) -> None:
        """Eight threads, two instances, whole objects only."""
        places = [backend, self.again(backend)]
        for attempt in range(3):
            key, start = f"log/{attempt}", Barrier(8)
            bodies = [bytes([number]) * 50_000 for number in range(8)]

            def enter(number: int, key: str = key, start: Barrier = start) -> tuple[bool, bytes]:
                start.wait()
                place = places[number % 2]
                won = place.put_if_absent(key, bytes([number]) * 50_000)
                return won, place.get(key, max_bytes=1 << 20)

            with ThreadPoolExecutor(8) as pool:
                outcomes = list(pool.map(enter, range(8)))
            stored = backend.get(key, max_bytes=1 << 20)
            assert [bodies[number] for number, (won, _) in enumerate(outcomes) if won] == [stored]
            assert {seen for _, seen in outcomes} == {stored}

    def test_the_probe(self, backend: Backend) -> None:
        """Finds the tier, says why, and cleans up."""
        found = backend.capabilities()
        assert found.tier == self.tier, found.detail
        assert found.detail
        assert backend.capabilities() == found
        assert list(backend.list("probe")) == []
