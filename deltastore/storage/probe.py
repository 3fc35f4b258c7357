"""What a place really guarantees, found out by trying (format-v1 section 1.1).

Names of protocols prove nothing: gateways that ignore conditional creation answer 200 like others.
"""

from __future__ import annotations

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.errors import (
    AccessDeniedError,
    DeltastoreError,
    MissingObjectError,
    NoSpaceError,
    StorageError,
)
from deltastore.storage.backend import Capabilities

if TYPE_CHECKING:
    from deltastore.storage.backend import Backend

__all__ = ["probe", "probe_once"]

RACERS = 8
ROUNDS = 4
_FILL = 64 << 10


@dataclass(frozen=True, slots=True)
class _Race:
    """How one race ended: with one owner at most, and without anybody seeing part of an object."""

    exclusive: bool
    whole: bool


_known: dict[str, Capabilities] = {}
_known_lock = threading.Lock()


def probe_once(backend: Backend, *, rounds: int = ROUNDS) -> Capabilities:
    """The verdict on this backend's URL, probed on the first call of a process.

    Raises:
        StorageError: the place cannot be reached or written to at all; nothing is remembered.
    """
    with _known_lock:
        if backend.url not in _known:
            _known[backend.url] = probe(backend, rounds=rounds)
        return _known[backend.url]


def probe(backend: Backend, *, rounds: int = ROUNDS) -> Capabilities:
    """Create twice, race eight creations, read after write, read ranges; then clean up.

    Args:
        backend: to be tried; objects below `probe/<random>/` are made and deleted.
        rounds: how many races.

    Raises:
        StorageError: the place cannot be reached or written to at all.
    """
    folder = f"probe/{secrets.token_hex(8)}"
    keys = [f"{folder}/twice", *(f"{folder}/race-{number}" for number in range(rounds))]
    try:
        reason = _reads(backend, keys[0]) or _creates_once(backend, keys[0])
        races = [] if reason else [_race(backend, key) for key in keys[1:]]
    finally:
        _clean(backend, keys)
    return Capabilities("C", reason) if reason else _verdict(races)


def _verdict(races: list[_Race]) -> Capabilities:
    fair = sum(race.exclusive for race in races)
    detail = f"{fair} of {len(races)} create races had one winner"
    if len(races) == fair == 1:
        detail = f"{RACERS} raced to create one object, one won"
    if fair < len(races):
        return Capabilities("C", detail)
    if not all(race.whole for race in races):
        return Capabilities("B", f"{detail}, but losers saw parts of objects")
    return Capabilities("A", detail)


def _reads(backend: Backend, key: str) -> str:
    """Write and read one object; what is wrong with that, or an empty string."""
    body = secrets.token_bytes(_FILL)
    if not _first_write(backend, key, body):
        return "an object that was never written is already there"
    if backend.get(key, max_bytes=2 * _FILL) != body:
        return "what was written is not what is read"
    ranges = [(0, 10), (1000, 500), (_FILL - 7, 7)]
    found = [*backend.get_ranges(key, ranges), backend.get_range(key, 1000, 500)]
    expected = [body[start : start + length] for start, length in [*ranges, ranges[1]]]
    return "" if found == expected else "ranged reads return other bytes than were asked for"


def _first_write(backend: Backend, key: str, body: bytes) -> bool:
    """Write the first object; whoever may not is told that reading is another matter.

    Raises:
        AccessDeniedError: nothing may be written.
    """
    try:
        return backend.put_if_absent(key, body)
    except AccessDeniedError as reason:
        raise AccessDeniedError(
            f"{reason} (nothing can be written there)",
            hint="reading may still work; deltastore doctor says which credentials these are",
        ) from reason


def _creates_once(backend: Backend, key: str) -> str:
    """Create what `_reads` has left again, with other bytes."""
    before = backend.get(key, max_bytes=2 * _FILL)
    created = _create(backend, key, b"another body")
    after = backend.get(key, max_bytes=2 * _FILL)
    if after != before:
        return "creating an object that exists replaces it: conditional creation is ignored"
    if created:
        return "creating an object that exists is reported as done"
    return ""


def _race(backend: Backend, key: str) -> _Race:
    """Eight parallel creations; each looks at the object as soon as its own call is over.

    A winner whose answer was lost and whose retry met its own object claims nothing; that is
    allowed, since log writes are settled by reading back.
    """
    bodies = [bytes([number]) * _FILL for number in range(RACERS)]
    start = threading.Barrier(RACERS)

    def enter(number: int) -> tuple[bool, bytes | None]:
        start.wait()
        return _create(backend, key, bodies[number]), _look(backend, key)

    with ThreadPoolExecutor(RACERS) as pool:
        try:
            outcomes = list(pool.map(enter, range(RACERS)))
        except BaseException:  # a Ctrl-C before all had started: the others would wait for ever
            start.abort()
            raise
    stored = _look(backend, key)
    winners = [bodies[number] for number, (won, _) in enumerate(outcomes) if won]
    return _Race(
        exclusive=stored in bodies and winners in ([], [stored]),
        whole=all(seen is None or seen in bodies for _, seen in outcomes),
    )


def _look(backend: Backend, key: str) -> bytes | None:
    """What is there; a stale "absent" is harmless."""
    try:
        return backend.get(key, max_bytes=2 * _FILL)
    except MissingObjectError:
        return None


def _create(backend: Backend, key: str, body: bytes) -> bool:
    """A refusal is a lost race (stores answer 409, 412 and 503 to it); a full disk says nothing."""
    try:
        return backend.put_if_absent(key, body)
    except NoSpaceError:
        raise
    except StorageError:
        return False


def _clean(backend: Backend, keys: list[str]) -> None:
    try:
        backend.delete_many(keys)
    except DeltastoreError:
        # some writers may not delete; a few small objects below probe/ harm nobody
        return
