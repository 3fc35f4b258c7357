"""Which SQL of other people may run: one statement that reads, from the public tables only.

DuckDB itself takes the text apart; what is looked at is its syntax tree, never the text. This is
the first of several walls: the connection is locked, and its process confined.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltastore.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from deltastore.catalog.connecting import Connection

__all__ = ["MAX_STATEMENT", "check_statement"]

MAX_STATEMENT = 100_000
"""Characters."""

_QUERIES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}

_TABLE_FUNCTIONS = {"range", "generate_series", "unnest", "json_each", "json_tree", "repeat"}
"""Those that neither reach files nor take other SQL, settings or addresses in memory."""

_REFUSED_FUNCTIONS = {
    "current_setting",
    "currval",
    "getenv",
    "getvariable",
    "nextval",
    "setval",
    "sleep_ms",
    "write_log",
}

_READS = "SELECT, WITH, FROM, VALUES, DESCRIBE, SUMMARIZE or SHOW TABLES"


@dataclass(frozen=True, slots=True)
class _Tree:
    """The syntax tree of one statement, as DuckDB writes it in JSON."""

    root: Any

    def nodes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every object and the key it is under; no recursion, however deep the tree."""
        pending: list[tuple[str, Any]] = [("", self.root)]
        while pending:
            key, value = pending.pop()
            if isinstance(value, dict):
                yield key, value
                pending.extend(value.items())
            elif isinstance(value, list):
                pending.extend((key, item) for item in value)

    def own_tables(self) -> set[str]:
        """Names that the statement gives to queries of its own (WITH)."""
        return {
            entry["key"].lower()
            for _, node in self.nodes()
            for entry in (node.get("cte_map") or {}).get("map", ())
        } | {node["cte_name"].lower() for _, node in self.nodes() if node.get("cte_name")}


def check_statement(connection: Connection, text: str, tables: Collection[str]) -> set[str]:
    """Refuse anything but one statement that only reads tables of these names.

    Args:
        connection: any; nothing is executed on it but DuckDB's own parser.
        text: of the statement.
        tables: that may be read, in lower case.

    Returns:
        Those of the tables that it reads.

    Raises:
        InvalidError: it is something else; the message says what.
        duckdb.Error: it is no SQL.
    """
    if len(text) > MAX_STATEMENT:
        raise InvalidError(
            f"sql: {len(text):,} characters, more than the {MAX_STATEMENT:,} that are taken"
        )
    _check_kind(connection, text)
    answer = connection.execute("SELECT json_serialize_sql(?)", [text]).fetchone()
    found: dict[str, Any] = json.loads(answer[0]) if answer else {"error": True}
    if found["error"] or len(found["statements"]) != 1:
        raise InvalidError(f"sql: not a statement that only reads: {_READS}")
    tree = _Tree(found["statements"][0]["node"])
    own = tree.own_tables()
    return {name for key, node in tree.nodes() for name in _read_by(key, node, own, tables)}


def _check_kind(connection: Connection, text: str) -> None:
    statements = connection.extract_statements(text)
    if len(statements) != 1:
        raise InvalidError(
            f"sql: {len(statements)} statements; exactly one is taken", hint=f"one {_READS}"
        )
    kind = statements[0].type.name
    if kind == "MULTI":  # DuckDB would first collect the values in a type that it makes
        raise InvalidError(
            "sql: PIVOT without its values is refused: queries only read",
            hint="name them: FROM (PIVOT metrics ON name IN ('a', 'b') USING max(value))",
        )
    if kind != "SELECT":
        raise InvalidError(f"sql: {kind} is refused: queries only read", hint=f"one {_READS}")


def _read_by(
    key: str, node: dict[str, Any], own: Collection[str], tables: Collection[str]
) -> Iterator[str]:
    """Public tables that one node of the tree reads itself.

    Raises:
        InvalidError: the node is nothing that may be there.
    """
    kind = str(node.get("type", ""))
    if kind.endswith("_NODE") and kind not in _QUERIES:
        raise InvalidError(f"sql: {kind.removesuffix('_NODE')} is refused: queries only read")
    if kind == "BASE_TABLE":
        yield from _table(node, own, tables)
    elif kind == "SHOW_REF":
        yield from _shown(node, tables)
    elif kind == "TABLE_FUNCTION" and key != "function":
        _check_function(node["function"]["function_name"], _TABLE_FUNCTIONS)
    elif "function_name" in node:
        _check_function(node["function_name"], None)


def _table(node: dict[str, Any], own: Collection[str], tables: Collection[str]) -> Iterator[str]:
    parts = [node.get("catalog_name"), node.get("schema_name"), node["table_name"]]
    name = ".".join(part for part in parts if part)
    if name.lower() in tables:
        yield name.lower()
    elif name.lower() not in own:
        raise InvalidError(
            f"sql: there is no table {name!r}", hint=f"tables: {', '.join(sorted(tables))}"
        )


def _shown(node: dict[str, Any], tables: Collection[str]) -> Iterator[str]:
    name = str(node.get("table_name", "")).strip('"').lower()
    if name in tables:
        yield name
    elif name and name != "tables":
        raise InvalidError(
            f"sql: there is no table {name!r}", hint=f"tables: {', '.join(sorted(tables))}"
        )


def _check_function(name: str, allowed: Collection[str] | None) -> None:
    known = name.lower()
    refused = known in _REFUSED_FUNCTIONS or known.startswith("__internal")
    if refused or (allowed is not None and known not in allowed):
        raise InvalidError(
            f"sql: the function {name} is refused: it reaches beyond the tables",
            hint="deltastore sql 'SHOW TABLES' lists what there is to ask",
        )
