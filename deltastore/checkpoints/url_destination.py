"""Writing a version's files below a URL: each whole or not at all, others untouched."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from deltastore.checkpoints.existing import ExistingFiles
from deltastore.checkpoints.paths import check_path, check_paths
from deltastore.checkpoints.reading import FileReader
from deltastore.checkpoints.url_files import UrlOrigin
from deltastore.errors import CorruptError, ExistsError, NotFoundError
from deltastore.places.writing import PlaceWriter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    import numpy.typing as npt
    from typing_extensions import Buffer

    from deltastore.checkpoints.existing import ExpectedFile
    from deltastore.places.place import Listed, Place

__all__ = ["UrlDestination"]


class UrlDestination:
    """A folder at a URL; see `Destination`. Each comparison lists what is there once."""

    def __init__(self, place: Place) -> None:
        self._place = place

    @property
    def name(self) -> str:
        """The URL."""
        return self._place.url

    def size(self, path: str) -> int | None:
        """See `Destination`; a request each."""
        found = self._place.find(check_path(path))
        return None if found is None else found.size

    def compare(self, files: Iterable[ExpectedFile]) -> ExistingFiles:
        """See `Destination`; files of the right size are read."""
        files = tuple(files)
        check_paths(file.path for file in files)
        there = self._listed()
        absent = [file.path for file in files if file.path not in there]
        present = [file for file in files if file.path in there]
        same = [file.path for file in present if self._is_same(there[file.path], file)]
        different = [file.path for file in present if file.path not in set(same)]
        return ExistingFiles(tuple(same), tuple(different), tuple(absent))

    def sink(self) -> _UrlSink:
        """See `Destination`."""
        return _UrlSink(self._place)

    def _listed(self) -> dict[str, Listed]:
        try:
            listing = self._place.list()
        except NotFoundError:
            return {}
        if listing.single:
            raise ExistsError(f"{self.name} is a file, not a folder", hint="write elsewhere")
        return {file.path: file for file in listing.files}

    def _is_same(self, listed: Listed, file: ExpectedFile) -> bool:
        if file.sha256 is None or listed.size != file.size:
            return False
        with FileReader(UrlOrigin(self._place, listed).open()) as reader:
            return reader.sha256() == file.sha256


class _UrlSink:
    """See `Sink`."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is left to do: each file ends with its own context."""

    def open(self, path: str) -> _UrlFileWriter:
        """See `Sink`."""
        return _UrlFileWriter(PlaceWriter(self._place, check_path(path)), self._place.where(path))


class _UrlFileWriter:
    """See `Writer`."""

    def __init__(self, writer: PlaceWriter, label: str) -> None:
        self._writer = writer
        self._label = label
        self._sha256 = hashlib.sha256()

    def write(self, data: Buffer | npt.NDArray[Any]) -> None:
        """See `Writer`."""
        buffer = data.data if isinstance(data, np.ndarray) else data
        with memoryview(buffer) as whole:
            if whole.nbytes == 0:
                return
            with whole.cast("B") as view:
                self._sha256.update(view)
                self._writer.write(view)

    def finish(self, expected_sha256: str | None) -> None:
        """See `Writer`."""
        found = self._sha256.hexdigest()
        if expected_sha256 not in (None, found):
            self._writer.abort()
            raise CorruptError(
                f"{self._label}: the bytes rebuilt have SHA-256 {found}, not {expected_sha256}",
                hint="check the store with fsck; nothing was written under that name",
            )
        self._writer.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.abort()
