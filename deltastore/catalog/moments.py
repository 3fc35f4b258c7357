"""Times as people write them, each a span: a day is all of it, a second is that second."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

__all__ = ["Span", "parse_span"]

_FORM = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Span:
    """From `first`, included, to `end`, excluded; UTC, without a zone."""

    first: datetime
    end: datetime


def parse_span(text: str) -> Span:
    """The span that a year, month, day, minute, second or fraction of one names.

    Raises:
        ValueError: the text is none of these, or no such time exists.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(text)
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    date = (int(year), int(month or 1), int(day or 1))
    first = datetime(*date, int(hour or 0), int(minute or 0), int(second or 0))
    if fraction:
        first += timedelta(seconds=float(fraction))
    try:
        end = _after(first, [month, day, minute, second, fraction])
        return Span(_utc(first, zone), _utc(end, zone))
    except OverflowError as reason:
        raise ValueError(text) from reason


def _after(first: datetime, given: list[str | None]) -> datetime:
    """The end of the span; its length is that of the smallest part that was given."""
    month, day, minute, second, fraction = given
    if month is None:
        return first.replace(year=first.year + 1)
    if day is None:
        return (first + timedelta(days=31)).replace(day=1)
    lengths = (
        (fraction, timedelta(microseconds=1)),
        (second, timedelta(seconds=1)),
        (minute, timedelta(minutes=1)),
    )
    return first + next((length for part, length in lengths if part), timedelta(days=1))


def _utc(moment: datetime, zone: str | None) -> datetime:
    if zone is None or zone in "Zz":
        return moment
    return (
        datetime.fromisoformat(f"{moment.isoformat()}{zone}").astimezone(UTC).replace(tzinfo=None)
    )
