"""The methods of `Store` for workspaces: clone one, find the one that one stands in."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from deltastore.errors import UnsupportedError, UsageError
from deltastore.progress import as_report
from deltastore.store.opened import OpenedStore

if TYPE_CHECKING:
    from os import PathLike

    from deltastore.progress import Progress
    from deltastore.results import CloneResult
    from deltastore.store.facade import Store
    from deltastore.store.workspaces import Workspace

__all__ = ["Standing"]


class Standing(OpenedStore):
    """See `Store`."""

    def clone(
        self,
        revision: str,
        folder: str | PathLike[str] | None = None,
        *,
        reference: str | PathLike[str] | None = None,
        progress: Progress | bool | None = None,
    ) -> CloneResult:
        """Check a version out into a folder that knows where it came from: a workspace.

        Args:
            revision: of a model: a branch, which the workspace follows, or a tag or commit of it.
            folder: new or empty, or this very workspace, of which the rest is brought then; the
                last part of the model's name when None.
            reference: a checkpoint folder at hand; tensors of the same content are taken from it.
            progress: as `checkout`.

        Raises:
            ExistsError: the folder has files, and is not this very workspace.
            UsageError: the revision names no model.
            CorruptError: what was rebuilt is not what was committed.
        """
        from deltastore.store.cloning import clone
        from deltastore.store.places import local_path, place_of
        from deltastore.store.references import with_reference
        from deltastore.store.workspace_files import WorkspaceRecord

        if folder is not None and place_of(folder, self._url_options) is not None:
            raise UnsupportedError(
                f"{os.fspath(folder)}: a workspace is a folder on this machine",
                hint="deltastore checkout writes to URLs",
            )
        found = self._resolve(revision)
        if found.model is None:
            raise UsageError(
                f"{revision} is a commit of any model, and a workspace is of one",
                hint=f"write NAMESPACE/NAME@{revision}",
            )
        place = local_path(folder or found.model.rpartition("/")[2]).absolute()
        wanted = WorkspaceRecord(
            store=self.url,
            store_id=self.store_id,
            model=found.model,
            branch=found.branch,
            head=None,
        )
        with with_reference(self._session(), reference, self._url_options) as session:
            return clone(session, place, found.commit, wanted, report=as_report(progress))

    def workspace(self, path: str | PathLike[str] | None = None) -> Workspace:
        """The workspace of this store that a folder is, or is in.

        Args:
            path: the folder; what `here` was when the store was opened, else the current one, when
                None.

        Raises:
            UsageError: there is none, or it belongs to another store.
            InvalidError: its record is damaged.
        """
        from deltastore.store.workspace_places import workspace_in
        from deltastore.store.workspaces import Workspace

        here = (self._here or Path()) if path is None else Path(path)
        folder, _ = workspace_in(here, self.store_id, self.url)
        store = cast("Store", self)  # which this is a part of, and the only class that has it
        return Workspace(
            folder,
            store,
            session=self._session,
            resolve=partial(self._resolve, here=folder),
            actor=self._actor,
            options=self._url_options,
        )
