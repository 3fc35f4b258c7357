"""Where a version's files are written to: a folder here, or one at a URL."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol, Self

from deltastore.checkpoints.existing import compare_existing
from deltastore.checkpoints.writing import FileSink

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType
    from typing import Any

    import numpy.typing as npt
    from typing_extensions import Buffer

    from deltastore.checkpoints.existing import ExistingFiles, ExpectedFile

__all__ = ["Destination", "LocalDestination", "Sink", "Writer"]


class Writer(Protocol):
    """One file being written; leaving it as a context manager without `finish` removes it."""

    def write(self, data: Buffer | npt.NDArray[Any]) -> None:
        """Append the bytes of anything C-contiguous."""
        ...

    def finish(self, expected_sha256: str | None) -> None:
        """Make the file visible under its name; `CorruptError` if its SHA-256 is another one."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class Sink(Protocol):
    """Takes files, each whole or not at all."""

    def open(self, path: str) -> Writer:
        """Begin the file of a manifest path."""
        ...


class Destination(Protocol):
    """A folder that files are to be written into."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    def size(self, path: str) -> int | None:
        """Bytes of what is there already under a path; None if there is nothing."""
        ...

    def compare(self, files: Iterable[ExpectedFile]) -> ExistingFiles:
        """Sort files into those that are there already, by size and then SHA-256, and others."""
        ...

    def sink(self) -> AbstractContextManager[Sink]:
        """What writes; leaving it removes what was not finished."""
        ...


class LocalDestination:
    """A folder on this machine; see `Destination`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        """The path."""
        return str(self._folder)

    def size(self, path: str) -> int | None:
        """See `Destination`; links are followed, and one that leads nowhere is nothing."""
        try:
            return os.stat(self._folder / path).st_size
        except OSError:  # absent, or not to be looked at: whoever opens it will say so
            return None

    def compare(self, files: Iterable[ExpectedFile]) -> ExistingFiles:
        """See `compare_existing`."""
        return compare_existing(self._folder, files)

    def sink(self) -> FileSink:
        """See `FileSink`."""
        return FileSink(self._folder)
