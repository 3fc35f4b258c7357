"""The graph of `log` as text, a few characters per line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from deltastore.history.ancestry import GraphEdge, GraphRow

__all__ = ["draw"]


def draw(rows: Iterable[GraphRow]) -> Iterator[tuple[str, ...]]:
    """The lines of each row: those that lead to it, then the one with its commit (`*`).

    `|` is a parent's line, `:` that of an input, which is no parent.
    """
    edges: Sequence[GraphEdge] = ()
    for row in rows:
        yield (*_connectors(edges), _commit_line(row, edges))
        edges = row.edges


def _commit_line(row: GraphRow, above: Sequence[GraphEdge]) -> str:
    marks = [" "] * row.width
    for edge in above:
        marks[edge.end] = ":" if edge.dashed else "|"
    for edge in row.edges:
        if edge.start != row.column and marks[edge.start] == " ":
            marks[edge.start] = ":" if edge.dashed else "|"
    marks[row.column] = "*"
    return " ".join(marks)


def _connectors(edges: Sequence[GraphEdge]) -> Iterator[str]:
    """Lines move one column per text line until each is where it belongs."""
    moves = [[edge.start, edge.end, edge.dashed] for edge in edges]
    while any(start != end for start, end, _ in moves):
        width = 2 * max(max(start, end) for start, end, _ in moves) + 1
        marks = [" "] * width
        for move in moves:
            start, end, dashed = move
            if start == end:
                marks[2 * start] = ":" if dashed else "|"
            else:
                towards = 1 if end > start else -1
                marks[2 * start + towards] = "\\" if towards > 0 else "/"
                move[0] = start + towards
        yield "".join(marks).rstrip()
