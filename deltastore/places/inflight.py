"""How much may be under way at once: requests, and the bytes they will bring."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["InFlight"]


class InFlight:
    """A gate for threads. Something larger than the whole budget passes alone.

    Args:
        requests: most requests at once.
        budget: most bytes at once.
    """

    def __init__(self, requests: int, budget: int) -> None:
        self._requests = requests
        self._budget = budget
        self._running = 0
        self._bytes = 0
        self._changed = threading.Condition()

    @contextmanager
    def admit(self, size: int) -> Iterator[None]:
        """Wait until a request of `size` bytes fits, and hold its place."""
        with self._changed:
            self._changed.wait_for(lambda: self._fits(size))
            self._running += 1
            self._bytes += size
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._bytes -= size
                self._changed.notify_all()

    def _fits(self, size: int) -> bool:
        if not self._running:
            return True
        return self._running < self._requests and self._bytes + size <= self._budget
