"""What the cache holds."""

from __future__ import annotations

from dataclasses import dataclass

from deltastore.results.html import InNotebooks

__all__ = ["CacheInfo"]


@dataclass(frozen=True, slots=True, repr=False)
class CacheInfo(InNotebooks):
    """The cache of stores that are not local.

    Attributes:
        folder: where it is.
        limit: bytes that it may have; 0 when there is to be none.
        bytes: that it has.
        entries: pieces of packs.
        freed_bytes: by this call.
    """

    folder: str
    limit: int
    bytes: int
    entries: int
    freed_bytes: int = 0
