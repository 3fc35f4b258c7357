"""Walks along parents: order of a log, common ancestors, and where `log --graph` draws what."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from deltastore.history.commits import CommitHeader
    from deltastore.ids import CommitId

__all__ = [
    "GraphEdge",
    "GraphRow",
    "HeaderSource",
    "ancestors",
    "common_ancestors",
    "first_parents",
    "graph_rows",
    "is_ancestor",
    "log_order",
]

HeaderSource: TypeAlias = "Callable[[CommitId], CommitHeader]"
"""Reads a commit header; raises when there is none."""


def ancestors(tips: Iterable[CommitId], header: HeaderSource) -> set[CommitId]:
    """The tips and everything behind them along parents."""
    seen: set[CommitId] = set()
    pending = list(tips)
    while pending:
        commit = pending.pop()
        if commit not in seen:
            seen.add(commit)
            pending.extend(header(commit).parents)
    return seen


def first_parents(tip: CommitId, header: HeaderSource) -> Iterator[CommitId]:
    """A tip, its first parent, that one's first parent, and so on."""
    commit = tip
    while True:
        yield commit
        parents = header(commit).parents
        if not parents:
            return
        commit = parents[0]


def is_ancestor(older: CommitId, newer: CommitId, header: HeaderSource) -> bool:
    """Whether `older` is `newer` or behind it along parents."""
    seen: set[CommitId] = set()
    pending = [newer]
    while pending:
        commit = pending.pop()
        if commit == older:
            return True
        if commit not in seen:
            seen.add(commit)
            pending.extend(header(commit).parents)
    return False


def common_ancestors(
    first: CommitId, second: CommitId, header: HeaderSource
) -> tuple[CommitId, ...]:
    """The best common ancestors: those that are not behind another common one. Sorted by id."""
    common = ancestors([first], header) & ancestors([second], header)
    behind = ancestors((parent for each in common for parent in header(each).parents), header)
    return tuple(sorted(common - behind))


def log_order(tips: Iterable[CommitId], header: HeaderSource) -> Iterator[CommitId]:
    """The tips and everything behind them, children before parents, else newest first.

    A linear history is read as it is consumed; where lines run side by side, all of them are read
    first, since clocks cannot be trusted to say which commit is behind which.
    """
    frontier = set(tips)
    while len(frontier) == 1:
        (commit,) = frontier
        yield commit
        frontier = set(header(commit).parents)
    yield from _sorted_order(frontier, header)


def _sorted_order(tips: set[CommitId], header: HeaderSource) -> Iterator[CommitId]:
    children = dict.fromkeys(ancestors(tips, header), 0)
    for commit in children:
        for parent in set(header(commit).parents):
            children[parent] += 1
    ready = [_Newest(header(tip).time, tip) for tip, count in children.items() if not count]
    heapq.heapify(ready)
    while ready:
        commit = heapq.heappop(ready).commit
        yield commit
        for parent in set(header(commit).parents):
            children[parent] -= 1
            if not children[parent]:
                heapq.heappush(ready, _Newest(header(parent).time, parent))


@dataclass(frozen=True, slots=True)
class _Newest:
    """Sorts by time, newest first, then by id."""

    time: str
    commit: CommitId

    def __lt__(self, other: _Newest) -> bool:
        return (other.time, self.commit) < (self.time, other.commit)


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """A line from one row of the graph to the next.

    Attributes:
        start: column in this row.
        end: column in the next row.
        dashed: to an input, which is not a parent.
    """

    start: int
    end: int
    dashed: bool


@dataclass(frozen=True, slots=True)
class GraphRow:
    """One commit of the graph.

    Attributes:
        commit: its id.
        column: where it is drawn, from 0.
        width: columns in use in this row.
        edges: lines to the next row, sorted.
    """

    commit: CommitId
    column: int
    width: int
    edges: tuple[GraphEdge, ...]


@dataclass(frozen=True, slots=True)
class _Lane:
    """A line that waits for a commit further down."""

    commit: CommitId
    dashed: bool


def graph_rows(order: Iterable[CommitId], header: HeaderSource) -> Iterator[GraphRow]:
    """Lay commits out in columns, one row each.

    Args:
        order: children before parents, as `log_order` gives it. Parents outside it end the line;
            inputs are drawn only when they come later in it.
        header: reads a commit header.
    """
    commits = tuple(order)
    left = set(commits)
    lanes: list[_Lane] = []
    for commit in commits:
        left.discard(commit)
        if all(lane.commit != commit for lane in lanes):
            lanes.append(_Lane(commit, dashed=False))
        column = next(i for i, lane in enumerate(lanes) if lane.commit == commit)
        wanted = _wanted(commit, header(commit), left)
        following = _next_lanes(lanes, column, wanted)
        yield GraphRow(commit, column, len(lanes), _edges(lanes, column, wanted, following))
        lanes = following


def _wanted(commit: CommitId, header: CommitHeader, left: set[CommitId]) -> dict[CommitId, bool]:
    """Parents and inputs still to come; whether the line to each is dashed."""
    inputs = {each: True for each in header.inputs if each in left and each != commit}
    return {each: False for each in header.parents if each in left} | {
        each: dashed for each, dashed in inputs.items() if each not in header.parents
    }


def _next_lanes(lanes: list[_Lane], column: int, wanted: dict[CommitId, bool]) -> list[_Lane]:
    waiting = {lane.commit for lane in lanes}
    fresh = [_Lane(each, dashed) for each, dashed in wanted.items() if each not in waiting]
    kept = [_Lane(lane.commit, lane.dashed and wanted.get(lane.commit, True)) for lane in lanes]
    return kept[:column] + fresh[:1] + kept[column + 1 :] + fresh[1:]


def _edges(
    lanes: list[_Lane], column: int, wanted: dict[CommitId, bool], following: list[_Lane]
) -> tuple[GraphEdge, ...]:
    at = {lane.commit: i for i, lane in enumerate(following)}
    passing = [
        GraphEdge(i, at[lane.commit], lane.dashed) for i, lane in enumerate(lanes) if i != column
    ]
    own = [GraphEdge(column, at[each], dashed) for each, dashed in wanted.items()]
    return tuple(sorted(passing + own, key=lambda edge: (edge.start, edge.end)))
