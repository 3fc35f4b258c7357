"""Where one stands: the workspace around the current folder, and what a command means there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastore.errors import DeltastoreError, NotAStoreError, UsageError
from deltastore_cli.quantities import first_of

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore import Store

__all__ = [
    "head_or",
    "required_revision",
    "with_workspaces_store",
    "workspace_folder",
    "workspace_in_force",
    "workspace_store",
]

LISTED_MODELS = 5


def workspace_folder() -> Path | None:
    """The workspace that the current folder is, or is in."""
    import deltastore

    return deltastore.Workspace.locate()


def workspace_store() -> tuple[str, str] | None:
    """The store of that workspace, and the file that says so.

    Raises:
        InvalidError: the file is damaged.
        AccessDeniedError: it is another user's.
    """
    import deltastore

    folder = workspace_folder()
    if folder is None:
        return None
    origin = folder / ".deltastore" / "workspace.toml"
    return deltastore.Workspace.record(folder).store, str(origin)


def with_workspaces_store(error: NotAStoreError, url: str) -> NotAStoreError:
    """The error, with the store that the workspace names where another one was asked for.

    A relative path in the environment leads nowhere from inside a workspace.
    """
    try:
        found = workspace_store()
    except DeltastoreError:
        return error
    if found is None or found[0] == url:
        return error
    return NotAStoreError(
        str(error),
        hint=f"the store of this workspace is {found[0]}; leave out -s, and unset DELTASTORE_STORE"
        " or give it an absolute path",
    )


def workspace_in_force() -> dict[str, str | None] | None:
    """Folder, model and branch of that workspace; None without one that can be read."""
    import deltastore

    folder = workspace_folder()
    try:
        found = None if folder is None else deltastore.Workspace.record(folder)
    except DeltastoreError:
        return None
    if found is None:
        return None
    return {"folder": str(folder), "model": found.model, "branch": found.branch}


def head_or(revision: str | None) -> str | None:
    """The revision, or HEAD in a workspace."""
    return revision if revision is not None or workspace_folder() is None else "HEAD"


def required_revision(store: Store, command: str, revision: str | None) -> str:
    """The revision, or HEAD in a workspace.

    Raises:
        UsageError: neither; the hint has models at hand as examples.
    """
    wanted = head_or(revision)
    if wanted is not None:
        return wanted
    models = [found.model for found in store.ls(limit=LISTED_MODELS + 1).models or ()]
    hint = f"deltastore {command} {models[0] if models else 'NS/NAME'}"
    here = f"models here: {first_of(models, LISTED_MODELS)}" if models else "no models here yet"
    raise UsageError("no revision given and this is not a workspace", hint=f"{hint}    ({here})")
