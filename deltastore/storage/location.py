"""From what a user types to a backend."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from deltastore.errors import UsageError
from deltastore.storage.local import LocalBackend
from deltastore.storage.memory import MemoryBackend

if TYPE_CHECKING:
    from deltastore.storage.backend import Backend

__all__ = ["open_backend", "spool_folder"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


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
    found = _SCHEME.match(text)
    if not found:
        if not text or "\0" in text or "://" in text:
            raise UsageError("a store is a path or one URL", hint="such as s3://bucket/prefix")
        return LocalBackend(Path(text).expanduser())
    scheme = found.group(1).lower()
    _check_url(scheme, text)
    if scheme in {"file", "local"}:
        return LocalBackend(_file_path(text[found.end() :]))
    if scheme == "memory":
        return MemoryBackend(text)
    from deltastore.storage.remote import RemoteBackend  # noqa: PLC0415 - fsspec takes 0.1 s

    return RemoteBackend(text, options)


def spool_folder(backend: Backend, fallback: Path) -> Path:
    """Where to spool packs for a backend: on a local store's own disk, so that they are linked."""
    return backend.spool_folder if isinstance(backend, LocalBackend) else fallback


def _check_url(scheme: str, text: str) -> None:
    """Refuse secrets and chains. No message may repeat the URL: that would publish the secret."""
    rest = text.partition("://")[2]
    if "::" in text:
        raise UsageError(
            f"a chained {scheme} URL cannot be a store", hint="give the location itself, without ::"
        )
    authority = rest.split("/", 1)[0]
    if ":" in authority.rpartition("@")[0] or _query(text):
        raise UsageError(
            f"the {scheme} URL has credentials or options in it; they would end up in logs",
            hint="set AWS_PROFILE or the variables and files of your provider, or pass options",
        )


def _query(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.query or parts.fragment)


def _file_path(rest: str) -> Path:
    host, slash, path = rest.partition("/")
    if not slash or host not in {"", "localhost"}:
        raise UsageError("a file:// URL needs an absolute path, as in file:///srv/models")
    return Path("/" + path)
