"""A bounded, ordered map over the threads of this process.

numpy, zstd, BLAKE3 and the numba kernels release the interpreter lock, so threads are enough; what
has to be bounded is how far they run ahead of the consumer.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from types import TracebackType

__all__ = ["Workers", "default_threads"]

T = TypeVar("T")
R = TypeVar("R")


def default_threads() -> int:
    """Processors this process may use, at most 16."""
    return min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)


@dataclass(slots=True)
class _Pool:
    """Threads, the calls of `map` that use them, and whether they end with the last of these."""

    executor: ThreadPoolExecutor
    users: int = 0
    retired: bool = False


class Workers:
    """A pool of threads, started on first use; a context manager. Thread-safe.

    Functions given to `map` must not themselves wait for the same pool.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or default_threads()
        self._pool: _Pool | None = None
        # a collected generator may give its lease back in the middle of another one's taking
        self._lock = threading.RLock()

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """`function` over `items`, results in order, at most two per thread ahead.

        The first error is raised at its place in the order; what has not begun is cancelled.
        """
        if self.threads == 1:
            yield from map(function, items)
            return
        pending: deque[Future[R]] = deque()
        with self._leased() as executor, _cancelling(pending):
            for item in items:
                pending.append(executor.submit(function, item))
                if len(pending) > 2 * self.threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def close(self) -> None:
        """End the threads: now if nothing uses them, else when the last `map` under way is done.

        A later `map` starts new ones.
        """
        with self._lock:
            pool, self._pool = self._pool, None
            if pool is None:
                return
            pool.retired = True
            idle = not pool.users
        if idle:
            pool.executor.shutdown(wait=True)

    @contextmanager
    def _leased(self) -> Generator[ThreadPoolExecutor]:
        """The threads, which stay at least as long as this context."""
        with self._lock:
            if self._pool is None:
                executor = ThreadPoolExecutor(self.threads, thread_name_prefix="deltastore")
                self._pool = _Pool(executor)
            pool = self._pool
            pool.users += 1
        try:
            yield pool.executor
        finally:
            with self._lock:
                pool.users -= 1
                last = pool.retired and not pool.users
            if last:
                # not waited for: a generator may be collected in one of these threads
                pool.executor.shutdown(wait=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def _cancelling(pending: deque[Future[R]]) -> Generator[None]:
    try:
        yield
    finally:
        for future in pending:
            future.cancel()
