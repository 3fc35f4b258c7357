"""`Store`, the facade: each method resolves names, calls one package, returns a frozen value.

Imports inside methods are deliberate: `log` and `show` must not wait for numba, duckdb or torch.
"""

from __future__ import annotations

from deltastore.store.caching import cache_info, clear_cache
from deltastore.store.facade import Store, init, open_store

__all__ = ["Store", "cache_info", "clear_cache", "init", "open_store"]
