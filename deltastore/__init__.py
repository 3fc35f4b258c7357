"""deltastore: version control for model weights.

    import deltastore
    store = deltastore.init("models.ds")
    store.commit("llama/", to="meta/llama", message="as released")
    store.commit("llama-math/", to="me/math", base="meta/llama", message="sft")
    store.checkout("me/math", "out/")

Names are loaded when they are first used, so importing this costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from deltastore import errors

if TYPE_CHECKING:
    from deltastore.progress import Progress
    from deltastore.store import Store, cache_info, clear_cache, init
    from deltastore.store import open_store as open  # noqa: A004 - as in `gzip.open`
    from deltastore.store.workspaces import Workspace

__version__ = "0.1.0"

__all__ = [
    "Progress",
    "Store",
    "Workspace",
    "__version__",
    "cache_info",
    "clear_cache",
    "errors",
    "init",
    "open",
]

_HOMES = {
    "Progress": ("deltastore.progress", "Progress"),
    "Store": ("deltastore.store", "Store"),
    "Workspace": ("deltastore.store.workspaces", "Workspace"),
    "cache_info": ("deltastore.store", "cache_info"),
    "clear_cache": ("deltastore.store", "clear_cache"),
    "init": ("deltastore.store", "init"),
    "open": ("deltastore.store", "open_store"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module 'deltastore' has no attribute {name!r}"
        raise AttributeError(msg)
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
