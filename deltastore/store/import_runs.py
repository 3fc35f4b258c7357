"""Committing what an import planned, one after the other; a failure stops no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from deltastore.checkpoints.source import FolderSource
from deltastore.errors import DeltastoreError, StorageError
from deltastore.ingest.import_plans import failure_of
from deltastore.ingest.remembering import Failure
from deltastore.results import ImportResult
from deltastore.store.imported import done_item, failed_item, planned_item
from deltastore.store.inputs import OpenedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deltastore.ingest.import_plans import Planned, Planner
    from deltastore.progress import Progress
    from deltastore.results import Commit, FailedItem, ImportedItem

__all__ = ["ImportRun", "Recorder"]

MOST_STORAGE_FAILURES = 3
"""In a row: then it is the store or the network, and no checkpoint's own trouble."""


Recorder: TypeAlias = "Callable[[Planned, OpenedSource, Progress], Commit]"
"""Commits one checkpoint that was looked at; raises as `Store.commit`."""


class ImportRun:
    """One import under way.

    Args:
        plans: what to do, in order.
        planner: that made them.
        record: commits one.
        report: called with "import", bytes done and bytes in all.
    """

    def __init__(
        self, plans: Sequence[Planned], planner: Planner, record: Recorder, report: Progress
    ) -> None:
        self._plans = plans
        self._planner = planner
        self._record = record
        self._report = report
        self._items: list[ImportedItem] = []
        self._failed: list[FailedItem] = []
        self._warnings: dict[str, None] = {}
        self._total = sum(planned.size for planned in plans if planned.new)
        self._done = 0
        self._lost: Failure | None = None
        self._in_a_row = 0

    def commit_all(self) -> ImportResult:
        """Commit what is new.

        Raises:
            KeyboardInterrupt: its text says what was done until then.
        """
        try:
            for planned in self._plans:
                self._one(planned)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._interrupted()) from None
        return ImportResult(tuple(self._items), tuple(self._failed), warnings=tuple(self._warnings))

    def _one(self, planned: Planned) -> None:
        if planned.failure is not None:
            self._failed.append(failed_item(planned, planned.failure))
        elif planned.stored is not None:
            self._items.append(planned_item(planned))
        elif self._lost is not None and self._in_a_row >= MOST_STORAGE_FAILURES:
            self._failed.append(failed_item(planned, _not_tried(self._lost)))
        else:
            self._commit(planned)
            self._done += planned.size

    def _commit(self, planned: Planned) -> None:
        try:
            folder = self._planner.scan(planned.candidate)
            source = planned.candidate.source
            warnings = tuple(f"{source}: {text}" for text in folder.warnings)
            opened = OpenedSource(FolderSource(folder), folder.skipped, warnings)
            done = self._record(planned, opened, self._reporting)
        except DeltastoreError as reason:
            self._fail(planned, reason)
            return
        self._in_a_row = 0
        self._planner.remember_stored(planned.candidate, done.commit)
        self._items.append(done_item(planned, done, self._planner.base))
        self._warnings |= dict.fromkeys(
            text if text in warnings else f"{source}: {text}" for text in done.warnings
        )

    def _fail(self, planned: Planned, reason: DeltastoreError) -> None:
        failure = failure_of(reason)
        self._in_a_row = self._in_a_row + 1 if isinstance(reason, StorageError) else 0
        self._lost = failure
        self._planner.remember_failure(planned.candidate, failure)
        self._failed.append(failed_item(planned, failure))

    def _reporting(self, _stage: str, done: int, _total: int) -> None:
        self._report("import", min(self._done + done, self._total), self._total)

    def _interrupted(self) -> str:
        new = sum(not item.skipped for item in self._items)
        rest = len(self._plans) - len(self._items) - len(self._failed)
        return f"interrupted: {new} committed, {rest} not yet; the same command again goes on"


def _not_tried(last: Failure) -> Failure:
    times = f"{MOST_STORAGE_FAILURES} in a row failed"
    return Failure(last.kind, f"not tried, because {times}: {last.message}", last.hint)
