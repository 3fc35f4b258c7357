"""Option values that are parsed: `K=V`, `NAME=NUMBER`, `DENSITY|off`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["assignments", "density", "metric_values"]


def assignments(
    context: click.Context, parameter: click.Parameter, values: Sequence[str]
) -> dict[str, str]:
    """`K=V` texts as a mapping; a key given twice is an error."""
    pairs: dict[str, str] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{value!r} is not of the form K=V", context, parameter)
        if key in pairs:
            raise click.BadParameter(f"{key!r} is given twice", context, parameter)
        pairs[key] = text
    return pairs


def metric_values(
    context: click.Context, parameter: click.Parameter, values: Sequence[str]
) -> dict[str, str]:
    """`NAME=NUMBER` texts as a mapping; numbers keep their digits."""
    pairs = assignments(context, parameter, values)
    for name, text in pairs.items():
        if _number(text) is None:
            raise click.BadParameter(f"{name}={text}: not a finite number", context, parameter)
    return pairs


def density(context: click.Context, parameter: click.Parameter, value: str) -> float | None:
    """A fraction over 0 and up to 1, or None for `off`."""
    if value == "off":
        return None
    number = _number(value)
    if number is None or not 0 < number <= 1:
        msg = f"{value!r} is neither off nor a fraction such as 0.05"
        raise click.BadParameter(msg, context, parameter)
    return number


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
