"""What `find` and `sql` found, as tables for people, CSV or JSON records."""

from __future__ import annotations

import csv
import json
import sys
from io import StringIO
from typing import TYPE_CHECKING, Any

from deltastore_cli.documents import plain
from deltastore_cli.quantities import counted
from deltastore_cli.summaries import SHORT
from deltastore_cli.tables import table_text
from deltastore_cli.terminal import paint, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deltastore.results import Table

__all__ = ["csv_text", "found_text", "records_text", "rows_text"]

_MORE = "  ... and more"
_STYLES = {"model": "name", "commit": "id", "branch": "good", "time": "faint"}


def found_text(found: Table) -> str:
    """Versions, a line each: short ids, the first line of each message."""
    if not found.rows:
        return "no version fits\n"
    rows = [tuple(map(_short, found.columns, row)) for row in found.rows]
    styles = tuple(_STYLES.get(column, "") for column in found.columns)
    return _table(found, rows, styles)


def _short(column: str, value: Any) -> str:
    if column == "commit":
        return str(value)[:SHORT]
    if column == "message":
        return str(value).partition("\n")[0]
    if column == "author":
        return str(value).partition(" <")[0] or str(value)
    if column == "time":
        return str(value)[:16].replace("T", " ")
    return "-" if value is None else _cell(value)


def rows_text(found: Table) -> str:
    """Rows of any query, as a table, and how many there are."""
    if not found.columns:
        return "no columns\n"
    rows = [tuple(map(_cell, row)) for row in found.rows]
    count = counted(len(rows), "row")
    return _table(found, rows, ()) + paint(f"  {count}", "faint") + "\n"


def _table(found: Table, rows: list[tuple[str, ...]], styles: tuple[str, ...]) -> str:
    right = tuple(
        place
        for place in range(len(found.columns))
        if any(_is_number(row[place]) for row in found.rows)
        and all(row[place] is None or _is_number(row[place]) for row in found.rows)
    )
    headers = tuple(printable(column) or " " for column in found.columns)
    more = paint(_MORE, "faint") + "\n" if found.truncated else ""
    return table_text(headers, rows, right=right, styles=styles) + more


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    """A value as people read it; nothing for NULL, JSON for lists and structures."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, dict)):
        return json.dumps(plain(value), ensure_ascii=False)
    return str(value)


def csv_text(found: Table) -> str:
    """RFC 4180, with a header row and line feeds; NULL is an empty field.

    A file gets the values as they are, a terminal none that drives it.
    """
    paper = StringIO()
    writer = csv.writer(paper, lineterminator="\n")
    writer.writerow(found.columns)
    writer.writerows(_cells(found.rows))
    text = paper.getvalue()
    return printable(text, lines=True) if sys.stdout.isatty() else text


def _cells(rows: Iterable[tuple[Any, ...]]) -> Iterable[list[str]]:
    for row in rows:
        yield [_cell(value) for value in row]


def records_text(found: Table) -> str:
    """An array of objects, one per row; of columns of one name the last stands."""
    records = [dict(zip(found.columns, plain(row), strict=True)) for row in found.rows]
    body = ",\n".join(json.dumps(record, allow_nan=False) for record in records)
    return f"[{body}]\n"
