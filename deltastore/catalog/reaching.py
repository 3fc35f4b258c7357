"""Which commits the refs keep, along parents and bases: kept up to date in the tail.

This is for statistics and proposals. What may be deleted is decided by `history.reachability`, from
the log and nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from deltastore.catalog.batches import insert
from deltastore.catalog.connecting import ask, digests_of, run
from deltastore.catalog.digests import digest_columns, hex_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from deltastore.catalog.connecting import Connection

__all__ = ["behind", "extend_reached", "recompute_reached", "root_digests"]

MOST_STEPS = 64
"""Beyond that many steps from a ref that moved everything is looked at anew, which is faster."""

_ROOTS = "SELECT DISTINCT k0, k1, k2, k3 FROM tail.refs"

_FRONTIER = """
    SELECT c.n, reached.n IS NOT NULL, c.k0, c.k1, c.k2, c.k3
    FROM batch JOIN every_commit c USING (k0, k1, k2, k3) LEFT JOIN reached USING (n)
"""

_BEHIND = """
    SELECT DISTINCT k0, k1, k2, k3 FROM links SEMI JOIN batch USING (n) WHERE role <> 'input'
"""

_EDGES = """
    SELECT links.n AS n, c.n AS behind
    FROM links JOIN every_commit c USING (k0, k1, k2, k3)
    WHERE list_contains(?, links.role)
"""

_ROOT_NUMBERS = """
    SELECT DISTINCT c.n FROM tail.refs JOIN every_commit c USING (k0, k1, k2, k3)
"""


def root_digests(connection: Connection) -> set[str]:
    """What the refs of the tail name."""
    return set(digests_of(connection, _ROOTS))


def extend_reached(connection: Connection, before: set[str]) -> None:
    """Bring `reached` up to date after refs moved.

    Args:
        connection: with base and tail.
        before: what the refs named when `reached` was right; commits kept then are kept now if
            what no ref names any more is behind what a ref names now.
    """
    now = root_digests(connection)
    fresh, dropped = now - before, before - now
    found = _newly_reached(connection, fresh, dropped)
    if found is None:
        recompute_reached(connection)
    else:
        _insert_numbers(connection, "reached", found)


def _newly_reached(connection: Connection, fresh: set[str], dropped: set[str]) -> list[int] | None:
    """Numbers of commits reached from `fresh` only; None if that is not all that changed."""
    touched: set[str] = set()
    found: list[int] = []
    frontier = fresh
    for _ in range(MOST_STEPS):
        if not frontier:
            return found if dropped <= touched else None
        touched |= frontier
        rows = _with_batch(connection, _FRONTIER, frontier)
        new = [n for n, reached, *_ in rows if not reached]
        found += new
        frontier = _behind_numbers(connection, new) - touched if new else set()
    return None


def _with_batch(
    connection: Connection, query: str, digests: Collection[str]
) -> list[tuple[int, ...]]:
    connection.register("batch", digest_columns(sorted(digests)))
    rows = ask(connection, query)
    connection.unregister("batch")
    return rows


def _behind_numbers(connection: Connection, numbers: list[int]) -> set[str]:
    connection.register("batch", {"n": np.array(numbers, dtype=np.uint32)})
    rows = ask(connection, _BEHIND)
    connection.unregister("batch")
    return {hex_of(*words) for words in rows}


def recompute_reached(connection: Connection) -> None:
    """Make `reached` anew, from all links."""
    roots = [n for (n,) in ask(connection, _ROOT_NUMBERS)]
    now = behind(connection, roots, ["parent", "base"])
    base = {n for (n,) in ask(connection, "FROM base.reached")}
    for table, numbers in (("reached", now - base), ("lost", base - now)):
        run(connection, f"TRUNCATE tail.{table}")
        _insert_numbers(connection, table, numbers)


def behind(connection: Connection, roots: Iterable[int], roles: list[str]) -> set[int]:
    """Numbers of the roots and of all that is behind them along links of those roles."""
    edges = connection.execute(_EDGES, [roles]).fetchnumpy()
    following: defaultdict[int, list[int]] = defaultdict(list)
    for n, other in zip(edges["n"].tolist(), edges["behind"].tolist(), strict=True):
        following[n].append(other)
    seen: set[int] = set()
    pending = list(roots)
    while pending:
        n = pending.pop()
        if n not in seen:
            seen.add(n)
            pending.extend(following.get(n, ()))
    return seen


def _insert_numbers(connection: Connection, table: str, numbers: Collection[int]) -> None:
    if numbers:
        insert(connection, table, {"n": np.array(sorted(numbers), dtype=np.uint32)})
