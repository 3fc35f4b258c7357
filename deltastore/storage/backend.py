"""What the store asks of the place its bytes live in: about ten methods over one key space.

Keys are `/`-separated paths below the store's root, as docs/reference/format-v1.md lists them.
Every method raises only `deltastore.errors`: `MissingObjectError` for an absent key,
`StorageError`s for the rest.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["Backend", "Capabilities", "Traffic"]

Tier = Literal["A", "B", "C"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a probe found.

    Attributes:
        tier: A is safe for many writers; B and C are not (format-v1, section 1.1).
        detail: one sentence for people, such as "8 of 8 create races had one winner".
    """

    tier: Tier
    detail: str


@dataclass(slots=True)
class Traffic:
    """What went over the wire since the backend was opened.

    Attributes:
        requests: calls to an object store; None on a local disk.
        bytes_read: payload bytes received.
        bytes_written: payload bytes sent.
    """

    requests: int | None = None
    bytes_read: int = 0
    bytes_written: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def count(self, *, read: int = 0, written: int = 0, requests: int = 1) -> None:
        """Add a request (or several) and its bytes, from any thread."""
        with self._lock:
            if self.requests is not None:
                self.requests += requests
            self.bytes_read += read
            self.bytes_written += written


class Backend(Protocol):
    """One store's key space. Implementations are thread-safe."""

    @property
    def url(self) -> str:
        """Where it is, without any credential."""
        ...

    @property
    def traffic(self) -> Traffic:
        """Counters, live."""
        ...

    def get(self, key: str, *, max_bytes: int) -> bytes:
        """The whole object, which must not be larger than `max_bytes` (`CorruptError`)."""
        ...

    def get_prefix(self, key: str, length: int) -> bytes:
        """The first `length` bytes, or all of a shorter object, in one request."""
        ...

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`; a shorter object is `CorruptError`."""
        ...

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Several (start, length) at once, neighbours coalesced into one request."""
        ...

    def put_immutable(self, key: str, source: Path | bytes) -> int:
        """Write an object under a name never used before, durably; returns its size in bytes."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Create the object, whole or not at all: True if this call did, False if it was there.

        Any other failure (time-outs, lost answers) raises, and says nothing about the outcome.
        """
        ...

    def overwrite(self, key: str, data: bytes) -> None:
        """Replace a disposable object (`log/HINT` and nothing else)."""
        ...

    def exists(self, key: str) -> bool:
        """Whether the key is there. May lag behind other writers."""
        ...

    def size(self, key: str) -> int:
        """Bytes of the object."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Keys below a prefix (a folder), in any order; never from a cache."""
        ...

    def delete_many(self, keys: Iterable[str]) -> None:
        """Delete; keys that are absent are no error."""
        ...

    def now(self) -> float:
        """The backend's own clock, as a POSIX time, read by writing a probe object."""
        ...

    def capabilities(self) -> Capabilities:
        """Probe (once per process) what format-v1 section 1.1 asks for."""
        ...
