"""Making a new base of a base and its tail: sorted by digest, without what is dead."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from deltastore.catalog.connecting import (
    LARGE_BLOCKS,
    attach_writable,
    create,
    read_meta,
    run,
    write_meta,
)
from deltastore.catalog.schema import TABLES

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.catalog.connecting import Connection, Meta

__all__ = ["write_base"]

_EMPTY = frozenset({"lost", "gone", "dead", "meta"})
"""A base takes nothing away; what it says about itself is new."""


def write_base(connection: Connection, path: Path) -> Meta:
    """Write what a connection sees to a new file.

    Args:
        connection: base and tail, with views.
        path: of the file, which must not exist.

    Returns:
        What the file says about itself.

    Raises:
        duckdb.Error: the disk is full, or what is read is damaged.
    """
    attach_writable(connection, path, "fresh", blocks=LARGE_BLOCKS)
    create(connection, "fresh")
    for name, table in TABLES.items():
        if name not in _EMPTY:
            run(connection, f"INSERT INTO fresh.{name} BY NAME FROM {name} ORDER BY {table.order}")
    tail = read_meta(connection, "tail")
    meta = replace(tail, base_v=tail.v, token=secrets.token_hex(16))
    write_meta(connection, "fresh", meta)
    run(connection, "CHECKPOINT fresh")
    run(connection, "DETACH fresh")
    return meta
