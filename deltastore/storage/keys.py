"""How objects are named below a store's root, checked before any path is built from a name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from deltastore.errors import CorruptError, UsageError
from deltastore.ids import is_digest

if TYPE_CHECKING:
    from deltastore.storage.records import PackId

__all__ = ["check_creation", "check_key", "pack_key"]

_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_KEY = re.compile(rf"{_PART}(?:/{_PART})*")


def check_key(key: str) -> str:
    """The key itself, if it can stand below a root: no hidden, empty, `.` or `..` part.

    Raises:
        UsageError: it cannot.
    """
    if not _KEY.fullmatch(key):
        raise UsageError(f"{key!r} is not the key of an object in a store")
    return key


def check_creation(key: str, data: bytes) -> str:
    """The key, if `data` can be created there exclusively.

    Raises:
        UsageError: no key, or nothing to write: some clients create empty objects without asking
            for exclusion.
    """
    if not data:
        raise UsageError(f"{key}: an empty object cannot be created exclusively")
    return check_key(key)


def pack_key(pack: PackId | str) -> str:
    """`packs/<2 hex>/<64 hex>.safetensors`.

    Raises:
        CorruptError: `pack` (read from somewhere) is no id.
    """
    if not is_digest(pack):
        raise CorruptError(f"{pack[:80]!r} is not the id of a pack")
    return f"packs/{pack[:2]}/{pack}.safetensors"
