"""Writing one file below a URL: whole or not at all."""

from __future__ import annotations

import secrets
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from deltastore.errors import UnreachableError
from deltastore.places.connection import supported_options
from deltastore.places.requests import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltastore.places.place import Place

__all__ = ["PlaceWriter"]

# what they are sent becomes visible when it is finished, and not before
_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl"})
# S3 takes 10,000 parts: files of up to 320 GB
_PART = 32 << 20


class PlaceWriter:
    """A file being written below a place; nobody sees it before `finish`.

    Args:
        place: to write to.
        path: below it.
    """

    def __init__(self, place: Place, path: str) -> None:
        self._place = place
        self._path = path
        self._key = place.below(path)
        hidden = f".deltastore-{secrets.token_hex(8)}.tmp"
        folder, _, _ = self._key.rpartition("/")
        self._target = self._key if place.scheme in _WHOLE else f"{folder}/{hidden}"
        self._written = 0
        self._stream: Any = self._call(self._open)

    def write(self, view: memoryview) -> None:
        """Append bytes."""
        for start in range(0, view.nbytes, CHUNK):
            self._call(partial(self._stream.write, view[start : start + CHUNK]))
        self._written += view.nbytes

    def finish(self) -> None:
        """Make it visible under its name, replacing what was there.

        Raises:
            UnreachableError: not all of it arrived.
            StorageError: the place refused it.
        """
        stream, self._stream = self._stream, None
        try:
            self._call(stream.close)
            self._check_size()
            if self._target != self._key:
                filesystem = self._place.filesystem
                self._call(lambda: filesystem.mv(self._target, self._key))
        except BaseException:
            self._give_up(stream)
            raise

    def abort(self) -> None:
        """Leave nothing behind; after `finish` or `abort` nothing happens."""
        stream, self._stream = self._stream, None
        if stream is not None:
            self._give_up(stream)

    def _open(self) -> Any:
        filesystem = self._place.filesystem
        if not getattr(filesystem, "async_impl", False):  # object stores have no folders
            filesystem.makedirs(self._key.rpartition("/")[0], exist_ok=True)
        options = supported_options(filesystem, "open", block_size=_PART)
        return filesystem.open(self._target, "wb", **options)

    def _check_size(self) -> None:
        size = self._call(lambda: self._place.filesystem.info(self._target)).get("size")
        if size not in (None, self._written):
            raise UnreachableError(
                f"{self._place.where(self._path)}: not all of it arrived", hint="try again"
            )

    def _give_up(self, stream: Any) -> None:
        """Whatever failed is being told; what goes wrong here is not."""
        if self._target == self._key:
            _forget(stream)
            return
        with suppress(Exception):
            stream.close()
        with suppress(Exception):
            self._place.filesystem.rm_file(self._target)

    def _call(self, request: Callable[[], Any]) -> Any:
        return self._place.call(self._path, request)


def _forget(stream: Any) -> None:
    """End an upload without finishing it: closed or collected, the stream would finish it."""
    with suppress(Exception):
        stream.discard()
    with suppress(Exception):
        stream.closed = True
