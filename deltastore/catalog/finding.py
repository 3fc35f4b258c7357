"""Commits that fit a filter, as a table."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from deltastore.catalog.conditions import conditions_of
from deltastore.catalog.connecting import ask
from deltastore.catalog.digests import hex_of
from deltastore.catalog.filters import Field, parse_field, parse_filter, resolved
from deltastore.catalog.homes import homes
from deltastore.catalog.reaching import behind
from deltastore.errors import InvalidError
from deltastore.results import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deltastore.catalog.conditions import Conditions, Place
    from deltastore.catalog.connecting import Connection
    from deltastore.catalog.filters import Filter

__all__ = ["COLUMNS", "Wanted", "find", "wanted_of"]

COLUMNS = ("model", "branch", "commit", "time", "author", "message")

_SORTED = ("time", "files", "bytes", "metric")

_RECORDED = """
    SELECT DISTINCT name FROM {} SEMI JOIN reached USING (n) ORDER BY name
"""

_ROOTS = "SELECT DISTINCT c.n FROM refs JOIN commits c USING (k0, k1, k2, k3) WHERE "

_STANDING = """
    SELECT c.n, r.model, r.ref
    FROM refs r JOIN commits c USING (k0, k1, k2, k3)
    WHERE r.model <> '' ORDER BY r.kind, r.model, r.ref
"""

_TIME = "try_cast(c.time AS TIMESTAMP)"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A question, taken apart.

    Attributes:
        filter: what has to fit.
        sort: by what, largest first.
        ascending: smallest first.
        tips: only what a branch or tag stands on.
        limit: most rows, or None.
    """

    filter: Filter
    sort: Field
    ascending: bool = False
    tips: bool = False
    limit: int | None = None

    @property
    def columns(self) -> tuple[Field, ...]:
        """Metrics, metadata and sizes that are asked about, each once."""
        named = [*(term.field for term in self.filter.terms), self.sort]
        shown = ("metric", "meta", "files", "bytes")
        return tuple(dict.fromkeys(each for each in named if each.kind in shown))


def wanted_of(
    query: str, *, sort: str | None, ascending: bool, tips: bool, limit: int | None
) -> Wanted:
    """Take a question apart.

    Raises:
        InvalidError: the query breaks the grammar, or nothing is sorted by that.
    """
    order = parse_field(sort) if sort is not None else Field("time")
    if order.kind == "recorded":
        order = Field("metric", order.name)
    if order.kind not in _SORTED:
        raise InvalidError(
            f"find: versions are not sorted by {sort}",
            hint="by time, files, bytes or metric.NAME",
        )
    return Wanted(parse_filter(query), order, ascending, tips, limit)


def find(connection: Connection, wanted: Wanted) -> Table:
    """The commits that fit, in order.

    Raises:
        InvalidError: a name is neither a field nor recorded anywhere.
    """
    names = {kind: _recorded(connection, kind) for kind in ("metadata", "metrics")}
    wanted = replace(wanted, filter=resolved(wanted.filter, names["metadata"], names["metrics"]))
    if wanted.sort.kind == "metric" and wanted.sort.name not in names["metrics"]:
        raise InvalidError(
            f"find: no version has a metric {wanted.sort.name!r} to sort by",
            hint=f"metrics here: {', '.join(names['metrics'][:10]) or 'none'}",
        )
    conditions = conditions_of(wanted.filter)
    with _places(connection, conditions.places):
        query, values = _query(wanted, conditions)
        rows = ask(connection, query, values)
    truncated = wanted.limit is not None and len(rows) > wanted.limit
    rows = rows[: wanted.limit] if truncated else rows
    columns = (*COLUMNS, *(field.text for field in wanted.columns))
    return Table(columns, tuple(_rows(connection, rows)), truncated=truncated)


def _recorded(connection: Connection, table: str) -> list[str]:
    return [name for (name,) in ask(connection, _RECORDED.format(table))]


def _query(wanted: Wanted, conditions: Conditions) -> tuple[str, list[Any]]:
    """Texts of this module and of `conditions`, and the values bound in them."""
    shown: list[str] = []
    joins: list[str] = []
    values: list[Any] = []
    for number, column in enumerate(wanted.columns):
        if column.name:
            table = "metrics" if column.kind == "metric" else "metadata"
            joins.append(
                f"LEFT JOIN (SELECT n, value AS v{number} FROM {table} WHERE name = ?) USING (n)"  # noqa: S608 - texts of ours
            )
            values.append(column.name)
            shown.append(f"v{number}")
        else:
            shown.append(f"c.{column.kind}")
    fields = ", ".join(["c.n", "c.k0, c.k1, c.k2, c.k3", "c.time", "c.author", "c.message", *shown])
    tips = f"AND c.n IN ({_ROOTS} model <> '')" if wanted.tips else ""
    way = "ASC" if wanted.ascending else "DESC"
    tie = way if wanted.sort.kind == "time" else "DESC"
    order = _TIME if wanted.sort.kind == "time" else shown[wanted.columns.index(wanted.sort)]
    query = f"""
        SELECT {fields} FROM (FROM commits SEMI JOIN reached USING (n)) c {" ".join(joins)}
        WHERE ({conditions.text}) {tips}
        ORDER BY {order} {way} NULLS LAST, {_TIME} DESC NULLS LAST, c.n {tie}
        LIMIT ?
    """  # noqa: S608 - texts of this module and of `conditions`
    values += conditions.values
    return query, [*values, None if wanted.limit is None else wanted.limit + 1]


@contextmanager
def _places(connection: Connection, places: Sequence[Place]) -> Iterator[None]:
    """Tables `place0`, `place1`... of the commits that each place names."""
    for number, place in enumerate(places):
        found = {n for (n,) in ask(connection, _ROOTS + place.condition, list(place.values))}
        if place.history:
            found = behind(connection, found, ["parent"])
        numbers = np.array(sorted(found), dtype=np.uint32)
        connection.register(f"place{number}", {"n": numbers})
    try:
        yield
    finally:
        for number in range(len(places)):
            connection.unregister(f"place{number}")


def _rows(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """With each commit's model, and the branches and tags that stand on it."""
    if not rows:
        return
    models = homes(connection)
    standing: dict[int, list[tuple[str, str]]] = {}
    for n, model, ref in ask(connection, _STANDING):
        standing.setdefault(n, []).append((model, ref))
    for n, k0, k1, k2, k3, *recorded in rows:
        home = models.get(n)
        here = standing.get(n, ())
        own = [ref for model, ref in here if model == home]
        others = [f"{model}@{ref}" for model, ref in here if model != home]
        yield home, ", ".join([*own, *others]), hex_of(k0, k1, k2, k3), *recorded
