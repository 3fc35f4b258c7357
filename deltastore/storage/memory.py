"""A store in this process's memory: for tests and for trying things out.

All instances of one `memory://` URL share one key space, and one lock makes creation exclusive.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from deltastore.errors import CorruptError, MissingObjectError
from deltastore.places.failures import local_failures
from deltastore.places.ranges import check_range, checked, coalesce, scatter
from deltastore.storage.backend import Capabilities, Traffic
from deltastore.storage.keys import check_creation, check_key
from deltastore.storage.probe import probe_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["MemoryBackend"]


@dataclass(slots=True)
class _Space:
    objects: dict[str, bytes] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)


_SPACES: dict[str, _Space] = {}
_SPACES_LOCK = threading.Lock()


class MemoryBackend:
    """See `Backend`. Requests are counted as an object store would count them.

    Args:
        url: `memory://name`; the name picks the key space.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._traffic = Traffic(requests=0)
        with _SPACES_LOCK:
            self._space = _SPACES.setdefault(self._url, _Space())

    @property
    def url(self) -> str:
        """The URL it was opened with."""
        return self._url

    @property
    def traffic(self) -> Traffic:
        """Counters, live."""
        return self._traffic

    def get(self, key: str, *, max_bytes: int) -> bytes:
        """See `Backend.get`."""
        data = self.get_prefix(key, max_bytes + 1)
        if len(data) > max_bytes:
            raise CorruptError(f"{self._url}: {key} is larger than {max_bytes} bytes")
        return data

    def get_prefix(self, key: str, length: int) -> bytes:
        """See `Backend.get_prefix`."""
        return self._read(key, 0, length)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """See `Backend.get_range`."""
        check_range(start, length)
        return checked(self._read(key, start, length), f"{self._url}: {key}", start, length)

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See `Backend.get_ranges`."""
        spans = coalesce(ranges)
        found = [self.get_range(key, span.start, span.length) for span in spans]
        return scatter(spans, found, ranges)

    def put_immutable(self, key: str, source: Path | bytes) -> int:
        """See `Backend.put_immutable`."""
        if isinstance(source, Path):
            with local_failures(str(source)):
                source = source.read_bytes()
        self.overwrite(key, source)
        return len(source)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See `Backend.put_if_absent`."""
        with self._space.lock:
            if check_creation(key, data) in self._space.objects:
                self._traffic.count()
                return False
            self.overwrite(key, data)
            return True

    def overwrite(self, key: str, data: bytes) -> None:
        """See `Backend.overwrite`."""
        with self._space.lock:
            self._space.objects[check_key(key)] = bytes(data)
            self._traffic.count(written=len(data))

    def exists(self, key: str) -> bool:
        """See `Backend.exists`."""
        with self._space.lock:
            self._traffic.count()
            return check_key(key) in self._space.objects

    def size(self, key: str) -> int:
        """See `Backend.size`."""
        with self._space.lock:
            self._traffic.count()
            return len(self._object(key))

    def list(self, prefix: str) -> Iterator[str]:
        """See `Backend.list`."""
        with self._space.lock:
            self._traffic.count()
            keys = list(self._space.objects)
        below = prefix.rstrip("/") + "/" if prefix else ""
        return iter([key for key in keys if key.startswith(below)])

    def delete_many(self, keys: Iterable[str]) -> None:
        """See `Backend.delete_many`."""
        with self._space.lock:
            for key in keys:
                self._traffic.count()
                self._space.objects.pop(check_key(key), None)

    def now(self) -> float:
        """See `Backend.now`: this process is the backend."""
        return time.time()

    def capabilities(self) -> Capabilities:
        """See `Backend.capabilities`."""
        return probe_once(self)

    def _object(self, key: str) -> bytes:
        try:
            return self._space.objects[check_key(key)]
        except KeyError:
            raise MissingObjectError(f"{self._url}: there is no {key}") from None

    def _read(self, key: str, start: int, length: int) -> bytes:
        with self._space.lock:
            data = self._object(key)[start : start + length]
            self._traffic.count(read=len(data))
        return data
