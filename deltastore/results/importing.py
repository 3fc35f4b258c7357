"""What an import returns."""

from __future__ import annotations

from dataclasses import dataclass

from deltastore.results.html import InNotebooks

__all__ = ["FailedItem", "ImportResult", "ImportedItem"]


@dataclass(frozen=True, slots=True, repr=False)
class FailedItem(InNotebooks):
    """One of many that could not be done.

    Attributes:
        item: what it is: a URL or path.
        kind: of the error.
        message: of the error.
        hint: of the error; may be empty.
        remembered: it failed when it was read last, has not changed since, and was not read again.
    """

    item: str
    kind: str
    message: str
    hint: str = ""
    remembered: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class ImportedItem(InNotebooks):
    """One checkpoint of an import.

    Attributes:
        source: its URL or absolute path, without credentials.
        model: `namespace/name`.
        commit: id; None where it was only planned.
        stored_bytes: of every object that was written for it.
        skipped: it was in the store already.
        branch: of the model.
        base: id of the base; None for none, or where it is not known yet.
        base_name: how people know the base.
        reason: why that base: named, kept, found, or a sentence.
        logical_bytes: of its files.
        files: how many it has.
    """

    source: str
    model: str
    commit: str | None
    stored_bytes: int
    skipped: bool
    branch: str = "main"
    base: str | None = None
    base_name: str | None = None
    reason: str = ""
    logical_bytes: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class ImportResult(InNotebooks):
    """What an import did, or would do.

    Attributes:
        items: committed, skipped or planned ones, in the order of commits.
        failed: those that cannot be committed.
        dry_run: nothing was committed.
        warnings: sentences worth reading.
    """

    items: tuple[ImportedItem, ...]
    failed: tuple[FailedItem, ...]
    dry_run: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def new(self) -> tuple[ImportedItem, ...]:
        """Those that were not in the store before."""
        return tuple(item for item in self.items if not item.skipped)

    @property
    def logical_bytes(self) -> int:
        """Bytes of the files of all new ones."""
        return sum(item.logical_bytes for item in self.new)

    @property
    def stored_bytes(self) -> int:
        """Bytes written for all new ones."""
        return sum(item.stored_bytes for item in self.new)
