"""Places that break one promise each, and the tier each gets."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from deltastore.errors import AccessDeniedError, NoSpaceError, UnreachableError
from deltastore.storage import probe as probing
from deltastore.storage.memory import MemoryBackend
from deltastore.storage.probe import probe, probe_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Future


class Overwriting(MemoryBackend):
    """Answers 200 and ignores the condition, as some gateways do."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self.overwrite(key, data)
        return True


class Boasting(MemoryBackend):
    """Keeps the first bytes and tells everybody they won."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        super().put_if_absent(key, data)
        return True


class Racing(MemoryBackend):
    """Looks first and writes later: what fsspec does where it has nothing better."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        if self.exists(key):
            return False
        time.sleep(0.02)
        self.overwrite(key, data)
        return True


class Torn(MemoryBackend):
    """Exclusive, but the name is there before the content."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        won = super().put_if_absent(key, data[:10])
        if won:
            time.sleep(0.05)
            self.overwrite(key, data)
        return won


class Stale(MemoryBackend):
    """Reads what was there before the last write."""

    def get(self, key: str, *, max_bytes: int) -> bytes:
        return super().get(key, max_bytes=max_bytes)[:-1]


class Rangeless(MemoryBackend):
    """Ignores where a range begins."""

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return [self.get_prefix(key, length) for _, length in ranges]


class Losing(MemoryBackend):
    """Loses every answer to a race: the client's own retry meets its object. Safe."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        won = super().put_if_absent(key, data)
        if "race" in key:
            raise UnreachableError("the answer was lost")
        return won


class Undeletable(MemoryBackend):
    """A writer without the right to delete."""

    def delete_many(self, keys: Iterable[str]) -> None:
        raise AccessDeniedError("no deletion")


@pytest.mark.parametrize(
    ("place", "tier", "words"),
    [
        (MemoryBackend, "A", "4 of 4 create races had one winner"),
        (Losing, "A", "4 of 4"),
        (Undeletable, "A", "4 of 4"),
        (Torn, "B", "saw parts"),
        (Overwriting, "C", "conditional creation is ignored"),
        (Boasting, "C", "reported as done"),
        (Racing, "C", "of 4 create races"),
        (Stale, "C", "what was written"),
        (Rangeless, "C", "ranged reads"),
    ],
)
def test_verdicts(place: type[MemoryBackend], tier: str, words: str) -> None:
    backend = place(f"memory://verdicts/{place.__name__}")
    found = probe(backend)
    assert found.tier == tier, found.detail
    assert words in found.detail
    if place is not Undeletable:
        assert list(backend.list("probe")) == []


def test_a_place_that_refuses_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(MemoryBackend):
        def put_if_absent(self, key: str, data: bytes) -> bool:
            raise AccessDeniedError("read only")

    backend = Refusing("memory://verdicts/refusing")
    with pytest.raises(AccessDeniedError):
        probe_once(backend)
    assert backend.url not in probing._known


def test_a_disk_that_fills_during_the_race_is_no_verdict() -> None:
    class Filling(MemoryBackend):
        def put_if_absent(self, key: str, data: bytes) -> bool:
            if "race" in key:
                raise NoSpaceError("full")
            return super().put_if_absent(key, data)

    with pytest.raises(NoSpaceError):
        probe(Filling("memory://verdicts/filling"))


def test_an_interrupt_before_all_racers_started_leaves_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupted(ThreadPoolExecutor):
        started = 0

        def submit(self, *arguments: Any, **options: Any) -> Future[Any]:
            self.started += 1
            if self.started == 4:
                raise KeyboardInterrupt
            return super().submit(*arguments, **options)

    monkeypatch.setattr(probing, "ThreadPoolExecutor", Interrupted)
    found: list[type[BaseException]] = []

    def run() -> None:
        try:
            probe(MemoryBackend("memory://verdicts/interrupted"))
        except KeyboardInterrupt as reason:
            found.append(type(reason))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert found == [KeyboardInterrupt]


def test_one_probe_per_process_and_place() -> None:
    backend = MemoryBackend("memory://verdicts/once")
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(backend.capabilities())) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = backend.traffic.requests
    assert MemoryBackend("memory://verdicts/once").capabilities() == found[0]
    assert backend.traffic.requests == spent
    assert len(set(map(id, found))) == 1


class ReadOnly(MemoryBackend):
    """Lets everybody read and nobody write."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        del data
        raise AccessDeniedError(f"{self.url}: {key}: access denied: no")


def test_who_may_not_write_is_told_that_reading_is_another_matter() -> None:
    with pytest.raises(AccessDeniedError, match="nothing can be written there") as caught:
        probe(ReadOnly("memory://read-only"))
    assert "reading may still work" in caught.value.hint
