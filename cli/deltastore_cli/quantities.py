"""Sizes, counts, ratios and ids as people read them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from deltastore.config import parse_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "abbreviated",
    "counted",
    "first_of",
    "parse_size",
    "percent",
    "ratio_text",
    "scientific",
    "share_text",
    "size_text",
]

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


# whole in the name of a file, which is how it is found
_WHOLE_ID = re.compile(r"(?<![/\w])([0-9a-f]{12})[0-9a-f]{52}(?![\w.])")


def abbreviated(sentence: str) -> str:
    """Its ids by the twelve digits that people see; those in paths stay whole."""
    return _WHOLE_ID.sub(r"\1", sentence)


def size_text(count: float) -> str:
    """Bytes in decimal units, about three digits: `16.1 GB`."""
    unit = 0
    while count >= 999.5 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{_digits(count) if unit else int(count)} {_UNITS[unit]}"


def _digits(value: float) -> str:
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def counted(count: int, noun: str) -> str:
    """`1 file`, `1,412 files`, `2 branches`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}{'es' if noun.endswith(('ch', 's')) else 's'}"


def ratio_text(logical: int, stored: int) -> str:
    """How many times smaller: `7.5x`, or an empty text where that means nothing."""
    if not logical or not stored:
        return ""
    ratio = logical / stored
    return f"{ratio:.2f}x" if ratio < 1.995 else f"{ratio:,.{1 if ratio < 99.95 else 0}f}x"


def percent(fraction: float | None) -> str:
    """`42.7 %`; `-` where undefined; never 0 or 100 unless exactly so."""
    if fraction is None:
        return "-"
    if 0 < fraction < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= fraction < 1:
        return "> 99.9 %"
    return f"{100 * fraction:.1f} %"


def share_text(part: int, whole: int) -> str:
    """`94 %`."""
    return f"{100 * part / whole:.0f} %" if whole else "-"


def scientific(value: float | None) -> str:
    """`6.1e-03`; `-` where undefined."""
    if value is None:
        return "-"
    return f"{value:.1e}" if value else "0"


def first_of(names: Sequence[str] | Iterable[str], limit: int) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more:,} more" if more > 0 else "")


def parse_size(text: str) -> int:
    """Bytes from `5GB`, `512 MiB` or `1000`.

    Raises:
        click.BadParameter: it is none of these.
    """
    size = parse_bytes(text)
    if size is None:
        msg = f"{text!r} is no size; write 5GB, 512MiB or a number of bytes"
        raise click.BadParameter(msg)
    if not size:
        msg = "must be more than nothing"
        raise click.BadParameter(msg)
    return size
