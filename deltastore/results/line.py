"""Results in one short line, which Python's prompt and logs show: long lists by their length."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import Field

__all__ = ["line"]

SHORT = 12
MOST_ITEMS = 3
MOST_LETTERS = 60

_ID = re.compile(r"[0-9a-f]{32,64}")


def line(value: Any) -> str:
    """The class and its fields; a field that is empty or as by default is left out.

    Args:
        value: a dataclass.
    """
    pairs = ((item, getattr(value, item.name)) for item in fields(value))
    told = (f"{item.name}={_brief(held)}" for item, held in pairs if not _is_usual(item, held))
    return f"{type(value).__name__}({', '.join(told)})"


def _is_usual(item: Field[Any], held: object) -> bool:
    if held is None or held in ("", (), {}):
        return True
    return item.default is not MISSING and held == item.default


def _brief(held: object) -> str:
    if isinstance(held, str):
        return _text(held)
    if isinstance(held, float):
        return f"{held:.6g}"
    if isinstance(held, Mapping) and len(held) > MOST_ITEMS:
        return f"{{{len(held):,}}}"
    if isinstance(held, Sequence) and not _fits(held):
        return f"[{len(held):,}]"
    if isinstance(held, Sequence):
        return f"[{', '.join(map(_brief, held))}]"
    return repr(held)


def _fits(items: Sequence[object]) -> bool:
    return len(items) <= MOST_ITEMS and all(isinstance(item, str) for item in items)


def _text(text: str) -> str:
    if _ID.fullmatch(text):
        return text[:SHORT]
    return repr(text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}...")
