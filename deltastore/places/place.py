"""Files below a URL, outside of any store: listed, read in ranges, written whole or not at all."""

from __future__ import annotations

import errno
import posixpath
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from deltastore.errors import (
    InvalidError,
    MissingObjectError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from deltastore.places.connection import connect
from deltastore.places.requests import Requests
from deltastore.places.urls import check_url, scheme_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

__all__ = ["Listed", "Listing", "Place"]

_WEB = frozenset({"http", "https"})
# the first of these that a file system tells is what a change would change
_VERSIONS = (
    *("ETag", "etag", "generation", "md5Hash", "content_md5", "checksum"),
    *("LastModified", "last_modified", "updated", "modified", "mtime", "created"),
)


@dataclass(frozen=True, slots=True)
class Listed:
    """One file as a listing or a look at it shows it.

    Attributes:
        path: `/`-separated, relative to what was listed; of a single file its name.
        key: its path in the file system.
        size: bytes.
        version: what another content would change: an ETag, or a time; empty if neither is told.
        modified: POSIX time in seconds; 0 if it is not told.
    """

    path: str
    key: str
    size: int
    version: str
    modified: float = 0.0


@dataclass(frozen=True, slots=True)
class Listing:
    """What is at a URL.

    Attributes:
        files: sorted by path.
        single: the URL itself is a file, the only one in `files`.
    """

    files: tuple[Listed, ...]
    single: bool


class Place:
    """A folder or file that fsspec reaches. Thread-safe; opening it reads nothing.

    Args:
        url: without credentials.
        options: for the file system.

    Raises:
        UsageError: a URL with a secret or a chain in it, or of an unknown scheme.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        scheme = scheme_of(url)
        if scheme is None:
            raise UsageError("this is a path, not a URL")
        check_url(scheme, url)
        self.scheme = scheme
        self.url = url.rstrip("/")
        self.filesystem, self._root = connect(scheme, url, options or {}, purpose="files")
        self._is_file = scheme in _WEB and not url.endswith("/")
        self._requests = Requests(self.url, self.filesystem)
        self._pool = ThreadPoolExecutor(self._requests.at_once, thread_name_prefix="deltastore-url")

    def list(self) -> Listing:
        """Everything below, by one listing.

        Raises:
            NotFoundError: there is nothing.
            UnsupportedError: the place does not tell how large its files are.
            StorageError: it cannot be reached.
        """
        found = self._found()
        if not found:
            raise NotFoundError(
                f"{self.url}: there is nothing", hint="check the spelling and the credentials"
            )
        root = self._root
        single = len(found) == 1 and _key(next(iter(found))) == _key(root)
        if single:
            root = root.rpartition("/")[0]
        files = [self._listed(_key(key)[len(_key(root)) :], info) for key, info in found.items()]
        return Listing(tuple(sorted(files, key=lambda file: file.path)), single)

    def look(self, file: Listed) -> Listed:
        """The same file as it is now.

        Raises:
            MissingObjectError: it is gone.
        """
        info = self._requests.call(self.name(file), lambda: self.filesystem.info(file.key))
        return self._listed(file.path, {**info, "name": file.key})

    def find(self, path: str) -> Listed | None:
        """A file below this place, by one request; None if there is none."""
        key = self.below(path)
        try:
            info = self._call(path, lambda: self.filesystem.info(key))
        except MissingObjectError:
            return None
        return self._listed(path, info) if info.get("type") == "file" else None

    def read(self, file: Listed, start: int, length: int) -> bytes:
        """Exactly these bytes of a file.

        Raises:
            InvalidError: the file is gone, or has fewer bytes than the listing says.
            StorageError: the place cannot be reached.
        """
        request = partial(self._read, file, start, start + length)
        try:
            data: bytes = self._requests.call(self.name(file), request, size=length)
        except MissingObjectError:
            raise self.changed(file) from None
        if len(data) > length:
            raise UnsupportedError(f"{self.name(file)}: the server ignores ranges")
        if len(data) < length:
            raise self.changed(file)
        return data

    def later(self, file: Listed, start: int, length: int) -> Future[bytes]:
        """What `read` returns, read by a thread of this place."""
        return self._pool.submit(self.read, file, start, length)

    def below(self, path: str) -> str:
        """The file system's name for a path below this place."""
        return posixpath.join(self._root, path)

    def where(self, path: str) -> str:
        """What errors call what is below this place."""
        return self.url if self.url.endswith(f"/{path}") else f"{self.url}/{path}"

    def name(self, file: Listed) -> str:
        """What errors call a listed file, whichever folder below this place its path begins at."""
        below = _key(file.key).removeprefix(_key(self._root)).lstrip("/")
        return self.where(below or file.path)

    def changed(self, file: Listed) -> InvalidError:
        """The error for a file that is not as it was listed."""
        return InvalidError(
            f"{self.name(file)}: changed while it was being read",
            hint="wait until whatever writes it is done, then run it again",
        )

    def call(self, path: str, request: Callable[[], Any], *, size: int = 0) -> Any:
        """A request about a path, made once: it changes something.

        Raises:
            NotFoundError: what it should be in is not there.
            StorageError: the place cannot be reached or written.
        """
        try:
            return self._requests.call(self.where(path), request, size=size, attempts=1)
        except MissingObjectError as reason:
            raise NotFoundError(
                f"{self.where(path)}: there is no such bucket or folder", hint="make it first"
            ) from reason

    def _call(self, path: str, request: Callable[[], Any]) -> Any:
        return self._requests.call(self.where(path), request)

    def _found(self) -> dict[str, dict[str, Any]]:
        """What is below, by its path in the file system."""
        try:
            if self._is_file:
                return {self._root: self._call("", lambda: self.filesystem.info(self._root))}
            find = partial(self.filesystem.find, self._root, detail=True)
            found: dict[str, dict[str, Any]] = self._requests.call(self.url, find)
        except MissingObjectError:
            return {}
        return {
            key: info
            for key, info in found.items()
            if info.get("type") == "file" and not key.endswith("/")
        }

    def _listed(self, path: str, info: Mapping[str, Any]) -> Listed:
        path, key = path.lstrip("/"), str(info["name"])
        size = info.get("size")
        if size is None:  # web servers list names only
            info = self._call(path, lambda: self.filesystem.info(key))
            size = info.get("size")
        if size is None:
            raise UnsupportedError(f"{self.where(path)}: the server does not tell its size")
        return Listed(path, key, int(size), _version(info), _modified(info))

    def _read(self, file: Listed, start: int, end: int) -> bytes:
        try:
            return bytes(self.filesystem.cat_file(file.key, start=start, end=end))
        except OSError as reason:
            # S3's answer to a range beyond the end; the same number also stands for worse
            if reason.errno != errno.EINVAL or self.look(file).size >= end:
                raise
            return b""


def _key(path: str) -> str:
    """File systems disagree on whether a path begins with a slash."""
    return path.strip("/")


def _version(info: Mapping[str, Any]) -> str:
    for name in _VERSIONS:
        value = info.get(name)
        if value is not None:
            text = value.timestamp() if isinstance(value, datetime) else value
            return f"{name.lower()}:{str(text).strip(chr(34))}"
    return ""


def _modified(info: Mapping[str, Any]) -> float:
    for name in ("LastModified", "last_modified", "updated", "modified", "mtime", "created"):
        value = info.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, (int, float)):
            return float(value)
    return 0.0
