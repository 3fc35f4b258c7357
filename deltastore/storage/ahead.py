"""Fetching what is known to be needed in large pieces, before it is asked for.

One request per section costs a round trip each; one per 16 MiB of a pack costs few, and while one
piece is decoded the next ones are on their way.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict, defaultdict, deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol, Self

from deltastore.places.ranges import GAP_BYTES, SPAN_BYTES, coalesce
from deltastore.storage.keys import pack_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from deltastore.storage.records import Placement

__all__ = ["RangeSource", "ReadAhead", "Window", "plan_windows"]

AHEAD_BYTES = 64 << 20
"""Asked for and not looked at yet."""

HELD_BYTES = 96 << 20
"""Looked at, and kept because sections that follow are in the same pieces."""

AT_ONCE = 4
HULL_BYTES = 1 << 62


class RangeSource(Protocol):
    """The part of a `Backend` that packs are read through."""

    def get_prefix(self, key: str, length: int) -> bytes:
        """The first `length` bytes, or all of a shorter object."""
        ...

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`."""
        ...

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Several (start, length) at once."""
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """One request: bytes [start, stop) of an object."""

    key: str
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stop - self.start


def plan_windows(placements: Iterable[Placement]) -> list[Window]:
    """The requests that bring whole sections, in the order in which these are needed.

    Sections at most 64 KiB apart come together, and are cut at multiples of 16 MiB of the object:
    two versions that need nearly the same of a base then ask for the same pieces.

    Args:
        placements: sections, in order of need; any number of times.
    """
    needs: defaultdict[str, dict[tuple[int, int], int]] = defaultdict(dict)
    for turn, placement in enumerate(placements):
        start = placement.data_start + placement.record.offset
        if placement.record.length:
            needs[pack_key(placement.pack)].setdefault((start, placement.record.length), turn)
    found = [each for key, turns in needs.items() for each in _windows(key, turns)]
    return [window for _, window in sorted(found, key=lambda each: (each[0], each[1].start))]


def _windows(key: str, turns: Mapping[tuple[int, int], int]) -> Iterator[tuple[int, Window]]:
    """The windows of one object, each with the turn in which it is needed first."""
    ranges = list(turns)
    for hull in coalesce(ranges, gap=GAP_BYTES, limit=HULL_BYTES):
        first: dict[int, int] = {}
        for start, length in (ranges[number] for number in hull.members):
            for block in range(start // SPAN_BYTES, (start + length - 1) // SPAN_BYTES + 1):
                first[block] = min(first.get(block, turns[start, length]), turns[start, length])
        for block, turn in first.items():
            start, stop = block * SPAN_BYTES, (block + 1) * SPAN_BYTES
            end = hull.start + hull.length
            yield turn, Window(key, max(start, hull.start), min(stop, end))


class ReadAhead:
    """Ranges out of windows that threads fetch ahead; a context manager. Thread-safe.

    What is in no window is read from the source.

    Args:
        source: the store, or what was kept of it.
        windows: what will be needed, in order.
    """

    def __init__(self, source: RangeSource, windows: Sequence[Window]) -> None:
        self._source = source
        self._windows: defaultdict[str, list[Window]] = defaultdict(list)
        for window in sorted(windows, key=lambda each: each.start):
            self._windows[window.key].append(window)
        self._queue = deque(windows)
        self._asked: OrderedDict[Window, Future[bytes]] = OrderedDict()
        self._held: OrderedDict[Window, Future[bytes]] = OrderedDict()
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="deltastore-ahead")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # not waited for: a generator that reads ahead may be collected in one of these threads
        self._threads.shutdown(wait=False, cancel_futures=True)

    def get_prefix(self, key: str, length: int) -> bytes:
        """See `RangeSource.get_prefix`; from the source."""
        return self._source.get_prefix(key, length)

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See `RangeSource.get_ranges`."""
        return [self.get_range(key, start, length) for start, length in ranges]

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """See `RangeSource.get_range`."""
        windows = self._covering(key, start, start + length)
        if not windows:
            return self._source.get_range(key, start, length)
        contents = ((window, self._content(window)) for window in windows)
        return b"".join(
            content[max(0, start - window.start) : start + length - window.start]
            for window, content in contents
        )

    def _covering(self, key: str, start: int, stop: int) -> list[Window]:
        """The windows that together have a range; none if some of it is in no window."""
        windows = self._windows.get(key, [])
        first = bisect_right(windows, start, key=lambda window: window.start) - 1
        found: list[Window] = []
        at = start
        for window in islice(windows, max(0, first), None):
            if at >= stop or not window.start <= at < window.stop:
                break
            found.append(window)
            at = window.stop
        return found if at >= stop else []

    def _content(self, window: Window) -> bytes:
        with self._lock:
            future = self._asked.pop(window, None) or self._held.pop(window, None)
            self._held[window] = future or self._ask(window)
            self._read_on()
            self._let_go()
            future = self._held[window]
        return future.result()

    def _ask(self, window: Window) -> Future[bytes]:
        return self._threads.submit(self._source.get_range, window.key, window.start, window.size)

    def _read_on(self) -> None:
        """Ask for what comes next, as far as the budget goes."""
        ahead = sum(window.size for window in self._asked)
        while self._queue and ahead < AHEAD_BYTES:
            window = self._queue.popleft()
            if window not in self._held and window not in self._asked:
                self._asked[window] = self._ask(window)
                ahead += window.size

    def _let_go(self) -> None:
        """Drop what was looked at longest ago; it is fetched again should it be needed."""
        held = sum(window.size for window in self._held)
        while held > HELD_BYTES and len(self._held) > 1:
            window, _ = self._held.popitem(last=False)
            held -= window.size
