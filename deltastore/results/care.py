"""What looking after a store returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.results.html import InNotebooks

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Doctor", "Finding", "Fsck"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something `fsck` found: a kind of the error table, the object, what is wrong."""

    kind: str
    object: str
    detail: str


@dataclass(frozen=True, slots=True, repr=False)
class Fsck(InNotebooks):
    """What `fsck` checked (name: count) and found."""

    ok: bool
    checked: Mapping[str, int]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Doctor(InNotebooks):
    """What `doctor` sees: rows of (subject, finding, whether it is well)."""

    ok: bool
    checks: tuple[tuple[str, str, bool], ...]
