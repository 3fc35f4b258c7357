from __future__ import annotations

from deltastore.history.ancestry import GraphEdge, GraphRow
from deltastore.history.drawing import draw
from deltastore.ids import CommitId


def row(name: str, column: int, width: int, *edges: tuple[int, int, bool]) -> GraphRow:
    return GraphRow(CommitId(name), column, width, tuple(GraphEdge(*edge) for edge in edges))


def test_a_line_of_commits() -> None:
    rows = [row("b", 0, 1, (0, 0, False)), row("a", 0, 1)]
    assert list(draw(rows)) == [("*",), ("*",)]


def test_a_merge_as_git_draws_it() -> None:
    rows = [
        row("both", 0, 1, (0, 0, False), (0, 1, False)),
        row("second", 1, 2, (0, 0, False), (1, 1, False)),
        row("first", 0, 2, (0, 0, False), (1, 0, False)),
        row("base", 0, 1),
    ]
    lines = [line for lines in draw(rows) for line in lines]
    assert lines == ["*", "|\\", "| *", "* |", "|/", "*"]


def test_an_input_that_is_no_parent_is_dashed() -> None:
    rows = [
        row("m", 0, 1, (0, 0, False), (0, 1, True)),
        row("p", 0, 2, (0, 0, False), (1, 1, True)),
        row("q", 0, 2, (1, 1, True)),
        row("i", 1, 2),
    ]
    lines = [line for lines in draw(rows) for line in lines]
    assert "* :" in lines


def test_a_line_that_moves_two_columns_takes_two_lines() -> None:
    rows = [row("x", 0, 3, (0, 0, False), (2, 0, False)), row("y", 0, 1)]
    assert [len(lines) for lines in draw(rows)] == [1, 3]
