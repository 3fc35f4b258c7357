"""Random-access reads of checkpoint files: a tiny interface, and local files behind it.

Everything above reads through `ReadableFile`, so files that live elsewhere need one more class
here and nothing else.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from deltastore.checkpoints.failures import os_errors
from deltastore.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Buffer

__all__ = ["FileOrigin", "FileStamp", "LocalFile", "LocalOrigin", "ReadableFile", "kind_of"]

# One read(2) moves at most 2^31 - 4096 bytes on Linux, and macOS refuses more than 2^31 - 1.
_LARGEST_READ = 2**30
# non-blocking, so that a named pipe is refused instead of waited for
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


def kind_of(mode: int) -> str:
    """What a `st_mode` stands for, in words; `a file` for a regular one."""
    return next((name for test, name in _KINDS if test(mode)), "a file")


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells whether a file was touched between two looks at it.

    Attributes:
        size: bytes.
        modified: nanoseconds since the epoch.
        device: of the file system.
        inode: of the file.
    """

    size: int
    modified: int
    device: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """The stamp of a `stat` result."""
        return cls(status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)


class ReadableFile(Protocol):
    """An open file of known size. Reads at different offsets may run in several threads."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    @property
    def size(self) -> int:
        """Bytes when it was opened."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`; `InvalidError` when the file has fewer."""
        ...

    def read_parts(self, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        """Exactly the bytes of each (offset, length); `InvalidError` when the file has fewer."""
        ...

    def read_into(self, offset: int, buffer: Buffer) -> None:
        """Fill the writable `buffer` from `offset`; `InvalidError` when the file has fewer."""
        ...

    def check_unchanged(self) -> None:
        """`InvalidError` when the file was changed since it was opened."""
        ...

    def close(self) -> None:
        """Release it; again is no error."""
        ...


class FileOrigin(Protocol):
    """Where a file is, and how it looked when its checkpoint was scanned."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    @property
    def size(self) -> int:
        """Bytes, then."""
        ...

    @property
    def far(self) -> bool:
        """Whether each read is a request."""
        ...

    def open(self) -> ReadableFile:
        """The file; `InvalidError`, now or when it is read, if it is not as it was."""
        ...


class LocalFile:
    """A regular file on a local file system, read with `pread`.

    Never mapped: mapped pages count against a process's memory limit.

    Args:
        path: the file; a link is followed.
        name: what errors call it; the path when empty.
        expected: what an earlier look found; None when this is the first one.
        folder: descriptor of the folder that a relative `path` is in; None for the current one.

    Raises:
        InvalidError: it is no regular file, or it is not as `expected` any more.
        NotFoundError: there is none.
        AccessDeniedError: it may not be read.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str = "",
        expected: FileStamp | None = None,
        folder: int | None = None,
    ) -> None:
        self._name = name or str(path)
        self._descriptor = -1
        with os_errors(self._name):
            self._descriptor = os.open(path, _OPEN, dir_fd=folder)
        try:
            self._stamp = self._look()
            self._compare(expected or self._stamp)
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """What errors call it."""
        return self._name

    @property
    def size(self) -> int:
        """Bytes when it was opened."""
        return self._stamp.size

    @property
    def stamp(self) -> FileStamp:
        """What a later look is compared with."""
        return self._stamp

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`, in a fresh object.

        Raises:
            InvalidError: the file ends before; nothing was allocated if it did when opened.
        """
        if offset + length > self.size:
            raise self._truncated(offset + length)
        parts = []
        with os_errors(self._name):
            while length > 0:
                part = os.pread(self._descriptor, min(length, _LARGEST_READ), offset)
                if not part:
                    raise self._truncated(offset + length)
                parts.append(part)
                offset, length = offset + len(part), length - len(part)
        return b"".join(parts)

    def read_parts(self, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        """See `ReadableFile`."""
        return [self.read_at(offset, length) for offset, length in parts]

    def read_into(self, offset: int, buffer: Buffer) -> None:
        """Fill `buffer`, a writable C-contiguous one, with the bytes from `offset`.

        Raises:
            InvalidError: the file ends before the buffer is full.
        """
        with memoryview(buffer) as whole:
            if whole.nbytes == 0:
                return
            with whole.cast("B") as view, os_errors(self._name):
                self._fill(offset, view)

    def _fill(self, offset: int, view: memoryview) -> None:
        done = 0
        while done < view.nbytes:
            piece = view[done : done + _LARGEST_READ]
            count = os.preadv(self._descriptor, [piece], offset + done)
            if count == 0:
                raise self._truncated(offset + view.nbytes)
            done += count

    def check_unchanged(self) -> None:
        """See that the file is still as it was when opened.

        Raises:
            InvalidError: its size or modification time is another one.
        """
        self._compare(self._look())

    def close(self) -> None:
        """Release the descriptor; again is no error."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _look(self) -> FileStamp:
        with os_errors(self._name):
            status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidError(f"{self._name}: {kind_of(status.st_mode)}, not a file")
        return FileStamp.of(status)

    def _compare(self, other: FileStamp) -> None:
        if other != self._stamp:
            raise InvalidError(
                f"{self._name}: changed while it was being read",
                hint="wait until whatever writes it is done, then run it again",
            )

    def _truncated(self, wanted: int) -> InvalidError:
        return InvalidError(
            f"{self._name}: truncated while reading: byte {wanted} is wanted of "
            f"{self.size} when opened",
            hint="wait until whatever writes it is done, then run it again",
        )


@dataclass(frozen=True, slots=True)
class LocalOrigin:
    """A file on a local file system.

    Attributes:
        path: may be a link.
        stamp: what `open` compares it with.
    """

    path: Path
    stamp: FileStamp

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def size(self) -> int:
        """Bytes when it was scanned."""
        return self.stamp.size

    @property
    def far(self) -> bool:
        """It is here."""
        return False

    def open(self) -> LocalFile:
        """See `FileOrigin`; raises as `LocalFile`."""
        return LocalFile(self.path, expected=self.stamp)
