"""Files at a URL, read in ranges: several at once, and ahead of whoever reads in order."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.errors import InvalidError, MissingObjectError
from deltastore.places.ranges import coalesce, scatter
from deltastore.places.requests import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from typing_extensions import Buffer

    from deltastore.places.place import Listed, Place

__all__ = ["UrlFile", "UrlOrigin"]

AHEAD = 4
"""Pieces under way beyond the one that is waited for; what one open file holds in memory."""


class UrlFile:
    """A listed file; see `ReadableFile`. Opening it reads nothing.

    Args:
        place: that it was listed in.
        listed: how it looked then; whatever is read has to be of that file.
        first: bytes that the first read from its beginning fetches and keeps.
    """

    def __init__(self, place: Place, listed: Listed, *, first: int) -> None:
        self._place = place
        self._listed = listed
        self._first = min(first, listed.size)
        self._head: bytes | None = None
        self._position = -1
        self._pieces: dict[int, Future[bytes]] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Its URL."""
        return self._place.name(self._listed)

    @property
    def size(self) -> int:
        """Bytes when it was listed."""
        return self._listed.size

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ReadableFile`."""
        buffer = bytearray(min(length, max(0, self.size - offset)))
        if len(buffer) < length:
            raise self._truncated(offset + length)
        self.read_into(offset, buffer)
        return bytes(buffer)

    def read_parts(self, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        """See `ReadableFile`; several at once, neighbors together."""
        ends = [offset + length for offset, length in parts]
        if max(ends, default=0) > self.size:
            raise self._truncated(max(ends))
        if max(ends, default=0) <= self._first:
            return [self._beginning()[offset : offset + length] for offset, length in parts]
        spans = coalesce(parts)
        waiting = [self._place.later(self._listed, each.start, each.length) for each in spans]
        return scatter(spans, [each.result() for each in waiting], parts)

    def read_into(self, offset: int, buffer: Buffer) -> None:
        """See `ReadableFile`."""
        with memoryview(buffer) as whole:
            if whole.nbytes == 0:
                return
            end = offset + whole.nbytes
            if end > self.size:
                raise self._truncated(end)
            with whole.cast("B") as view:
                self._fill(offset, end, view)

    def check_unchanged(self) -> None:
        """See `ReadableFile`: one request."""
        try:
            found = self._place.look(self._listed)
        except MissingObjectError:
            raise self._place.changed(self._listed) from None
        if (found.size, found.version) != (self._listed.size, self._listed.version):
            raise self._place.changed(self._listed)

    def close(self) -> None:
        """Forget what was read ahead."""
        with self._lock:
            pieces, self._pieces = self._pieces, {}
            self._head = None
        for piece in pieces.values():
            piece.cancel()

    def _fill(self, offset: int, end: int, view: memoryview) -> None:
        if end <= self._first:
            view[:] = self._beginning()[offset:end]
            return
        with self._lock:
            in_order, self._position = offset == self._position, end
        parts = self._in_order(offset, end) if in_order else self._alone(offset, end)
        done = 0
        for part in parts:
            view[done : done + len(part)] = part
            done += len(part)

    def _beginning(self) -> bytes:
        with self._lock:
            if self._head is None:
                self._head = self._place.read(self._listed, 0, self._first)
            return self._head

    def _alone(self, offset: int, end: int) -> Iterator[bytes]:
        """These bytes and no others."""
        waiting: deque[Future[bytes]] = deque()
        for start in range(offset, end, CHUNK):
            waiting.append(self._place.later(self._listed, start, min(CHUNK, end - start)))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _in_order(self, offset: int, end: int) -> Iterator[bytes]:
        """These bytes, and what follows them is on its way."""
        for number in range(offset // CHUNK, (end - 1) // CHUNK + 1):
            start = number * CHUNK
            data = self._piece(number).result()
            if start + len(data) <= end:
                self._forget(number)
            yield data[max(0, offset - start) : end - start]

    def _piece(self, number: int) -> Future[bytes]:
        with self._lock:
            for ahead in range(number, number + 1 + AHEAD):
                start = ahead * CHUNK
                if start < self.size and ahead not in self._pieces:
                    size = min(CHUNK, self.size - start)
                    self._pieces[ahead] = self._place.later(self._listed, start, size)
            return self._pieces[number]

    def _forget(self, number: int) -> None:
        with self._lock:
            self._pieces.pop(number, None)

    def _truncated(self, wanted: int) -> InvalidError:
        return InvalidError(
            f"{self.name}: truncated: byte {wanted} is wanted of {self.size} listed",
            hint="the upload may have been cut short; get the file again",
        )


@dataclass(frozen=True, slots=True)
class UrlOrigin:
    """A listed file; see `FileOrigin`."""

    place: Place
    listed: Listed

    @property
    def name(self) -> str:
        """Its URL."""
        return self.place.name(self.listed)

    @property
    def size(self) -> int:
        """Bytes when it was listed."""
        return self.listed.size

    @property
    def far(self) -> bool:
        """Reads are requests."""
        return True

    def open(self) -> UrlFile:
        """See `FileOrigin`; what one request can bring is fetched whole, once."""
        return UrlFile(self.place, self.listed, first=CHUNK if self.listed.size <= CHUNK else 0)
