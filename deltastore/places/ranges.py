"""Which byte ranges to fetch together: a request costs as much time as a good many bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.errors import CorruptError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Span", "check_range", "checked", "coalesce", "scatter"]

GAP_BYTES = 64 << 10
SPAN_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Span:
    """One request.

    Attributes:
        start: first byte.
        length: bytes, gaps included.
        members: positions, in what was asked for, of the ranges inside.
    """

    start: int
    length: int
    members: tuple[int, ...]


def check_range(start: int, length: int) -> None:
    """Refuse what no object has.

    Raises:
        UsageError: a negative number.
    """
    if start < 0 or length < 0:
        raise UsageError(f"a range of {length} bytes from {start}")


def checked(data: bytes, key: str, start: int, length: int) -> bytes:
    """The data, if it is as long as was asked for.

    Raises:
        CorruptError: the object ended earlier.
    """
    if len(data) != length:
        raise CorruptError(
            f"{key}: {len(data)} bytes from {start} instead of {length}: the object is cut off"
        )
    return data


def coalesce(
    ranges: Sequence[tuple[int, int]], *, gap: int = GAP_BYTES, limit: int = SPAN_BYTES
) -> list[Span]:
    """Group (start, length) ranges into requests, in order of start.

    Args:
        ranges: in any order; they may overlap.
        gap: most unwanted bytes between neighbours.
        limit: longest request made of several ranges; a longer single range stays whole.
    """
    spans: list[Span] = []
    for number in sorted(range(len(ranges)), key=lambda number: ranges[number]):
        start, length = ranges[number]
        check_range(start, length)
        last = spans[-1] if spans else None
        end = start + length
        if last and start <= last.start + last.length + gap and end - last.start <= limit:
            whole = max(end, last.start + last.length) - last.start
            spans[-1] = Span(last.start, whole, (*last.members, number))
        else:
            spans.append(Span(start, length, (number,)))
    return spans


def scatter(
    spans: Sequence[Span], found: Sequence[bytes], ranges: Sequence[tuple[int, int]]
) -> list[bytes]:
    """What was asked for, out of what the requests brought."""
    result = [b""] * len(ranges)
    for span, data in zip(spans, found, strict=True):
        for number in span.members:
            start, length = ranges[number]
            result[number] = data[start - span.start : start - span.start + length]
    return result
