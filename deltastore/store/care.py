"""The methods of `Store` that look after it: fsck, doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastore.progress import as_report
from deltastore.store.opened import OpenedStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.progress import Progress
    from deltastore.results import Doctor, Fsck

__all__ = ["Care"]


class Care(OpenedStore):
    """See `Store`."""

    def fsck(
        self,
        *,
        log: bool = True,
        packs: bool = True,
        tensors: bool = False,
        revisions: Sequence[str] = (),
        progress: Progress | bool | None = None,
    ) -> Fsck:
        """Check the store and name what is damaged.

        Args:
            log: the chain of entries, from the first one, and the state they add up to.
            packs: every byte of every live pack.
            tensors: rebuild every tensor and file and compare digests.
            revisions: only these versions; all reachable ones when empty.
            progress: a callback, or True for a bar in a notebook and a line on stderr elsewhere.
        """
        from deltastore.maintenance.fsck import Scope, fsck

        commits = tuple(self._resolve(revision).commit for revision in revisions)
        return fsck(
            self._session_without_cache(), Scope(log, packs, tensors, commits), as_report(progress)
        )

    def doctor(self) -> Doctor:
        """What this store's place can do, and whether this process may use it."""
        from deltastore.maintenance.doctor import doctor

        return doctor(self._session())
