"""How notebooks show a store: where it is, and the models in it."""

from __future__ import annotations

import os
from html import escape

from deltastore.history.views import model_infos
from deltastore.results.html import facts, rows
from deltastore.store.opened import OpenedStore

__all__ = ["Notebooks"]


class Notebooks(OpenedStore):
    """See `Store`."""

    def _repr_html_(self) -> str:
        """What is known without asking the storage: a cell that ends in `store` costs nothing."""
        if os.getpid() != self._process:
            return escape(repr(self))
        models = model_infos(self._log.state, None)
        about = facts(
            "Store", [("place", self.url), ("id", self.store_id), ("models", len(models))]
        )
        names = ("model", "branches", "tags")
        shown = ((found.model, found.branches, found.tags) for found in models)
        return about + (rows("", names, shown) if models else "")
