"""Reading checkpoint files: tensors into fresh arrays, hashes in the same pass where possible."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from deltastore.checkpoints.access import LocalFile
from deltastore.errors import InvalidError
from deltastore.ids import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from deltastore.checkpoints.access import ReadableFile
    from deltastore.checkpoints.safetensors_header import SafetensorsHeader, TensorEntry

__all__ = ["CHUNK_BYTES", "Bytes", "FileHashes", "FileReader", "hash_file"]

CHUNK_BYTES = 4 * 2**20

Bytes: TypeAlias = npt.NDArray[np.uint8]
"""One-dimensional, C-contiguous raw bytes."""


class FileReader:
    """An open checkpoint file, as a context manager; leaving it checks that the file held still.

    Whatever is read in file order also feeds the file's SHA-256, so `sha256` after reading all
    tensors in offset order reads nothing twice. Thread-safe; peak memory is what is asked for.

    Args:
        file: closed on leaving.
        header: of a safetensors file, already read; its bytes are not read again.
    """

    def __init__(self, file: ReadableFile, header: SafetensorsHeader | None = None) -> None:
        raw = header.raw if header is not None else b""
        self._file = file
        self._data_start = len(raw)
        self._sha256 = hashlib.sha256(raw)
        self._hashed = len(raw)
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._file.size

    def tensor_bytes(self, entry: TensorEntry, out: Bytes | None = None) -> Bytes:
        """The raw little-endian content of a tensor.

        Args:
            entry: of this file's header.
            out: where to put it; a fresh array when None.

        Returns:
            uint8 array of `entry.nbytes`: `out`'s beginning, or fresh.

        Raises:
            InvalidError: the file is too short by now, or `out` is.
        """
        if self._data_start + entry.end > self.size:
            raise InvalidError(f"{self._file.name}: truncated while reading {entry.spec.name!r}")
        array = np.empty(entry.nbytes, np.uint8) if out is None else out[: entry.nbytes]
        if array.nbytes != entry.nbytes or array.dtype != np.uint8:
            raise InvalidError(f"buffer of {array.nbytes} bytes for {entry.nbytes}")
        self._read(self._data_start + entry.begin, array)
        return array

    def parts(self, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        """Some bytes of a safetensors file: (offset behind the header, length) each; not hashed.

        Raises:
            InvalidError: the file is too short by now.
        """
        return self._file.read_parts([(self._data_start + at, length) for at, length in parts])

    def chunks(self, size: int = CHUNK_BYTES) -> Iterator[bytes]:
        """The whole file from its beginning, in pieces of `size` bytes.

        Raises:
            InvalidError: the file ends early, or was changed since it was opened.
        """
        for offset in range(0, self.size, size):
            chunk = self._file.read_at(offset, min(size, self.size - offset))
            self._feed(offset, memoryview(chunk))
            yield chunk
        self._file.check_unchanged()

    def sha256(self) -> str:
        """SHA-256 of the whole file in hex; only what was not read in file order yet is read.

        Raises:
            InvalidError: the file ends early, or was changed since it was opened.
        """
        buffer = np.empty(min(CHUNK_BYTES, self.size), np.uint8)
        while self._hashed < self.size:
            offset = self._hashed
            self._read(offset, buffer[: self.size - offset])
        self._file.check_unchanged()
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Release the file; again is no error."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._file.check_unchanged()
        finally:
            self.close()

    def _read(self, offset: int, array: Bytes) -> None:
        self._file.read_into(offset, array.data)
        self._feed(offset, array.data)

    def _feed(self, offset: int, data: memoryview) -> None:
        """Hash what continues the bytes hashed so far."""
        with self._lock:
            known = self._hashed - offset
            if 0 <= known < data.nbytes:
                self._sha256.update(data[known:])
                self._hashed = offset + data.nbytes


@dataclass(frozen=True, slots=True)
class FileHashes:
    """What one pass over a file gives.

    Attributes:
        size: bytes.
        sha256: hex.
        content: BLAKE3-256 of the bytes.
    """

    size: int
    sha256: str
    content: Digest


def hash_file(path: Path) -> FileHashes:
    """Hash a file both ways in one pass, 4 MiB at a time.

    Raises:
        InvalidError: it is no regular file, or changed while it was read.
        NotFoundError: there is none.
        AccessDeniedError: it may not be read.
    """
    content = blake3()
    with FileReader(LocalFile(path)) as reader:
        for chunk in reader.chunks():
            content.update(chunk)
        return FileHashes(reader.size, reader.sha256(), Digest(content.hexdigest()))
