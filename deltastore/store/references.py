"""`reference=`: a checkpoint at hand, whose tensors need not be fetched."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from deltastore.checkpoints.source import FolderSource
from deltastore.errors import InvalidError
from deltastore.materialize.shelves import FolderShelf
from deltastore.store.places import scan_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from deltastore.materialize.session import Session
    from deltastore.store.places import UrlOptions

__all__ = ["with_reference"]


@contextmanager
def with_reference(
    session: Session, reference: str | PathLike[str] | None, options: UrlOptions
) -> Iterator[Session]:
    """A session that takes tensors from a folder where their digest matches.

    Args:
        session: of the store.
        reference: a folder or safetensors file; None for the session itself.
        options: for the file systems of URLs.

    Raises:
        InvalidError: there are no tensors in it, or a broken file is.
        NotFoundError: there is no such folder.
    """
    if reference is None:
        yield session
        return
    files = FolderSource(scan_path(reference, options, include=(), exclude=())).files()
    if not any(file.header for file in files):
        raise InvalidError(
            f"{reference}: there is no safetensors file to take tensors from",
            hint="--reference names the folder of a checkpoint, such as the base's",
        )
    shelf = FolderShelf(files)
    try:
        yield replace(session, shelf=shelf)
    finally:
        shelf.close()
