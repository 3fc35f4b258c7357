"""A bounded, ordered map over the threads of this process.

numpy, zstd, BLAKE3 and the numba kernels release the interpreter lock, so threads are enough; what
has to be bounded is how far they run ahead of the consumer.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
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


class Workers:
    """A pool of threads, started on first use; a context manager.

    Functions given to `map` must not themselves wait for the same pool.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or default_threads()
        self._pool: ThreadPoolExecutor | None = None

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """`function` over `items`, results in order, at most two per thread ahead.

        The first error is raised at its place in the order; what has not begun is cancelled.
        """
        if self.threads == 1:
            yield from map(function, items)
            return
        pending: deque[Future[R]] = deque()
        with _cancelling(pending):
            for item in items:
                pending.append(self._executor().submit(function, item))
                if len(pending) > 2 * self.threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def close(self) -> None:
        """Wait for running work and end the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _executor(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="deltastore")
        return self._pool

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
