from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from deltastore.history.ancestry import (
    GraphEdge,
    ancestors,
    common_ancestors,
    first_parents,
    graph_rows,
    is_ancestor,
    log_order,
)
from deltastore.ids import CommitId
from tests.unit.history.samples import header

if TYPE_CHECKING:
    from deltastore.history.commits import CommitHeader


class Graph:
    """Commits by one letter; later letters are newer unless `times` says otherwise."""

    def __init__(
        self, parents: dict[str, str], *, inputs: dict[str, str] | None = None, times: str = ""
    ) -> None:
        self.reads: list[str] = []
        self.headers: dict[CommitId, CommitHeader] = {}
        for name, of in parents.items():
            minute = times.index(name) if times else ord(name) - ord("a")
            self.headers[cid(name)] = header(
                parents=map(cid, of),
                inputs=map(cid, (inputs or {}).get(name, "")),
                time=f"2026-01-01T00:{minute:02}:00Z",
            )

    def header(self, commit: CommitId) -> CommitHeader:
        self.reads.append(commit[0])
        return self.headers[commit]

    def order(self, *tips: str) -> str:
        return "".join(commit[0] for commit in log_order(map(cid, tips), self.header))


def cid(name: str) -> CommitId:
    return CommitId(name + "0" * 63)


# a - b - d - f
#      \ c - e /     g is elsewhere
DIAMOND = {"a": "", "b": "a", "c": "b", "d": "b", "e": "c", "f": "de", "g": ""}


def test_ancestors() -> None:
    graph = Graph(DIAMOND)
    assert ancestors([cid("f")], graph.header) == set(map(cid, "abcdef"))
    assert ancestors([cid("c"), cid("g")], graph.header) == set(map(cid, "abcg"))
    assert is_ancestor(cid("c"), cid("f"), graph.header)
    assert is_ancestor(cid("f"), cid("f"), graph.header)
    assert not is_ancestor(cid("f"), cid("c"), graph.header)
    assert not is_ancestor(cid("g"), cid("f"), graph.header)
    assert [each[0] for each in first_parents(cid("f"), graph.header)] == list("fdba")


def test_common_ancestors() -> None:
    graph = Graph(DIAMOND)
    assert common_ancestors(cid("d"), cid("e"), graph.header) == (cid("b"),)
    assert common_ancestors(cid("f"), cid("d"), graph.header) == (cid("d"),)
    assert common_ancestors(cid("f"), cid("g"), graph.header) == ()
    assert common_ancestors(cid("f"), cid("f"), graph.header) == (cid("f"),)
    criss = Graph({"a": "", "b": "a", "c": "a", "d": "bc", "e": "cb"})
    assert common_ancestors(cid("d"), cid("e"), criss.header) == (cid("b"), cid("c"))


def test_log_order() -> None:
    graph = Graph(DIAMOND)
    assert graph.order("f") == "fedcba"
    assert graph.order("f", "g") == "gfedcba"
    assert graph.order("d", "e") == "edcba"
    assert graph.order("e", "f") == "fedcba"
    assert graph.order() == ""


def test_log_order_does_not_trust_clocks() -> None:
    for times in itertools.permutations("abcdef"):
        order = Graph(
            {key: value for key, value in DIAMOND.items() if key != "g"}, times="".join(times)
        ).order("f")
        assert sorted(order) == list("abcdef")
        for child, parents in DIAMOND.items():
            assert all(
                order.index(child) < order.index(parent) for parent in parents if child != "g"
            )


def test_a_linear_history_is_read_as_it_is_consumed() -> None:
    graph = Graph({"a": "", "b": "a", "c": "b", "d": "c", "e": "d"})
    assert [each[0] for each in itertools.islice(log_order([cid("e")], graph.header), 2)] == [
        "e",
        "d",
    ]
    assert graph.reads == ["e"]


def rows(graph: Graph, order: str) -> list[tuple[str, int, int, tuple[tuple[int, int, bool], ...]]]:
    return [
        (row.commit[0], row.column, row.width, tuple((e.start, e.end, e.dashed) for e in row.edges))
        for row in graph_rows(map(cid, order), graph.header)
    ]


def test_the_graph_of_a_line() -> None:
    graph = Graph({"a": "", "b": "a", "c": "b"})
    assert rows(graph, "cba") == [
        ("c", 0, 1, ((0, 0, False),)),
        ("b", 0, 1, ((0, 0, False),)),
        ("a", 0, 1, ()),
    ]


def test_the_graph_of_a_merge() -> None:
    assert rows(Graph(DIAMOND), "fedcba") == [
        ("f", 0, 1, ((0, 0, False), (0, 1, False))),
        ("e", 1, 2, ((0, 0, False), (1, 1, False))),
        ("d", 0, 2, ((0, 0, False), (1, 1, False))),
        ("c", 1, 2, ((0, 0, False), (1, 0, False))),
        ("b", 0, 1, ((0, 0, False),)),
        ("a", 0, 1, ()),
    ]


def test_inputs_are_dashed_and_only_drawn_when_they_come_later() -> None:
    graph = Graph({"a": "", "b": "", "c": "a"}, inputs={"c": "b"})
    assert rows(graph, "cba") == [
        ("c", 0, 1, ((0, 0, False), (0, 1, True))),
        ("b", 1, 2, ((0, 0, False),)),
        ("a", 0, 1, ()),
    ]
    assert rows(graph, "ca") == [("c", 0, 1, ((0, 0, False),)), ("a", 0, 1, ())]
    both = Graph({"a": "", "b": "a", "c": "ab"}, inputs={"c": "b"})
    assert rows(both, "cba")[0][3] == ((0, 0, False), (0, 1, False))


def test_a_dashed_line_that_a_child_joins_becomes_a_parents_line() -> None:
    graph = Graph({"a": "", "b": "a", "d": "b"}, inputs={"d": "a"})
    assert rows(graph, "dba") == [
        ("d", 0, 1, ((0, 0, False), (0, 1, True))),
        ("b", 0, 2, ((0, 0, False), (1, 0, True))),
        ("a", 0, 1, ()),
    ]


def test_two_tips() -> None:
    graph = Graph({"a": "", "b": "a", "c": "a"})
    assert rows(graph, "cba") == [
        ("c", 0, 1, ((0, 0, False),)),
        ("b", 1, 2, ((0, 0, False), (1, 0, False))),
        ("a", 0, 1, ()),
    ]


@pytest.mark.parametrize("order", ["fedcba", "fdecba"])
def test_every_edge_of_the_graph_arrives_where_its_commit_is_drawn(order: str) -> None:
    drawn = list(graph_rows(map(cid, order), Graph(DIAMOND).header))
    for row, following in itertools.pairwise(drawn):
        assert all(0 <= edge.start < row.width for edge in row.edges)
        assert all(0 <= edge.end < following.width for edge in row.edges)
        assert len(set(row.edges)) == len(row.edges)
    assert isinstance(drawn[0].edges[0], GraphEdge)
