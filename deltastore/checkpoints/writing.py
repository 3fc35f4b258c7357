"""Writing a version's files into a folder: each whole or not at all, none outside of it.

Files are not flushed to the disk one by one: what a power cut tears fails its SHA-256 and is
written again by the same command.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from deltastore.checkpoints.failures import os_errors
from deltastore.checkpoints.parents import make_parents, opened_parent
from deltastore.checkpoints.paths import check_path
from deltastore.errors import CorruptError, DeltastoreError, ExistsError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    import numpy.typing as npt
    from typing_extensions import Buffer

__all__ = ["FileSink", "FileWriter"]

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# macOS refuses to write more than 2^31 - 1 bytes at once
_LARGEST_WRITE = 2**30


class FileSink:
    """A folder that files are written into; a context manager.

    Leaving it for any reason removes the temporary files of writers that did not finish, and after
    an error also the folders it made, where they are empty. Nothing below `folder` is reached
    through a link; `folder` itself may be one. Thread-safe.

    Args:
        folder: made, with its parents, if absent.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root = -1
        self._made_root = False
        self._made: list[str] = []
        self._writers: set[FileWriter] = set()

    def __enter__(self) -> Self:
        with os_errors(str(self._folder)):
            self._made_root = not self._folder.exists()
            self._folder.mkdir(parents=True, exist_ok=True)
            self._root = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            for writer in tuple(self._writers):
                writer.abort()
            if kind is not None:
                self._remove_empty_folders()
        finally:
            root, self._root = self._root, -1
            os.close(root)

    def open(self, path: str) -> FileWriter:
        """Begin a file; a context manager whose `finish` makes it visible under its name.

        Args:
            path: a manifest path; its folders are made.

        Raises:
            InvalidError: the path is invalid, or leads through a link.
            ExistsError: something on the way is no folder.
            NoSpaceError: the disk is full.
            AccessDeniedError: the folder may not be written.
        """
        if self._root < 0:
            raise UsageError("a file sink writes inside its with block only")
        check_path(path)
        label = str(self._folder / path)
        make_parents(self._root, path, self._made)
        writer = FileWriter(path, label, self._writers)
        writer.begin(self._root)
        return writer

    def _remove_empty_folders(self) -> None:
        for path in reversed(self._made):
            with suppress(OSError, DeltastoreError), opened_parent(self._root, path) as parent:
                os.rmdir(path.rpartition("/")[2], dir_fd=parent)
        if self._made_root:
            with suppress(OSError):
                self._folder.rmdir()


class FileWriter:
    """One file being written, under a temporary name beside its own; made by `FileSink.open`.

    Leaving it as a context manager without `finish` removes it.

    Args:
        path: manifest path.
        label: what errors call it.
        unfinished: holds the writer until it is finished or aborted.
    """

    def __init__(self, path: str, label: str, unfinished: set[FileWriter]) -> None:
        self._path = path
        self._label = label
        self._unfinished = unfinished
        self._temporary = f".deltastore-{secrets.token_hex(8)}.tmp"
        self._sha256 = hashlib.sha256()
        self._resources = ExitStack()
        self._parent = -1
        self._descriptor = -1

    def begin(self, root: int) -> None:
        """Create the temporary file below the folder open as `root`."""
        self._unfinished.add(self)
        with self._guarded():
            self._parent = self._resources.enter_context(opened_parent(root, self._path))
            self._descriptor = os.open(self._temporary, _CREATE, 0o666, dir_fd=self._parent)

    def write(self, data: Buffer | npt.NDArray[Any]) -> None:
        """Append the bytes of anything C-contiguous. After an error the file is gone.

        Raises:
            NoSpaceError: disk or quota is full, or the file passes the process's size limit.
        """
        self._require_open()
        buffer = data.data if isinstance(data, np.ndarray) else data
        with self._guarded(), memoryview(buffer) as whole:
            if whole.nbytes == 0:
                return
            with whole.cast("B") as view:
                self._sha256.update(view)
                done = 0
                while done < view.nbytes:
                    done += os.write(self._descriptor, view[done : done + _LARGEST_WRITE])

    def finish(self, expected_sha256: str | None) -> None:
        """Make the file visible under its name, replacing what was there (a link, not its target).

        Args:
            expected_sha256: hex; None where the content is known to differ (previews).

        Raises:
            CorruptError: the bytes written have another SHA-256; the file is gone.
            ExistsError: a folder has that name.
        """
        self._require_open()
        with self._guarded():
            self._check_sha256(expected_sha256)
            self._close()
            name = self._path.rpartition("/")[2]
            try:
                os.replace(self._temporary, name, src_dir_fd=self._parent, dst_dir_fd=self._parent)
            except IsADirectoryError:
                raise ExistsError(f"{self._label}: a folder has that name") from None
        self._release()

    def abort(self) -> None:
        """Remove the temporary file; after `finish` or `abort` nothing happens."""
        with suppress(OSError):
            self._close()
        if self._parent >= 0:
            with suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._parent)
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()

    def _require_open(self) -> None:
        if self._descriptor < 0:
            raise UsageError(f"{self._label}: finished or aborted already")

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _release(self) -> None:
        self._parent = -1
        self._resources.close()
        self._unfinished.discard(self)

    def _check_sha256(self, expected: str | None) -> None:
        found = self._sha256.hexdigest()
        if expected not in (None, found):
            raise CorruptError(
                f"{self._label}: the bytes rebuilt have SHA-256 {found}, not {expected}",
                hint="check the store with fsck; nothing was written under that name",
            )

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Abort on any exception, Ctrl-C included, and name the file in system errors."""
        try:
            with os_errors(self._label):
                yield
        except BaseException:
            self.abort()
            raise
