"""A store anywhere fsspec reaches, as it must be used to be safe.

No listing cache (it makes other writers' objects invisible), no HEAD before a GET, exclusive
creation through `mode="create"`, and bounds on what is under way: left alone, s3fs starts 1,280
requests at once and holds 500 MiB per upload. Sources: fsspec and s3fs 2026.9.0, read and measured.
"""

from __future__ import annotations

import errno
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from deltastore.errors import (
    CorruptError,
    MissingObjectError,
    UnreachableError,
    UnsupportedError,
)
from deltastore.places.connection import connect, supported_options
from deltastore.places.ranges import check_range, checked, coalesce, scatter
from deltastore.places.requests import ATTEMPTS, CHUNK, Requests
from deltastore.storage.backend import Capabilities, Traffic
from deltastore.storage.keys import check_creation, check_key
from deltastore.storage.probe import probe_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["RemoteBackend"]

_T = TypeVar("_T")

CHUNKS_AT_ONCE = 4


class RemoteBackend:
    """See `Backend`.

    Args:
        url: any fsspec URL, without credentials.
        options: for the file system.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        scheme = url.partition("://")[0].lower()
        self._url = url.rstrip("/")
        self._fs, self._root = connect(scheme, url, options)
        self._traffic = Traffic(requests=0)
        self._requests = Requests(self._url, self._fs, self._traffic.count)
        self._pool = ThreadPoolExecutor(
            self._requests.at_once, thread_name_prefix="deltastore-remote"
        )
        self._chunks = supported_options(
            self._fs, "put_file", chunksize=CHUNK, max_concurrency=CHUNKS_AT_ONCE
        )

    @property
    def url(self) -> str:
        """The URL it was opened with."""
        return self._url

    @property
    def traffic(self) -> Traffic:
        """Counters, live; retries count."""
        return self._traffic

    def get(self, key: str, *, max_bytes: int) -> bytes:
        """See `Backend.get`."""
        data = self.get_prefix(key, max_bytes + 1)
        if len(data) > max_bytes:
            raise CorruptError(f"{self._url}: {key} is larger than {max_bytes} bytes")
        return data

    def get_prefix(self, key: str, length: int) -> bytes:
        """See `Backend.get_prefix`."""
        # what is there is usually far smaller than the limit, so it does not count in full
        return self._retried(key, partial(self._read, key, 0, length), size=min(length, CHUNK))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """See `Backend.get_range`."""
        check_range(start, length)
        if not length:
            return b""
        data = self._retried(key, partial(self._read, key, start, length), size=length)
        return checked(data, self._where(key), start, length)

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See `Backend.get_ranges`."""
        spans = coalesce(ranges)
        if len(spans) == 1:
            found = [self.get_range(key, spans[0].start, spans[0].length)]
        else:
            self._requests.check_process()
            found = list(self._pool.map(lambda s: self.get_range(key, s.start, s.length), spans))
        return scatter(spans, found, ranges)

    def put_immutable(self, key: str, source: Path | bytes) -> int:
        """See `Backend.put_immutable`; memory stays bounded whatever the size of a file."""
        path = self._path(key)
        if isinstance(source, bytes):
            self._retried(key, partial(self._write, path, source), size=len(source))
            self._traffic.count(written=len(source), requests=0)
            return len(source)
        size = source.stat().st_size
        # measured: the client holds each part about twice
        held = 2 * min(size, CHUNK * CHUNKS_AT_ONCE)
        self._retried(key, partial(self._upload, source, path), size=held)
        parts = -(-size // CHUNK) + 1 if size >= 2 * CHUNK else 0
        self._traffic.count(written=size, requests=parts)
        if parts and self.size(key) != size:
            raise UnreachableError(f"{self._where(key)}: not all of it arrived", hint="try again")
        return size

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See `Backend.put_if_absent`.

        False may also mean that a first answer was lost and the client's own repetition met the
        object it had made: callers that care read it back.
        """
        create = partial(self._create, self._path(check_creation(key, data)), data)
        created = self._retried(key, create, size=len(data), attempts=1)
        self._traffic.count(written=len(data), requests=0)
        return created

    def overwrite(self, key: str, data: bytes) -> None:
        """See `Backend.overwrite`."""
        self._retried(key, partial(self._write, self._path(key), data), size=len(data))
        self._traffic.count(written=len(data), requests=0)

    def exists(self, key: str) -> bool:
        """See `Backend.exists`: one GET of one byte; HEAD and listings may be denied."""
        try:
            self.get_prefix(key, 1)
        except MissingObjectError:
            return False
        return True

    def size(self, key: str) -> int:
        """See `Backend.size`."""
        return int(self._retried(key, partial(self._fs.info, self._path(key)))["size"])

    def list(self, prefix: str) -> Iterator[str]:
        """See `Backend.list`."""
        folder = self._path(prefix.rstrip("/")) if prefix else self._root
        self._fs.invalidate_cache()
        try:
            found = self._retried(prefix, partial(self._fs.find, folder))
        except MissingObjectError:
            return
        start = len(self._root) + 1
        yield from (path[start:] for path in found if not path.endswith("/"))

    def delete_many(self, keys: Iterable[str]) -> None:
        """See `Backend.delete_many`."""
        self._requests.check_process()
        for _ in self._pool.map(self._delete, keys):
            pass

    def now(self) -> float:
        """See `Backend.now`; object stores round to seconds."""
        key = f"probe/{secrets.token_hex(8)}/now"
        self.put_immutable(key, b"now")
        try:
            moment = self._retried(key, partial(self._fs.modified, self._path(key)))
        except UnreachableError as reason:
            raise UnsupportedError(
                f"{self._url}: it does not tell when objects were made"
            ) from reason
        finally:
            self._delete(key)
        return float(moment.timestamp())

    def capabilities(self) -> Capabilities:
        """See `Backend.capabilities`."""
        return probe_once(self)

    def _where(self, key: str) -> str:
        return f"{self._url}: {key}"

    def _path(self, key: str) -> str:
        return f"{self._root}/{check_key(key)}"

    def _retried(
        self, key: str, call: Callable[[], _T], *, size: int = 0, attempts: int = ATTEMPTS
    ) -> _T:
        """One request, repeated after passing trouble; `size` is what it holds in memory."""
        return self._requests.call(self._where(key), call, size=size, attempts=attempts)

    def _read(self, key: str, start: int, length: int) -> bytes:
        path = self._path(key)
        try:
            data = bytes(self._fs.cat_file(path, start=start, end=start + length))
        except OSError as reason:
            # S3's answer to a range beyond the end; the same number also stands for worse
            if reason.errno != errno.EINVAL or int(self._fs.info(path)["size"]) > start:
                raise
            data = b""
        self._traffic.count(read=len(data), requests=0)
        return data

    def _write(self, path: str, data: bytes, **mode: str) -> None:
        self._into_folder(path, lambda: self._fs.pipe_file(path, data, **mode))

    def _create(self, path: str, data: bytes) -> bool:
        try:
            self._write(path, data, mode="create")
        except FileExistsError:
            return False
        return True

    def _upload(self, source: Path, path: str) -> None:
        self._into_folder(path, lambda: self._fs.put_file(str(source), path, **self._chunks))

    def _into_folder(self, path: str, write: Callable[[], None]) -> None:
        """Object stores have no folders; elsewhere a missing one is made on demand."""
        try:
            write()
        except FileNotFoundError as reason:
            if getattr(self._fs, "async_impl", False):
                bucket = self._root.split("/", 1)[0]
                raise UnreachableError(
                    f"{self._url}: there is no {bucket!r}; make it first"
                ) from reason
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            write()

    def _delete(self, key: str) -> None:
        try:
            self._retried(key, partial(self._fs.rm_file, self._path(key)))
        except MissingObjectError:
            return
