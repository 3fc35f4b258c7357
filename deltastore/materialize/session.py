"""One opened store: the pieces that every operation reads through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.materialize.shelves import EMPTY
from deltastore.materialize.tensors import TensorReader
from deltastore.materialize.versions import Version, open_version

if TYPE_CHECKING:
    from deltastore.engine.threads import Workers
    from deltastore.history.log import Log
    from deltastore.history.objects import HistoryReader
    from deltastore.ids import CommitId
    from deltastore.kernels.dispatch import Family
    from deltastore.materialize.shelves import Shelf
    from deltastore.storage.backend import Backend
    from deltastore.storage.packs import PackReader

__all__ = ["Session"]


@dataclass(frozen=True, slots=True)
class Session:
    """Backend, log, packs, history and threads of one store; and tensors that are at hand."""

    backend: Backend
    log: Log
    packs: PackReader
    history: HistoryReader
    workers: Workers
    shelf: Shelf = EMPTY

    def version(self, commit: CommitId) -> Version:
        """A commit opened for reading; raises as `open_version`."""
        return open_version(
            self.history, self.packs, commit, live=self.log.state.live, shelf=self.shelf
        )

    def reader(self, version: Version, *, family: Family = "cpu") -> TensorReader:
        """A reader of a version's tensors, on a family of kernels."""
        return TensorReader(self.packs, version.closure, self.workers, family=family)
