"""Which parts of a range are kept, and which are to be fetched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.cache.entries import Entry

__all__ = ["Part", "parts"]


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive bytes of an object.

    Attributes:
        start: first byte.
        stop: one past the last byte.
        entry: that has all of them, or None when nothing has any.
    """

    start: int
    stop: int
    entry: Entry | None


def parts(entries: Sequence[Entry], start: int, stop: int) -> list[Part]:
    """Cut a range into what entries have and what none has; the entry that reaches furthest wins.

    Args:
        entries: of the object; they may overlap.
        start: first byte wanted.
        stop: one past the last byte wanted.
    """
    found: list[Part] = []
    at = start
    while at < stop:
        holders = [entry for entry in entries if entry.start <= at < entry.stop]
        if holders:
            best = max(holders, key=lambda entry: entry.stop)
            found.append(Part(at, min(best.stop, stop), best))
        else:
            nearest = min((entry.start for entry in entries if entry.start > at), default=stop)
            found.append(Part(at, min(nearest, stop), None))
        at = found[-1].stop
    return found
