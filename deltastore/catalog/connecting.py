"""Connections: a base and a tail attached side by side, each a file or in memory, under one view.

A connection that answers questions can reach no other file: extensions are never installed or
loaded, and the file system is closed to it once both are attached.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from deltastore.catalog.digests import hex_digests
from deltastore.catalog.schema import SCHEMA, TABLES, VIEWS

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, TypeAlias

    import numpy as np
    import numpy.typing as npt

    Connection: TypeAlias = duckdb.DuckDBPyConnection

__all__ = [
    "LARGE_BLOCKS",
    "SMALL_BLOCKS",
    "UNUSABLE",
    "Meta",
    "Resources",
    "ask",
    "attach",
    "attach_memory",
    "attach_writable",
    "connect",
    "create",
    "create_views",
    "digests_of",
    "lock_down",
    "new_meta",
    "read_meta",
    "run",
    "seed_tail",
    "write_meta",
]

UNUSABLE = (duckdb.Error, OSError, ValueError, TypeError, RuntimeError)
"""What DuckDB raises about a file that is damaged, foreign, gone or of another version."""

COMPLETE = ("refs", "absent", "unread")

SMALL_BLOCKS = 1 << 14
LARGE_BLOCKS = 1 << 18
"""Bytes. A tail is copied once per commit; empty it has 28 kB in small blocks, 274 in large."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What DuckDB may use.

    Attributes:
        memory_limit: such as `1GB`.
        threads: to work with.
    """

    memory_limit: str = "1GB"
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Meta:
    """What one file says about itself.

    Attributes:
        schema: number of its layout.
        store_id: of the store.
        url: hash of the store's URL.
        base_v: the entry its base goes up to.
        token: random, the same in a base and its tails, which share row numbers.
        v: the entry it goes up to.
        head: hash of that entry's head.
        next_n: number of the next commit.
        next_p: number of the next pack.
    """

    schema: int
    store_id: str
    url: str
    base_v: int
    token: str
    v: int
    head: str
    next_n: int
    next_p: int


def new_meta(store_id: str, url: str) -> Meta:
    """Of a catalog that holds nothing yet; its head is nobody's."""
    return Meta(SCHEMA, store_id, url, 0, secrets.token_hex(16), 0, "", 0, 0)


def connect(resources: Resources, spill: Path | None = None) -> Connection:
    """A connection with nothing in it.

    Args:
        resources: what it may use.
        spill: folder for what does not fit into memory; None forbids that.
    """
    return duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": resources.memory_limit,
            "threads": str(resources.threads),
            "temp_directory": str(spill) if spill else "",
            # columns of text may begin with many nulls: their type is not to be guessed
            "pandas_analyze_sample": "0",
        },
    )


def run(connection: Connection, statement: str, parameters: list[Any] | None = None) -> None:
    """Run a statement to its end."""
    connection.execute(statement, parameters).fetchall()


def ask(
    connection: Connection, query: str, parameters: list[Any] | None = None
) -> list[tuple[Any, ...]]:
    """All rows of an answer."""
    return connection.execute(query, parameters).fetchall()


def digests_of(connection: Connection, query: str) -> list[str]:
    """The digests in an answer with the columns k0 to k3."""
    found: dict[str, npt.NDArray[np.generic]] = connection.execute(query).fetchnumpy()
    return hex_digests(found)


def attach(connection: Connection, path: Path, alias: str) -> None:
    """Attach a file that will not be changed.

    Raises:
        duckdb.Error: it is missing, damaged, or no database of ours.
    """
    run(connection, f"ATTACH '{_quoted(path)}' AS {alias} (READ_ONLY)")


def attach_writable(connection: Connection, path: Path, alias: str, *, blocks: int) -> None:
    """Attach a file that this process alone knows of; made if absent, in blocks of that size."""
    options = f"STORAGE_VERSION 'v1.4.0', BLOCK_SIZE {blocks}"
    run(connection, f"ATTACH '{_quoted(path)}' AS {alias} ({options})")


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def attach_memory(connection: Connection, alias: str, meta: Meta) -> None:
    """Attach an empty database that lives as long as the connection."""
    run(connection, f"ATTACH ':memory:' AS {alias}")
    create(connection, alias)
    write_meta(connection, alias, meta)


def create(connection: Connection, alias: str) -> None:
    """Make the tables; the only definitions there will ever be in that database."""
    for name, table in TABLES.items():
        run(connection, f"CREATE TABLE {alias}.{name} ({table.definition})")


def create_views(connection: Connection, schema: str = "main") -> None:
    """What queries see: base and tail as one; in a schema of the connection's own database."""
    for name, query in VIEWS.items():
        run(connection, f"CREATE VIEW memory.{schema}.{name} AS {query}")


def seed_tail(connection: Connection) -> None:
    """Give a new tail what every tail holds completely."""
    for name in COMPLETE:
        run(connection, f"INSERT INTO tail.{name} FROM base.{name}")
    write_meta(connection, "tail", read_meta(connection, "base"))


def read_meta(connection: Connection, alias: str) -> Meta:
    """What an attached database says about itself.

    Raises:
        ValueError: it says nothing, or more than one thing.
    """
    ((*values,),) = ask(connection, f"FROM {alias}.meta")
    return Meta(*values)


def write_meta(connection: Connection, alias: str, meta: Meta) -> None:
    """Replace what a database says about itself."""
    values = [getattr(meta, name) for name in TABLES["meta"].columns]
    places = ", ".join("?" for _ in values)
    run(connection, f"TRUNCATE {alias}.meta")
    statement = f"INSERT INTO {alias}.meta VALUES ({places})"  # noqa: S608 - the alias is ours
    run(connection, statement, values)


def lock_down(connection: Connection) -> None:
    """Close the file system to a connection; what is attached stays."""
    run(connection, "SET enable_external_access = false")
    run(connection, "SET lock_configuration = true")
