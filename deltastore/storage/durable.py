"""The few system calls that durable, exclusive publishing in a folder is made of."""

from __future__ import annotations

import errno
import os
import shutil
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["append_copy", "create_directly", "link_exclusively", "link_or_copy", "read_at", "sync"]

_COPY_BYTES = 4 << 20
_NO_KERNEL_COPY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def sync(path: Path) -> None:
    """Make a file's content, or a folder's names, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def link_exclusively(staged: Path, path: Path) -> bool | None:
    """Give a finished file its final name; whether this call did, None without hard links.

    Over NFS the answer to a link that worked may be lost and its repetition be refused: the
    number of names tells (open(2), O_EXCL).
    """
    try:
        os.link(staged, path)
    except FileExistsError:
        return staged.stat().st_nlink > 1
    except OSError as reason:
        if reason.errno in _NO_LINKS:
            return None
        raise
    return True


def create_directly(path: Path, data: bytes) -> bool:
    """Exclusive but not whole at once: for file systems without hard links."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return True


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file on the same disk, a copy of one on another."""
    try:
        os.link(source, target)
    except OSError as reason:
        if reason.errno not in {errno.EXDEV, errno.EMLINK, *_NO_LINKS}:
            raise
        with source.open("rb") as old, target.open("xb") as new:
            shutil.copyfileobj(old, new, _COPY_BYTES)


def append_copy(source: IO[bytes], size: int, target: IO[bytes]) -> None:
    """Copy the first `size` bytes of one open file to the end of another.

    Within the kernel where it can: 3.4 times as fast as reading and writing 512 MiB (ext4).
    """
    source.flush()
    target.flush()
    start = os.fstat(target.fileno()).st_size
    done = 0
    try:
        while done < size:
            copied = os.copy_file_range(
                source.fileno(), target.fileno(), size - done, done, start + done
            )
            if not copied:
                break
            done += copied
    except (AttributeError, OSError) as reason:
        # macOS has no such call, and not every file system takes it
        if isinstance(reason, OSError) and reason.errno not in _NO_KERNEL_COPY:
            raise
    source.seek(done)
    target.seek(start + done)
    shutil.copyfileobj(source, target, _COPY_BYTES)


def read_at(descriptor: int, start: int, length: int) -> bytes:
    """Up to `length` bytes from `start`, fewer only at the end of the file.

    The file's size bounds the buffer: limits are often far above what is there.
    """
    left = min(length, max(0, os.fstat(descriptor).st_size - start))
    pieces = []
    while left > 0:
        piece = os.pread(descriptor, left, start)
        if not piece:
            break
        pieces.append(piece)
        start += len(piece)
        left -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
