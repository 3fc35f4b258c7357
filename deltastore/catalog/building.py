"""Writing a catalog: a tail extended, a base made new; in files, or in memory where that fails."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.catalog.compacting import write_base
from deltastore.catalog.connecting import (
    LARGE_BLOCKS,
    SMALL_BLOCKS,
    attach,
    attach_memory,
    attach_writable,
    create,
    create_views,
    read_meta,
    run,
    seed_tail,
    write_meta,
)
from deltastore.catalog.extending import extend
from deltastore.catalog.opening import Opened
from deltastore.catalog.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deltastore.catalog.connecting import Connection
    from deltastore.catalog.opening import Opener
    from deltastore.catalog.reading import StoreReader
    from deltastore.history.state import LogState

__all__ = ["Builder"]


@dataclass(frozen=True, slots=True)
class Builder:
    """Makes catalogs of one store. Methods that publish are for the holder of the lock.

    All raise `StorageError` if the store cannot be read now, and one of `connecting.UNUSABLE` if
    files are damaged or the disk is full; nothing is published then.

    Attributes:
        opener: of the store's catalogs.
        reader: of the store.
        state: of the log, up to which to build.
    """

    opener: Opener
    reader: StoreReader
    state: LogState

    def publish_base(self) -> Path:
        """Make a base from the store alone."""
        with self._temporary() as staged, self._connection() as connection:
            meta = self.opener.new_meta()
            attach_memory(connection, "base", meta)
            attach_writable(connection, staged, "tail", blocks=LARGE_BLOCKS)
            create(connection, "tail")
            write_meta(connection, "tail", meta)
            create_views(connection)
            extend(connection, self.reader, self.state)
            return self._publish_sorted(connection)

    def publish_compacted(self, old: Opened) -> Path:
        """Make a base of a base and its tail."""
        with self._connection() as connection:
            self._attach(connection, old)
            create_views(connection)
            return self._publish_sorted(connection)

    def _publish_sorted(self, connection: Connection) -> Path:
        with self._temporary() as made:
            meta = write_base(connection, made)
            return self.opener.generations.publish(made, "base", meta.v)

    def publish_tail(self, old: Opened) -> Opened:
        """Make a tail that goes further than the one of `old`, or the first one of its base."""
        connection = self.opener.connect()
        try:
            return self._publish_tail(connection, old)
        except BaseException:
            connection.close()
            raise

    def _publish_tail(self, connection: Connection, old: Opened) -> Opened:
        with self._temporary() as made:
            if old.tail is not None:
                shutil.copyfile(old.tail, made)
            self._attach_base(connection, old)
            attach_writable(connection, made, "tail", blocks=SMALL_BLOCKS)
            if old.tail is None:
                create(connection, "tail")
                seed_tail(connection)
            create_views(connection)
            extend(connection, self.reader, self.state)
            run(connection, "CHECKPOINT tail")
            run(connection, "DETACH tail")
            path = self.opener.generations.publish(made, "tail", self.state.v)
        attach(connection, path, "tail")
        return Opened(connection, read_meta(connection, "tail"), old.base, path)

    def in_memory(self, old: Opened | None) -> Opened:
        """A catalog that goes up to the state and that this process keeps to itself.

        Args:
            old: to go on from; None for nothing.
        """
        opened = self.opener.empty() if old is None else self._overlay(old)
        try:
            return self.extended(opened)
        except BaseException:
            opened.connection.close()
            raise

    def extended(self, opened: Opened) -> Opened:
        """The same catalog, whose tail is in memory, further on."""
        extend(opened.connection, self.reader, self.state)
        return Opened(opened.connection, read_meta(opened.connection, "tail"), opened.base)

    def _overlay(self, old: Opened) -> Opened:
        connection = self.opener.connect()
        try:
            self._attach_base(connection, old)
            attach_memory(connection, "tail", old.meta)
            if old.tail is None:
                seed_tail(connection)
            else:
                attach(connection, old.tail, "old")
                run(connection, "TRUNCATE tail.meta")
                for name in TABLES:
                    run(connection, f"INSERT INTO tail.{name} BY NAME FROM old.{name}")
                run(connection, "DETACH old")
            create_views(connection)
        except BaseException:
            connection.close()
            raise
        return Opened(connection, old.meta, old.base)

    def _attach(self, connection: Connection, old: Opened) -> None:
        self._attach_base(connection, old)
        if old.tail is not None:
            attach(connection, old.tail, "tail")
        else:
            attach_memory(connection, "tail", old.meta)
            seed_tail(connection)

    def _attach_base(self, connection: Connection, old: Opened) -> None:
        if old.base is None:
            attach_memory(connection, "base", old.meta)
        else:
            attach(connection, old.base, "base")

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        connection = self.opener.connect()
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        """A name for a file in the making; whatever is left under it is removed."""
        path = self.opener.generations.temporary()
        try:
            yield path
        finally:
            for each in (path, path.with_name(f"{path.name}.wal")):
                with suppress(OSError):
                    each.unlink(missing_ok=True)
