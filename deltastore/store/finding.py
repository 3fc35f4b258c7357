"""The methods of `Store` that ask its catalog: find, sql, reindex."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from deltastore.errors import UsageError
from deltastore.results import Reindexed
from deltastore.store.opened import OpenedStore
from deltastore.store.texts import nfc

if TYPE_CHECKING:
    from deltastore.results import Table

__all__ = ["Finding"]

LEAST_MEMORY = 64 << 20
MOST_SECONDS = 86_400.0


class Finding(OpenedStore):
    """See `Store`."""

    def find(
        self,
        query: str = "",
        *,
        sort: str | None = None,
        ascending: bool = False,
        tips: bool = False,
        limit: int | None = None,
    ) -> Table:
        """Versions that fit a filter such as `metric.mmlu>0.6 base:meta/llama -author:ada`.

        Args:
            query: terms that all have to fit; all reachable versions fit an empty one.
            sort: `time`, `files`, `bytes` or `metric.NAME`, largest first; newest first when None.
            ascending: smallest first.
            tips: only versions that a branch or tag stands on.
            limit: most rows.

        Returns:
            Columns `model`, `branch` (branches and tags that stand on the version), `commit`,
            `time`, `author`, `message`, then metrics, metadata and sizes that are asked about.

        Raises:
            InvalidError: the filter breaks the grammar, or names what is recorded nowhere.
            UsageError: it is no valid Unicode.
        """
        from deltastore.catalog.finding import wanted_of

        _check_limit(limit)
        query = nfc(query, "find")
        sort = None if sort is None else nfc(sort, "sort")
        wanted = wanted_of(query, sort=sort, ascending=ascending, tips=tips, limit=limit)
        self._log.refresh()
        return self._catalog().find(wanted)

    def sql(
        self,
        query: str,
        *,
        limit: int | None = None,
        timeout: float = 30.0,
        memory: int = 1 << 30,
    ) -> Table:
        """What one reading SQL statement answers, in DuckDB's dialect.

        It runs in a process of its own that can write nothing, reach no other file and no network.
        The tables it may read: `commits`, `parents`, `inputs`, `metrics`, `metadata`, `refs`,
        `models`, `files`, `tensors`, `packs`, `sections`.

        Args:
            query: one statement: SELECT, WITH, FROM, VALUES, DESCRIBE, SUMMARIZE or SHOW TABLES.
            limit: most rows.
            timeout: seconds.
            memory: bytes.

        Raises:
            InvalidError: the query is refused, is no SQL, or needs more time or memory.
        """
        from deltastore.catalog.sandbox import Limits

        _check_limit(limit)
        query = nfc(query, "sql")
        if not (math.isfinite(timeout) and 0 < timeout <= MOST_SECONDS):
            raise UsageError(f"timeout: {timeout!r} is not a number of seconds up to a day")
        if memory < LEAST_MEMORY:
            raise UsageError(f"memory: {memory} bytes are too few", hint="at least 64 MiB")
        self._log.refresh()
        limits = Limits(limit, timeout, memory, min(self._threads or 2, 2))
        return self._catalog().sql(query, limits)

    def reindex(self, *, dry_run: bool = False) -> Reindexed:
        """Make the catalog again from the store alone, whatever there is.

        Args:
            dry_run: say only what would be read.

        Raises:
            StorageError: the store cannot be read.
        """
        state, unread = self._log.refresh(), 0
        if not dry_run:
            catalog = self._made_catalog()
            catalog.rebuild(self._log, self._history)
            state, unread = self._log.state, catalog.stats().unread
        commits = sum(meta in state.live for meta in state.commits.values())
        return Reindexed(
            rebuilt=not dry_run,
            entry=state.v,
            packs=len(state.live),
            commits=commits,
            unread=unread,
        )


def _check_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise UsageError(f"limit: {limit} is not a number of rows", hint="at least 1")
