"""The catalog as Parquet files, for other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from deltastore.catalog.connecting import run
from deltastore.catalog.schema import EXPORTED
from deltastore.errors import ExistsError, StorageError
from deltastore.places.failures import local_failures

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.catalog.connecting import Connection

__all__ = ["export"]


def export(connection: Connection, folder: Path) -> tuple[Path, ...]:
    """Write every table and view to `<name>.parquet`, by DuckDB's own access to local files.

    Args:
        connection: one that was not locked down.
        folder: made if absent; files of these names are replaced.

    Raises:
        ExistsError: there is a file where the folder should be.
        StorageError: the folder cannot be written.
    """
    try:
        with local_failures(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as reason:
        raise ExistsError(f"{folder}: is no folder", hint="name another one") from reason
    paths = tuple(folder / f"{name}.parquet" for name in EXPORTED)
    for name, path in zip(EXPORTED, paths, strict=True):
        quoted = str(path).replace("'", "''")
        try:
            run(connection, f"COPY (FROM {name}) TO '{quoted}' (FORMAT parquet)")
        except duckdb.IOException as reason:
            raise StorageError(
                f"{path}: cannot be written: {reason}", hint="check the space and who owns it"
            ) from reason
    return paths
