"""Creating one log entry, and finding out whether it happened (format-v1, section 1.2).

A lost acknowledgement is normal: a client library retries a write that landed and is told that the
object exists. So nothing but the entry itself decides, by the transaction ids in it.
"""

from __future__ import annotations

import secrets
import signal
import threading
import time
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING

from deltastore.errors import (
    AccessDeniedError,
    CorruptError,
    MissingObjectError,
    NoSpaceError,
    OutcomeUnknownError,
    StorageError,
    UnsafeBackendError,
)
from deltastore.history.entries import log_key
from deltastore.history.entry_encoding import MAX_ENTRY_BYTES

if TYPE_CHECKING:
    from collections.abc import Generator

    from deltastore.history.entries import Entry
    from deltastore.storage.backend import Backend

__all__ = ["Outcome", "interrupts_held", "pause", "publish_entry"]

ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 0.05
_REFUSALS = (AccessDeniedError, NoSpaceError, UnsafeBackendError)
_RANDOM = secrets.SystemRandom()


class Outcome(Enum):
    """What became of an entry."""

    WON = "it is in the log"
    LOST = "another entry has its place"


def publish_entry(backend: Backend, entry: Entry, *, deadline: float) -> Outcome:
    """Create the entry's object; on any failure read back what is there.

    The same bytes are tried again, a bounded number of times, for as long as nothing is there.

    Args:
        backend: where the log is.
        entry: what to write.
        deadline: of `time.monotonic()`, after which nothing is tried again.

    Raises:
        OutcomeUnknownError: the backend stopped answering; the entry may be there or appear yet.
        StorageError: the backend refused, so that nothing was written.
    """
    failure: StorageError | None = None
    for attempt in range(ATTEMPTS):
        refusal: StorageError | None = None
        try:
            if backend.put_if_absent(log_key(entry.v), entry.data):
                return Outcome.WON
        except StorageError as reason:
            refusal = reason
        outcome = _read_back(backend, entry)
        if outcome is not None:
            return outcome
        if isinstance(refusal, _REFUSALS) and failure is None:
            raise refusal
        failure = refusal or failure
        if time.monotonic() >= deadline:
            break
        pause(FIRST_PAUSE_SECONDS * 2**attempt)
    raise OutcomeUnknownError(
        f"the store stopped answering while log entry {entry.v} was being written; it may be "
        f"there{f' ({failure})' if failure else ''}",
        hint="run the same command again: it looks first",
    )


@contextmanager
def interrupts_held() -> Generator[list[int]]:
    """Collect SIGINTs instead of raising; only the main thread gets any.

    For while an entry is being created: nobody is told "interrupted" about something that happened.
    """
    held: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield held
        return
    previous = signal.signal(signal.SIGINT, lambda number, _frame: held.append(number))
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, previous)


def pause(most_seconds: float) -> None:
    """Wait for a random time up to `most_seconds`, so that rivals do not stay in step."""
    time.sleep(_RANDOM.uniform(0, most_seconds))


def _read_back(backend: Backend, entry: Entry) -> Outcome | None:
    """Whose entry is there; None when none is, or when that cannot be told."""
    try:
        found = backend.get(log_key(entry.v), max_bytes=MAX_ENTRY_BYTES)
    except (MissingObjectError, StorageError):
        return None
    except CorruptError:
        return Outcome.LOST
    return Outcome.WON if found == entry.data else Outcome.LOST
