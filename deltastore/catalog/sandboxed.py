"""The process in which other people's SQL runs: told what to do on stdin, answers on stdout.

Before it looks at the query it gives up what it will not need: writing files, more memory, more
time. The connection can open nothing beyond the two files of the catalog, which it reads only.
Whoever started it ends it when time is up, so no query, however written, outlives its limit: a
single call of `repeat` was seen to ignore an interrupt for five seconds, and to take 2 GB beyond
DuckDB's own memory limit.
"""

from __future__ import annotations

import json
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from deltastore.catalog.connecting import (
    UNUSABLE,
    Resources,
    attach,
    attach_memory,
    connect,
    create_views,
    lock_down,
    read_meta,
    run,
    seed_tail,
)
from deltastore.catalog.homes import homes
from deltastore.catalog.public_tables import INTERNAL, PUBLIC
from deltastore.catalog.statements import check_statement
from deltastore.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deltastore.catalog.connecting import Connection

__all__ = ["Order", "answer", "asked", "main", "prepared"]

MAX_ANSWER_BYTES = 64 << 20
ROWS_AT_ONCE = 512
OWN_BYTES = 256 << 20
"""Beside what DuckDB counts: its stacks and buffers, and the rows as Python values."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to do.

    Attributes:
        base: file of the catalog's base.
        tail: file of its tail, or None where the base goes far enough.
        query: what was typed.
        limit: most rows, or None.
        memory: bytes.
        seconds: of processor time at most, as a last resort.
        threads: to work with.
    """

    base: str
    tail: str | None
    query: str
    limit: int | None
    memory: int
    seconds: int
    threads: int


def main() -> None:
    """Read an order, write an answer: a JSON document each."""
    order = Order(**json.load(sys.stdin.buffer))
    try:
        found = answer(order)
    except InvalidError as error:
        found = {"invalid": str(error), "hint": error.hint}
    except (MemoryError, duckdb.OutOfMemoryException):
        found = {"memory": True}
    except (OSError, duckdb.IOException) as error:  # the catalog's: a query can reach no other
        found = {"damaged": str(error)}
    except (duckdb.Error, RuntimeError, ValueError, OverflowError) as error:
        found = _failure(error)
    sys.stdout.buffer.write(json.dumps(found).encode())


def _failure(error: Exception) -> dict[str, Any]:
    if "bad_alloc" in str(error) or "Out of Memory" in str(error):
        return {"memory": True}
    return {"invalid": f"sql: {error}", "hint": "the tables: deltastore sql 'SHOW TABLES'"}


def answer(order: Order) -> dict[str, Any]:
    """Columns and rows of a query, as JSON values.

    Raises:
        InvalidError: the query is none that may run, or its answer cannot be told.
        duckdb.Error: DuckDB refuses it.
    """
    _confine(order.seconds)
    connection = prepared(order)
    _limit_memory(order.memory)
    return asked(connection, order.query, order.limit)


def asked(connection: Connection, query: str, limit: int | None) -> dict[str, Any]:
    """The answer of a prepared connection.

    Raises:
        InvalidError: the query is none that may run, or its answer cannot be told.
        duckdb.Error: DuckDB refuses it.
    """
    needed = check_statement(connection, query, PUBLIC)
    if "commits" in needed:
        _tell_homes(connection)
    connection.execute(query)
    columns = _columns(connection)
    rows, truncated = _rows(connection, limit)
    return {"columns": columns, "rows": rows, "truncated": truncated}


def _confine(seconds: int) -> None:
    """Give up writing files, dumping core and running for ever, for good."""
    for kind, most in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, seconds),
    ):
        with suppress(OSError, ValueError):  # a stricter limit is in force
            resource.setrlimit(kind, (most, most))


def _limit_memory(memory: int) -> None:
    """Let this process grow by so much more and no further; where the platform enforces that."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return  # not Linux: DuckDB's own limit, and the time limit
    most = pages * resource.getpagesize() + memory + OWN_BYTES
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def prepared(order: Order) -> Connection:
    """A connection with the catalog and the public tables, closed to everything else.

    Raises:
        OSError: the files cannot be used.
    """
    connection = connect(Resources(f"{order.memory}B", order.threads))
    try:
        _prepare(connection, order)
    except UNUSABLE as error:
        connection.close()
        raise OSError(f"{order.base}: {error}") from error
    return connection


def _prepare(connection: Connection, order: Order) -> None:
    for setting in (
        "python_enable_replacements = false",
        "allow_persistent_secrets = false",
        "TimeZone = 'UTC'",
    ):
        run(connection, f"SET {setting}")
    attach(connection, Path(order.base), "base")
    if order.tail is not None:
        attach(connection, Path(order.tail), "tail")
    else:
        attach_memory(connection, "tail", read_meta(connection, "base"))
        seed_tail(connection)
    run(connection, f"CREATE SCHEMA memory.{INTERNAL}")
    create_views(connection, INTERNAL)
    run(connection, f"CREATE TABLE memory.{INTERNAL}.homes (n UINTEGER, model VARCHAR)")
    for name, query in PUBLIC.items():
        run(connection, f"CREATE VIEW memory.main.{name} AS {query}")
    lock_down(connection)


def _tell_homes(connection: Connection) -> None:
    run(connection, f"TRUNCATE memory.{INTERNAL}.homes")
    rows = [{"n": n, "model": model} for n, model in homes(connection, INTERNAL).items()]
    run(
        connection,
        f"INSERT INTO memory.{INTERNAL}.homes SELECT unnest("
        """from_json(?, '[{"n": "UINTEGER", "model": "VARCHAR"}]'), recursive := true)""",
        [json.dumps(rows)],
    )


def _columns(connection: Connection) -> list[str]:
    described = connection.description or []
    for name, kind, *_ in described:
        if "WITH TIME ZONE" in str(kind):
            raise InvalidError(
                f"sql: column {name} has times with a time zone",
                hint=f"times here are UTC without a zone: cast it, as in ({name})::TIMESTAMP",
            )
    return [name for name, *_ in described]


def _rows(connection: Connection, limit: int | None) -> tuple[list[list[Any]], bool]:
    """At most `limit` rows, and whether there are more.

    Raises:
        InvalidError: they are too large to be handed over.
    """
    rows: list[list[Any]] = []
    size = 0
    while limit is None or len(rows) <= limit:
        found = connection.fetchmany(ROWS_AT_ONCE)
        if not found:
            return rows, False
        for row in found:
            rows.append([_plain(value) for value in row])
            size += sum(len(value) if isinstance(value, str) else 8 for value in rows[-1])
        if size > MAX_ANSWER_BYTES:
            raise InvalidError(
                f"sql: the answer is larger than {MAX_ANSWER_BYTES >> 20} MiB",
                hint="ask for fewer columns, or aggregate",
            )
    return rows[:limit], True


def _plain(value: Any) -> Any:
    """A JSON value: times in RFC 3339, bytes in hex, what JSON lacks as text."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, datetime):
        return f"{value.isoformat()}Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.hex()
    return _nested(value)


def _nested(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return _plain_items(value)
    if isinstance(value, dict):
        return _plain_fields(value)
    return str(value)


def _plain_items(values: Sequence[Any]) -> list[Any]:
    return [_plain(value) for value in values]


def _plain_fields(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): _plain(value) for key, value in values.items()}
