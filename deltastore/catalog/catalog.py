"""One store's catalog, as the rest of the library asks it."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self, TypeVar

from deltastore.catalog import queries, resembling
from deltastore.catalog.connecting import UNUSABLE, Resources
from deltastore.catalog.exporting import export
from deltastore.catalog.finding import find
from deltastore.catalog.keeping import Keeper
from deltastore.catalog.opening import Opener
from deltastore.catalog.sandbox import UnusableFilesError, files_of, run_confined
from deltastore.errors import DeltastoreError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from deltastore.catalog.answers import (
        CandidateRow,
        CommitRow,
        GarbageRow,
        ModelRow,
        SketchRow,
        StatsRow,
        TensorRow,
    )
    from deltastore.catalog.connecting import Connection
    from deltastore.catalog.finding import Wanted
    from deltastore.catalog.sandbox import Limits
    from deltastore.history.log import Log
    from deltastore.history.objects import HistoryReader
    from deltastore.ids import CommitId, Digest
    from deltastore.results import Table

__all__ = ["Catalog"]

T = TypeVar("T")


class Catalog:
    """What is in a store, for questions the log and single commits cannot answer quickly.

    A projection: everything in it comes from the store, and losing it loses nothing. Answers are
    those of the log entry `v`; they are proposals, which whoever acts on them proves from the log.
    Any number of processes may use one folder; none waits for another, except to rebuild.
    Thread-safe. Not to be used in a forked child.

    Args:
        folder: of all catalogs, for instance below the user's cache. Where it can be neither read
            nor made the catalog is in memory.
        store_id: 32 hex digits.
        url: of the store; copies of a store have catalogs of their own.
        memory_limit: of DuckDB, such as `1GB`.
        threads: of DuckDB.
    """

    def __init__(
        self,
        folder: Path,
        store_id: str,
        url: str,
        *,
        memory_limit: str = "1GB",
        threads: int = 2,
    ) -> None:
        self._store = (store_id, url)
        self._opener = Opener(folder, store_id, url, Resources(memory_limit, threads))
        self._keeper = Keeper(self._opener)
        self._lock = threading.RLock()

    @property
    def v(self) -> int:
        """The log entry whose answers these are; -1 before the first `sync`."""
        opened = self._keeper.opened
        return opened.meta.v if opened is not None and opened.meta.head else -1

    def sync(self, log: Log, history: HistoryReader, *, within_commit: bool = False) -> bool:
        """Bring the catalog up to `log.state`.

        Args:
            log: of the store; refreshed only if another process's catalog is ahead of it.
            history: of the same store.
            within_commit: read at most 256 packs and make no new base, so that a commit never
                waits for its catalog; when more is missing everything stays as it is.

        Returns:
            Whether the catalog is up to date.

        Raises:
            StorageError: the store cannot be read.
        """
        with self._lock:
            return self._keeper.sync(log, history, within_commit=within_commit)

    def rebuild(self, log: Log, history: HistoryReader) -> None:
        """Make the catalog from the store alone, whatever there is.

        Raises:
            StorageError: the store cannot be read.
        """
        with self._lock:
            self._keeper.rebuild(log, history)

    def close(self) -> None:
        """Let go of the files; the catalog may be synced again."""
        with self._lock:
            self._keeper.use(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def holders(self, digests: Iterable[Digest]) -> Mapping[Digest, CommitId]:
        """For each digest of a tensor, header or blob a reachable commit that has it, if any.

        As few commits as possible: of several the one that has most of the digests, of those the
        one with the smallest id. What only absent manifests name is left out.
        """
        wanted = sorted(set(digests))
        return self._ask(partial(queries.holders, digests=wanted)) if wanted else {}

    def candidates(
        self, shapes: Mapping[tuple[int, ...], int], *, share: float = 0.5, limit: int = 4096
    ) -> tuple[CandidateRow, ...]:
        """Reachable commits that share shapes with a new version, most elements first.

        Args:
            shapes: of its tensors, and how many have each; a matrix also counts transposed.
            share: least overlap, of the largest one found.
            limit: most rows.
        """
        question = partial(resembling.candidates, shapes=shapes, share=share, limit=limit)
        return self._ask(question) if shapes else ()

    def sketches(
        self, commits: Sequence[CommitId], shapes: Mapping[tuple[int, ...], int] | None = None
    ) -> tuple[SketchRow, ...]:
        """The tensors of some commits, with their sketches.

        Args:
            commits: what the catalog does not know is left out.
            shapes: tensors of these shapes only, either way round; all when None.
        """
        return self._ask(partial(resembling.sketches, commits=commits, shapes=shapes))

    def models(self) -> tuple[ModelRow, ...]:
        """The models and how many branches and tags each has, sorted."""
        return self._ask(queries.models)

    def commits_of(self, model: str) -> tuple[CommitRow, ...]:
        """The commits that a model's branches and tags have in their history, newest first."""
        return self._ask(partial(queries.commits_of, model=model))

    def tensors_named(self, pattern: str, *, limit: int = 100) -> tuple[TensorRow, ...]:
        """Different tensors of reachable commits whose name fits a glob, by name, then digest."""
        return self._ask(partial(queries.tensors_named, pattern=pattern, limit=limit))

    def stats(self) -> StatsRow:
        """Counts and sizes of the store."""
        return self._ask(queries.stats)

    def garbage(self) -> GarbageRow:
        """What is in live packs and needed by no reachable commit."""
        return self._ask(queries.garbage)

    def own_bytes(self, commit: CommitId) -> int:
        """Bytes of live sections that this commit needs and no other reachable one does.

        Raises:
            NotFoundError: the catalog knows no such commit.
        """
        return self._ask(partial(queries.own_bytes, commit=commit))

    def codec_bytes(self, commit: CommitId) -> Mapping[str, int]:
        """Bytes of the live sections of what a commit's manifests name, by codec.

        What these are kept as deltas against is not counted.

        Raises:
            NotFoundError: the catalog knows no such commit.
        """
        return self._ask(partial(queries.codec_bytes, commit=commit))

    def find(self, wanted: Wanted) -> Table:
        """Reachable commits that fit a filter, each with its model, branches and tags.

        Raises:
            InvalidError: a name in it is neither a field nor recorded anywhere.
        """
        return self._ask(partial(find, wanted=wanted))

    def sql(self, query: str, limits: Limits) -> Table:
        """What a query of somebody else's answers, from the public tables, in confinement.

        Raises:
            UsageError: before the first `sync`.
            InvalidError: the query is refused, is no SQL, or needs more than its limits.
        """
        try:
            return self._confined(query, limits)
        except UnusableFilesError as reason:
            with self._lock:
                self._keeper.look_again(reason)
        try:
            return self._confined(query, limits)
        except UnusableFilesError as reason:
            raise DeltastoreError(
                f"the catalog was made again and still cannot be read: {reason}",
                hint="check the space and memory this machine has left, then run it again",
            ) from reason

    def _confined(self, query: str, limits: Limits) -> Table:
        """In files of this catalog, or in others where this one is in memory."""
        with self._lock:
            log, history = self._keeper.source
            files = files_of(self._keeper.opened)
        if files is not None:
            return run_confined(files, query, limits)
        with (
            TemporaryDirectory(prefix="deltastore-") as folder,
            Catalog(Path(folder), *self._store) as other,
        ):
            other.sync(log, history)
            files = files_of(other._keeper.opened)
            if files is None:
                raise StorageError(
                    f"{folder}: no catalog can be written here", hint="check the space it has left"
                )
            return run_confined(files, query, limits)

    def export_parquet(self, folder: Path) -> tuple[Path, ...]:
        """Write every table to a Parquet file of its name in a local folder, made if absent.

        Raises:
            UsageError: before the first `sync`.
            ExistsError: there is a file where the folder should be.
            StorageError: the folder cannot be written, or the store cannot be read.
        """
        with self._lock:
            opened = self._keeper.unlocked()
            try:
                return export(opened.connection, folder)
            finally:
                opened.connection.close()

    def _ask(self, question: Callable[[Connection], T]) -> T:
        """An answer; files that turn out to be damaged are made again once."""
        with self._lock:
            opened = self._keeper.opened
            if opened is None:
                opened = self._opener.empty()
                self._keeper.use(opened)
            try:
                return question(opened.connection)
            except UNUSABLE as reason:
                if isinstance(reason, DeltastoreError):
                    raise
                self._keeper.recover(reason)
            return self._ask_again(question)

    def _ask_again(self, question: Callable[[Connection], T]) -> T:
        opened = self._keeper.opened or self._opener.empty()
        try:
            return question(opened.connection)
        except UNUSABLE as reason:
            if isinstance(reason, DeltastoreError):
                raise
            raise DeltastoreError(
                f"the catalog was made again and still cannot answer: {reason}",
                hint="check the space and memory this machine has left, then run it again",
            ) from reason
