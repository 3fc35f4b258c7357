"""`Store`, the facade: each method resolves names, calls one package, returns a frozen value.

Imports inside methods are deliberate: `log` and `show` must not wait for numba, duckdb or torch.
Names here are loaded when they are first used: to find a workspace no store is needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deltastore.store.caching import cache_info, clear_cache
    from deltastore.store.facade import Store, init, open_store

__all__ = ["Store", "cache_info", "clear_cache", "init", "open_store"]

_HOMES = {
    "Store": "deltastore.store.facade",
    "cache_info": "deltastore.store.caching",
    "clear_cache": "deltastore.store.caching",
    "init": "deltastore.store.facade",
    "open_store": "deltastore.store.facade",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module 'deltastore.store' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)
