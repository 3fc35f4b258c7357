"""Paths that callers write: a folder or file on this machine, or a URL."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from deltastore.errors import InvalidError, UsageError
from deltastore.places.urls import hub_refused, scheme_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike

    from deltastore.checkpoints.destinations import Destination
    from deltastore.checkpoints.examining import CheckpointFolder
    from deltastore.places.place import Place

__all__ = ["UrlOptions", "destination", "is_path", "local_path", "place_of", "scan_path"]

_PATH = re.compile(r"[./~\\]|[A-Za-z]:|hf:|[A-Za-z][A-Za-z0-9+.-]*://")
_LOCAL_SCHEMES = frozenset({"file", "local"})
_WEIGHTS = ".safetensors"

UrlOptions: TypeAlias = "Callable[[str], Mapping[str, Any]]"
"""What to give to the file system of a scheme."""


def is_path(text: str) -> bool:
    """Whether a text, where both are allowed, is a path rather than a revision."""
    return _PATH.match(text) is not None


def local_path(path: str | PathLike[str]) -> Path:
    """A local path, or what a `file://` URL names.

    Raises:
        InvalidError: no path at all: empty, or with a NUL in it.
    """
    text = os.fspath(path)
    if not text or "\0" in text:
        raise InvalidError(f"{text!r} is not a path", hint="name a file or folder")
    local = scheme_of(text) in _LOCAL_SCHEMES
    return Path(text.partition("://")[2] if local else text).expanduser()


def place_of(path: str | PathLike[str], options: UrlOptions) -> Place | None:
    """What a URL names; None for a local path.

    Raises:
        UsageError: a URL with a secret or a chain in it, or of an unknown scheme.
        UnsupportedError: `hf:`.
    """
    text = os.fspath(path)
    scheme = scheme_of(text)
    if text.startswith("hf:"):
        raise hub_refused()
    if scheme is None and "://" in text:
        raise UsageError("a path or one URL is needed", hint="such as s3://bucket/folder")
    if scheme is None or scheme in _LOCAL_SCHEMES:
        return None
    from deltastore.places.place import Place

    return Place(text, options(scheme))


def scan_path(
    path: str | PathLike[str],
    options: UrlOptions,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> CheckpointFolder:
    """Look at a checkpoint wherever it is.

    Raises:
        InvalidError: a broken checkpoint.
        NotFoundError: there is nothing.
        StorageError: the place cannot be reached.
    """
    place = place_of(path, options)
    if place is None:
        from deltastore.checkpoints.folder import scan

        return scan(local_path(path), include=include, exclude=exclude)
    from deltastore.checkpoints.url_folder import scan_url

    return scan_url(place, include=include, exclude=exclude)


def destination(
    path: str | PathLike[str], options: UrlOptions, *, files: bool = False
) -> tuple[Destination, str | None]:
    """Where to write.

    Args:
        path: a folder; with `files` one that ends in `.safetensors` is a file.
        options: for the file systems of URLs.
        files: whether it may be a file.

    Returns:
        The folder, and the name of the only file to write into it, if it is one.
    """
    text = os.fspath(path)
    one = files and text.endswith(_WEIGHTS)
    place = place_of(text.rpartition("/")[0] if one and scheme_of(text) else text, options)
    if place is not None:
        from deltastore.checkpoints.url_destination import UrlDestination

        return UrlDestination(place), text.rpartition("/")[2] if one else None
    from deltastore.checkpoints.destinations import LocalDestination

    folder = local_path(path)
    return LocalDestination(folder.parent if one else folder), folder.name if one else None
