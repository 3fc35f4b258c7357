"""Opening a catalog: the newest usable pair of files, or nothing at all in memory."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.catalog.connecting import (
    UNUSABLE,
    Meta,
    Resources,
    attach,
    attach_memory,
    connect,
    create_views,
    new_meta,
    read_meta,
    seed_tail,
)
from deltastore.catalog.generations import Generations, url_hash
from deltastore.catalog.schema import SCHEMA
from deltastore.errors import DeltastoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deltastore.catalog.connecting import Connection
    from deltastore.catalog.generations import Candidate

__all__ = ["Opened", "Opener"]

ROUNDS = 4
"""How often the folder is looked at again because a file of the list was not there any more."""

logger = logging.getLogger("deltastore.catalog")


@dataclass(frozen=True, slots=True)
class Opened:
    """A base and a tail that can be asked.

    Attributes:
        connection: both attached, with views.
        meta: of the tail.
        base: its file, or None if it is in memory.
        tail: its file, or None if it is in memory.
    """

    connection: Connection
    meta: Meta
    base: Path | None = None
    tail: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files behind it."""
        return tuple(path for path in (self.base, self.tail) if path is not None)

    @property
    def newest(self) -> Path | None:
        """The file that says how far it goes."""
        return self.tail or self.base


class Opener:
    """Opens catalogs of one store.

    Args:
        folder: of all catalogs.
        store_id: 32 hex digits.
        url: of the store.
        resources: what DuckDB may use.
    """

    def __init__(self, folder: Path, store_id: str, url: str, resources: Resources) -> None:
        self.generations = Generations(folder, store_id, url)
        self.resources = resources
        self.identity = (SCHEMA, store_id, url_hash(url))

    def connect(self) -> Connection:
        """A connection with nothing in it that may spill into the catalog's folder."""
        return connect(self.resources, self.generations.spill())

    def new_meta(self) -> Meta:
        """Of a catalog of this store that holds nothing yet."""
        return new_meta(*self.identity[1:])

    def empty(self) -> Opened:
        """A catalog of nothing, in memory."""
        connection = self.connect()
        meta = self.new_meta()
        attach_memory(connection, "base", meta)
        attach_memory(connection, "tail", meta)
        create_views(connection)
        return Opened(connection, meta)

    def newest(self, belongs: Callable[[Meta], bool]) -> Opened | None:
        """The newest usable catalog; None if there is none. What is unusable is put aside.

        Args:
            belongs: whether an entry and its head, as a file has them, are in the log.

        Raises:
            StorageError: `belongs` cannot find out.
        """
        for _ in range(ROUNDS):
            candidates = self.generations.candidates()
            for candidate in candidates:
                opened = self._try(candidate, belongs)
                if opened is not None:
                    return opened
            if not candidates:
                return None
        return None

    def _try(self, candidate: Candidate, belongs: Callable[[Meta], bool]) -> Opened | None:
        connection = self.connect()
        try:
            opened = self._open(connection, candidate)
            if not belongs(opened.meta):
                self._refuse("it is of another history", candidate)
        except UNUSABLE as reason:
            connection.close()
            if isinstance(reason, DeltastoreError):
                raise
            logger.info("catalog: %s is put aside: %s", candidate.path, reason)
            self.generations.quarantine([candidate.path])
            return None
        return opened

    def _open(self, connection: Connection, candidate: Candidate) -> Opened:
        tail = candidate.path if candidate.role == "tail" else None
        base = candidate.path
        if tail is not None:
            attach(connection, tail, "tail")
            base = self.generations.path(
                "base", self._checked(connection, "tail", candidate).base_v
            )
        attach(connection, base, "base")
        meta = self._checked(connection, "base", candidate)
        if tail is None:
            attach_memory(connection, "tail", meta)
            seed_tail(connection)
        create_views(connection)
        found = read_meta(connection, "tail")
        if found.token != meta.token:
            self._refuse("it goes with another base", candidate)
        return Opened(connection, found, base, tail)

    def _checked(self, connection: Connection, alias: str, candidate: Candidate) -> Meta:
        meta = read_meta(connection, alias)
        if (meta.schema, meta.store_id, meta.url) != self.identity:
            self._refuse("it is of another store", candidate)
        return meta

    @staticmethod
    def _refuse(reason: str, candidate: Candidate) -> None:
        raise RuntimeError(f"{candidate.path.name}: {reason}")
