"""The cache of stores that are not local: where it is, how large, what is in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from deltastore.config import DEFAULT_CACHE_BYTES, parse_setting
from deltastore.places.failures import local_failures
from deltastore.results import CacheInfo
from deltastore.storage.location import is_distant

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from deltastore.cache.ranges import RangeFolder
    from deltastore.storage.backend import Backend

__all__ = ["cache_folder", "cache_info", "clear_cache", "with_cache"]


def with_cache(
    backend: Backend, cache: str | PathLike[str] | None, cache_size: int | str | None
) -> tuple[Backend, Callable[[str], None]]:
    """The backend to read through, and what makes it fetch an object anew.

    Args:
        backend: of a store; a local one is returned as it is.
        cache: folder; the platform's when None.
        cache_size: bytes, or text such as `20GB`; 0 for no cache, 20 GB when None.

    Raises:
        InvalidError: a size that is none.
    """
    limit = _limit(cache_size)
    if not limit or not is_distant(backend):
        return backend, lambda _key: None
    from deltastore.cache.backend import CachingBackend

    cached = CachingBackend(backend, _ranges(cache, limit))
    return cached, cached.forget


def cache_info(
    *, cache: str | PathLike[str] | None = None, cache_size: int | str | None = None
) -> CacheInfo:
    """What the cache holds.

    Args:
        cache: folder; the platform's when None.
        cache_size: bytes that it may have, or text such as `20GB`; 20 GB when None.

    Raises:
        InvalidError: a size that is none.
        StorageError: it cannot be looked at.
    """
    limit = _limit(cache_size)
    with local_failures(str(cache_folder(cache))):
        entries, size = _ranges(cache, limit).census()
    return CacheInfo(str(cache_folder(cache)), limit, size, entries)


def clear_cache(
    *, cache: str | PathLike[str] | None = None, cache_size: int | str | None = None
) -> CacheInfo:
    """Empty the cache; whoever uses it meanwhile goes on, and fetches again.

    Args:
        cache: as `cache_info`.
        cache_size: as `cache_info`.

    Raises:
        StorageError: something in it cannot be removed.
    """
    limit = _limit(cache_size)
    ranges = _ranges(cache, limit)
    with local_failures(str(cache_folder(cache))):
        freed = ranges.clear()
        entries, size = ranges.census()
    return CacheInfo(str(cache_folder(cache)), limit, size, entries, freed_bytes=freed)


def _user_cache() -> Path:
    try:
        home = Path.home()
    except RuntimeError:  # a user without a home
        return Path(gettempdir()) / "deltastore"
    folder = "Library/Caches" if sys.platform == "darwin" else ".cache"
    return home / folder / "deltastore"


def cache_folder(cache: str | PathLike[str] | None) -> Path:
    """The folder for files that may be deleted at any moment; the platform's when None."""
    if cache is None:
        return _user_cache()
    return Path(os.path.abspath(os.path.expanduser(cache)))


def _limit(cache_size: int | str | None) -> int:
    if cache_size is None:
        return DEFAULT_CACHE_BYTES
    return int(parse_setting("cache_size", cache_size, where="cache_size"))


def _ranges(cache: str | PathLike[str] | None, limit: int) -> RangeFolder:
    from deltastore.cache.ranges import RangeFolder

    return RangeFolder(cache_folder(cache), limit)
