"""Tables of text, laid out by rich for a terminal and never cut for a pipe."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

from deltastore_cli.terminal import colored, printable, text_width

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.table import Table

__all__ = ["table_text"]

STYLES = {"id": "yellow", "name": "bold", "good": "green", "bad": "red", "faint": "dim"}
MARGIN = 2
GAP = 2
LONGEST = 30
"""Characters of a word that is kept whole while there is room; names of tensors may be longer."""
NARROWEST = 6


def table_text(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[int] = (),
    styles: Sequence[str] = (),
) -> str:
    """A table without lines, two columns in from the left, ended by a line feed.

    On a terminal that is too narrow, cells are broken between words, then inside them; the lines
    run on where that is not enough. A column without a header and with nothing in it is left out.

    Args:
        headers: one per column; all empty: no header row.
        rows: cells; any text, made safe to print here.
        right: columns set to the right, which are never broken either.
        styles: of each column, names of the program's styles.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    styles = [*styles, *[""] * (len(headers) - len(styles))]
    columns = [
        _Column(header, [row[place] for row in cells], styles[place], right=place in right)
        for place, header in enumerate(headers)
    ]
    columns = [column for column in columns if column.header or any(column.cells)]
    return _on_paper(columns, _widths(columns, text_width() - MARGIN))


@dataclass(frozen=True, slots=True)
class _Column:
    header: str
    cells: list[str]
    style: str
    right: bool

    @property
    def whole(self) -> bool:
        """Whether its cells are never broken: numbers are read so, and ids are copied."""
        return self.right or self.style == "id"

    def width(self) -> int:
        """Of its widest cell."""
        return max(map(_columns_of, [self.header, *self.cells]))

    def least(self) -> int:
        """Of its longest word, or of all where it is never broken."""
        if self.whole or self.style == "name":
            return self.width()
        words = [word for cell in [self.header, *self.cells] for word in cell.split()]
        return min(LONGEST, max(map(_columns_of, words), default=0))


def _columns_of(text: str) -> int:
    """How wide a terminal shows it: Chinese characters take two columns."""
    from rich.cells import cell_len

    return cell_len(text)


def _widths(columns: Sequence[_Column], room: int) -> list[int]:
    """Columns as wide as they want, or the widest made narrower until all of them fit."""
    wanted = [column.width() for column in columns]
    least = [column.least() for column in columns]
    narrowest = [
        word if column.whole else min(word, NARROWEST)
        for column, word in zip(columns, least, strict=True)
    ]
    widths = [min(width, max(word, room)) for word, width in zip(least, wanted, strict=True)]
    for limits in (least, narrowest):
        _narrow(widths, limits, room - GAP * (len(widths) - 1))
    return widths


def _narrow(widths: list[int], limits: Sequence[int], room: int) -> None:
    while sum(widths) > room:
        wide = [place for place, width in enumerate(widths) if width > limits[place]]
        if not wide:
            return
        widths[max(wide, key=widths.__getitem__)] -= 1


def _on_paper(columns: Sequence[_Column], widths: Sequence[int]) -> str:
    """The table as text; lines lose the blanks at their ends."""
    from rich.console import Console
    from rich.padding import Padding

    paper = StringIO()
    console = Console(
        file=paper,
        width=MARGIN + sum(widths) + GAP * len(widths),
        color_system="standard" if colored() else None,
        force_terminal=colored(),
        legacy_windows=False,
    )
    console.print(Padding(_table(columns, widths), (0, 0, 0, MARGIN), expand=False))
    return "".join(f"{line.rstrip()}\n" for line in paper.getvalue().splitlines())


def _table(columns: Sequence[_Column], widths: Sequence[int]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=None,
        padding=(0, GAP, 0, 0),
        show_header=any(column.header for column in columns),
        header_style="dim",
        pad_edge=False,
    )
    for column, width in zip(columns, widths, strict=True):
        table.add_column(
            Text(column.header),
            justify="right" if column.right else "left",
            style=STYLES.get(column.style, ""),
            overflow="fold",
            width=width,
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(Text, row))
    return table
