"""What questions to the catalog return: tables, and that it was made again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deltastore.results.html import InNotebooks

__all__ = ["Reindexed", "Table"]


@dataclass(frozen=True, slots=True, repr=False)
class Table(InNotebooks):
    """What `find` and `sql` found.

    Attributes:
        columns: names, in order; of a query that gives two columns one name there are two.
        rows: a value for each column: text, numbers, booleans, None, tuples of these, and
            dictionaries for structures. Times are RFC 3339 UTC text, bytes hex.
        truncated: there are more rows.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool = False

    def __repr__(self) -> str:
        more = "+" if self.truncated else ""
        return f"Table({len(self.rows)}{more} rows of {', '.join(self.columns)})"


@dataclass(frozen=True, slots=True, repr=False)
class Reindexed(InNotebooks):
    """The catalog, made again from the store, or what that would read.

    Attributes:
        rebuilt: whether it was; False with `dry_run`.
        entry: of the log up to which it goes.
        packs: live ones, whose indexes are read.
        commits: whose headers and manifests are read.
        unread: packs and commits that could not be read, and are missing from the catalog.
    """

    rebuilt: bool
    entry: int
    packs: int
    commits: int
    unread: int = 0
