"""From what a user types to a backend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltastore.errors import UsageError
from deltastore.places.urls import check_url, scheme_of
from deltastore.storage.local import LocalBackend
from deltastore.storage.memory import MemoryBackend

if TYPE_CHECKING:
    from deltastore.storage.backend import Backend

__all__ = ["is_distant", "open_backend", "spool_folder"]


def open_backend(url: str | Path, **options: Any) -> Backend:
    """The backend for a path or URL; nothing is read or written yet.

    Args:
        url: a path, `file://`, `memory://NAME`, or any fsspec URL such as `s3://bucket/prefix`.
        **options: for fsspec's file system (`endpoint_url`, `profile`, `client_kwargs`, ...);
            credentials belong here or in the environment, never into the URL.

    Raises:
        UsageError: a URL with a secret or a chain in it, or of an unknown scheme.
    """
    text = str(url)
    scheme = scheme_of(text)
    if scheme is None:
        if not text or "\0" in text or "://" in text:
            raise UsageError("a store is a path or one URL", hint="such as s3://bucket/prefix")
        return LocalBackend(Path(text).expanduser())
    check_url(scheme, text)
    if scheme in {"file", "local"}:
        return LocalBackend(_file_path(text.partition("://")[2]))
    if scheme == "memory":
        return MemoryBackend(text)
    from deltastore.storage.remote import RemoteBackend  # noqa: PLC0415 - fsspec takes 0.1 s

    return RemoteBackend(text, options)


def is_distant(backend: Backend) -> bool:
    """Whether reading from a backend crosses a network, so that keeping what was read pays."""
    return not isinstance(backend, (LocalBackend, MemoryBackend))


def spool_folder(backend: Backend, fallback: Path) -> Path:
    """Where to spool packs for a backend: on a local store's own disk, so that they are linked."""
    return backend.spool_folder if isinstance(backend, LocalBackend) else fallback


def _file_path(rest: str) -> Path:
    host, slash, path = rest.partition("/")
    if not slash or host not in {"", "localhost"}:
        raise UsageError("a file:// URL needs an absolute path, as in file:///srv/models")
    return Path("/" + path)
