"""Results as small plain HTML tables, which notebooks show instead of the `repr`.

A value's own fields decide what is shown, so every result that inherits `InNotebooks` has a page.
Names, messages and paths come from strangers: nothing reaches the page unescaped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Any

from deltastore.results.line import line
from deltastore.results.sizes import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["InNotebooks", "facts", "page", "rows"]

MOST_ROWS = 20
MOST_NAMES = 10
MOST_LETTERS = 1_000
SHORT = 12

_ID = re.compile(r"[0-9a-f]{32,64}")
_SIZE = re.compile(r"(?:.*_)?(?:bytes|size|limit)")
# what browsers hide or use to turn the direction of text around
_HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LEFT = ' style="text-align:left"'
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "CommitInfo": ("commit", "refs", "message", "author", "time", "metrics"),
    "ReflogEntry": ("seq", "time", "actor", "op", "ref", "old", "new", "message"),
    "TensorChange": ("name", "status", "changed_fraction", "relative_norm", "cosine"),
}
"""Fields that a row shows, of classes that have too many."""
_REMARKS = frozenset({"truncated", "unchanged", "new_model", "new_branch", "moved"})
"""Flags that say nothing unless they are set."""
_DRAWN: Mapping[str, frozenset[str]] = {"LogResult": frozenset({"graph"})}
"""Fields that are drawings for a terminal."""


class InNotebooks:
    """A frozen value that Jupyter and its kin show as tables, and prompts in a line."""

    __slots__ = ()

    def __repr__(self) -> str:
        return line(self)

    def _repr_html_(self) -> str:
        return page(self)


def page(value: Any) -> str:
    """The tables of one result: its facts, then each list of further values.

    Args:
        value: a dataclass; its `columns` and `rows`, if it has them, are one table.
    """
    kind = type(value).__name__
    found = {item.name: getattr(value, item.name) for item in fields(value)}
    for name in _DRAWN.get(kind, ()):
        del found[name]
    answer = ""
    if {"columns", "rows"} <= found.keys():
        answer = rows("", found.pop("columns"), found.pop("rows"))
    lists = {name: item for name, item in found.items() if _is_list(item)}
    about = facts(_title(kind), (pair for pair in found.items() if pair[0] not in lists))
    tables = [about, answer, *(_list(*pair) for pair in lists.items())]
    return "".join(tables) or f"<i>{_title(kind)}: nothing</i>"


def facts(title: str, pairs: Iterable[tuple[str, object]]) -> str:
    """Names and values below each other; what is absent or empty is left out."""
    lines = [
        f"<th{_LEFT}>{_words(name)}</th><td{_LEFT}>{_cell(name, value)}</td>"
        for name, value in pairs
        if not (_is_nothing(value) or (name in _REMARKS and not value))
    ]
    return _table(title, lines) if lines else ""


def rows(title: str, columns: Sequence[str], found: Iterable[Sequence[object]]) -> str:
    """A table with a head; after the first rows it says that there are more."""
    shown = list(islice(found, MOST_ROWS + 1))
    head = "".join(f"<th{_LEFT}>{_words(name)}</th>" for name in columns)
    lines = [head] if any(columns) else []
    lines += [
        "".join(f"<td{_LEFT}>{_cell(*pair)}</td>" for pair in zip(columns, row, strict=True))
        for row in shown[:MOST_ROWS]
    ]
    if len(shown) > MOST_ROWS:
        lines.append(f'<td colspan="{len(columns)}">... and more</td>')
    return _table(title, lines)


def _table(title: str, lines: Sequence[str]) -> str:
    caption = f'<caption style="text-align:left"><b>{_safe(title)}</b></caption>' if title else ""
    return f"<table>{caption}{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _list(name: str, found: Sequence[Any]) -> str:
    """Values of one class, of which unchanged ones are only counted; or tuples."""
    if isinstance(found[0], tuple):
        return rows(f"{name}: {len(found):,}", ("",) * len(found[0]), found)
    changed = [item for item in found if getattr(item, "status", None) != "unchanged"]
    same = len(found) - len(changed)
    title = f"{name}: {len(found):,}" + (f", {same:,} of them unchanged" if same else "")
    names = _columns(changed[:MOST_ROWS]) if changed else ()
    return rows(title, names, ([getattr(item, name) for name in names] for item in changed))


def _columns(found: Sequence[Any]) -> tuple[str, ...]:
    """Fields that at least one of the values has something to say in."""
    own = tuple(item.name for item in fields(found[0]))
    names = _COLUMNS.get(type(found[0]).__name__, own)
    return tuple(n for n in names if any(not _is_nothing(getattr(item, n)) for item in found))


def _is_list(value: object) -> bool:
    """Whether a field's value deserves a table of its own."""
    return (
        isinstance(value, tuple)
        and bool(value)
        and (isinstance(value[0], tuple) or is_dataclass(value[0]))
    )


def _is_nothing(value: object) -> bool:
    return value is None or (not isinstance(value, (bool, int, float)) and not value)


def _cell(name: str, value: object) -> str:
    """One value, by its type and by the name of its field."""
    if isinstance(value, (bool, int, float)):
        return _number(name, value)
    if isinstance(value, Mapping):
        return _joined(f"{_text(str(key))}={_cell(str(key), item)}" for key, item in value.items())
    if is_dataclass(value):
        return _joined(
            f"{_words(item.name)} {_cell(item.name, getattr(value, item.name))}"
            for item in fields(value)
        )
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _joined(_cell(name, item) for item in value)
    return "" if value is None else _text(str(value))


def _number(name: str, value: float) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int):
        return f"{value:.6g}"
    return size_text(value) if _SIZE.fullmatch(name) else f"{value:,}"


def _joined(pieces: Iterable[str]) -> str:
    shown = list(islice(pieces, MOST_NAMES + 1))
    more = ", ..." if len(shown) > MOST_NAMES else ""
    return ", ".join(shown[:MOST_NAMES]) + more


def _text(text: str) -> str:
    if _ID.fullmatch(text):
        return f'<code title="{text}">{text[:SHORT]}</code>'
    return _safe(text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}...")


def _safe(text: str) -> str:
    shown = escape(_HIDDEN.sub(lambda found: ascii(found[0])[1:-1], text))
    return shown.replace("\n", "<br>")


def _words(name: str) -> str:
    return _safe(name.replace("_", " "))


def _title(kind: str) -> str:
    return kind.removesuffix("Result").removesuffix("Info") or kind
