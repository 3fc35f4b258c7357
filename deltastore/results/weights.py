"""What giving weights back returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deltastore.results.html import InNotebooks

__all__ = ["CheckoutResult", "ExportResult", "Fidelity"]

Fidelity = Literal["exact", "preview"]


@dataclass(frozen=True, slots=True, repr=False)
class CheckoutResult(InNotebooks):
    """What `checkout` did.

    Attributes:
        commit: id.
        files: number of files of the selection.
        bytes: their sizes together.
        fetched_bytes: read from the store.
        requests: to an object store; None on disk.
        fidelity: exact or preview.
        verified: every file's SHA-256 was compared with the commit's; False for previews.
        kept: files that were there already with the right SHA-256.
        model: `namespace/name`, or None for a bare commit id.
        branch: branch or tag of the revision, or None.
    """

    commit: str
    files: int
    bytes: int
    fetched_bytes: int
    requests: int | None
    fidelity: Fidelity
    verified: bool
    kept: int = 0
    model: str | None = None
    branch: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class ExportResult(InNotebooks):
    """What `export` wrote; fields as `CheckoutResult`."""

    commit: str
    files: int
    bytes: int
    fetched_bytes: int
    requests: int | None
    fidelity: Fidelity
    verified: bool
