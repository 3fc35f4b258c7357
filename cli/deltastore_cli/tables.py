"""Tables of text, laid out by rich for a terminal and never cut for a pipe."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from deltastore_cli.terminal import colored, printable, text_width

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.table import Table

__all__ = ["table_text"]

STYLES = {"id": "yellow", "name": "bold", "good": "green", "bad": "red", "faint": "dim"}
MARGIN = 2


def table_text(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[int] = (),
    styles: Sequence[str] = (),
) -> str:
    """A table without lines, two columns in from the left, ended by a line feed.

    A column without a header and with nothing in it is left out: rich counts its padding when it
    lays out the table and not when it measures it, and then breaks cells that have room.

    Args:
        headers: one per column; all empty: no header row.
        rows: cells; any text, made safe to print here.
        right: columns set to the right.
        styles: of each column, names of the program's styles.
    """
    from rich.text import Text

    cells = [[printable(cell) for cell in row] for row in rows]
    kept = [place for place, header in enumerate(headers) if header or any(_at(cells, place))]
    table = _columns(
        [headers[place] for place in kept],
        [kept.index(place) for place in right if place in kept],
        [styles[place] if place < len(styles) else "" for place in kept],
    )
    for row in cells:
        table.add_row(*(Text(row[place]) for place in kept))
    return _on_paper(table)


def _at(rows: Iterable[Sequence[str]], place: int) -> Iterable[str]:
    return (row[place] for row in rows)


def _columns(headers: Sequence[str], right: Sequence[int], styles: Sequence[str]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=None, padding=(0, 2, 0, 0), show_header=any(headers), header_style="dim", pad_edge=False
    )
    for place, header in enumerate(headers):
        table.add_column(
            Text(header),
            justify="right" if place in right else "left",
            style=STYLES.get(styles[place] if place < len(styles) else "", ""),
            overflow="fold",
            no_wrap=place in right,
        )
    return table


def _on_paper(table: Table) -> str:
    """The table as text; lines lose the blanks at their ends."""
    from rich.console import Console
    from rich.padding import Padding

    paper = StringIO()
    console = Console(
        file=paper,
        width=text_width(),
        color_system="standard" if colored() else None,
        force_terminal=colored(),
        legacy_windows=False,
    )
    console.print(Padding(table, (0, 0, 0, MARGIN), expand=False))
    return "".join(f"{line.rstrip()}\n" for line in paper.getvalue().splitlines())
