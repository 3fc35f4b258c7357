"""Requests to a file system that is elsewhere: bounded, counted, repeated after passing trouble."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING, Any, TypeVar

from deltastore.errors import StorageError, UnreachableError
from deltastore.places.connection import is_transient, remote_failure
from deltastore.places.inflight import InFlight

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ATTEMPTS", "BUDGET", "CHUNK", "Requests"]

_T = TypeVar("_T")

REQUESTS = 16
BUDGET = 256 << 20
CHUNK = 8 << 20
ATTEMPTS = 3
FIRST_PAUSE = 0.1


class Requests:
    """Calls of one file system's methods, from any thread of the process that made this.

    Args:
        url: of the place, for messages.
        filesystem: of fsspec.
        count: called before each attempt.
    """

    def __init__(self, url: str, filesystem: Any, count: Callable[[], None] = lambda: None) -> None:
        # only file systems made for it are used from several threads at once
        self.at_once = REQUESTS if getattr(filesystem, "async_impl", False) else 1
        self._url = url
        self._count = count
        self._inflight = InFlight(self.at_once, BUDGET)
        self._process = os.getpid()

    def check_process(self) -> None:
        """Refuse to be used in a forked child.

        Raises:
            StorageError: this is one.
        """
        if os.getpid() != self._process:
            raise StorageError(
                f"{self._url} was opened before this process was forked",
                hint="open the store in the child, or start processes with spawn",
            )

    def call(
        self, where: str, request: Callable[[], _T], *, size: int = 0, attempts: int = ATTEMPTS
    ) -> _T:
        """One request, repeated after passing trouble.

        Args:
            where: what it is about, for messages.
            request: calls the file system.
            size: bytes that it holds in memory.
            attempts: how often it may be made.

        Raises:
            DeltastoreError: what `remote_failure` makes of the file system's last exception.
        """
        for attempt in range(attempts):
            self.check_process()
            self._count()
            try:
                with self._inflight.admit(size):
                    return request()
            except Exception as reason:  # file systems raise what their libraries raise
                failure = remote_failure(reason, where)
                if attempt + 1 == attempts or not is_transient(reason, failure):
                    raise failure from reason
            time.sleep(FIRST_PAUSE * 4**attempt * random.uniform(0.5, 1))  # noqa: S311 - no secret
        raise UnreachableError(f"{where}: no attempt was allowed")
