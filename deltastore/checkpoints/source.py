"""What ingest consumes: files, of which some are made of tensors."""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect_right
from typing import TYPE_CHECKING, Protocol, Self

from deltastore.checkpoints.reading import FileReader
from deltastore.checkpoints.shards import INDEX_SUFFIX
from deltastore.checkpoints.state_dicts import serialize_header
from deltastore.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from deltastore.checkpoints.examining import CheckpointFile, CheckpointFolder
    from deltastore.checkpoints.reading import Bytes
    from deltastore.checkpoints.safetensors_header import SafetensorsHeader, TensorEntry
    from deltastore.specs import TensorSpec

__all__ = [
    "STATE_DICT_PATH",
    "ArraysSource",
    "FolderSource",
    "SourceFile",
    "TensorSource",
    "parts_of",
]

STATE_DICT_PATH = "model.safetensors"


class SourceFile(Protocol):
    """One file of a version to be. A context manager: leaving it releases what it holds open.

    Reading tensors in offset order and then asking for `sha256` reads nothing twice. Several
    threads may read; `sha256` and `close` come when they are done.
    """

    @property
    def path(self) -> str:
        """Manifest path."""
        ...

    @property
    def size(self) -> int | None:
        """Bytes; None if unknown before it is read."""
        ...

    @property
    def header(self) -> SafetensorsHeader | None:
        """Of a safetensors file; None for an opaque one."""
        ...

    @property
    def far(self) -> bool:
        """Whether each read is a request to somewhere else."""
        ...

    def read_tensor(self, entry: TensorEntry) -> Bytes:
        """The raw bytes of a tensor of `header`: one-dimensional uint8, not to be written to."""
        ...

    def read_parts(self, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        """Some bytes of a safetensors file: (offset behind the header, length) each."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """The whole file in order, a few MiB at a time."""
        ...

    def sha256(self) -> str:
        """Of the whole file, in hex."""
        ...

    def close(self) -> None:
        """Release what it holds open; reading again opens it again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class TensorSource(Protocol):
    """Whatever yields weights and the files beside them."""

    def files(self) -> Sequence[SourceFile]:
        """Sorted by path."""
        ...


class _Closing:
    """`with` for things that have `close`; unless a subclass says otherwise, they are at hand."""

    @property
    def far(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing to release unless a subclass says so."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self.close()


class _FolderFile(_Closing):
    """A file of a scanned folder; every opening checks that it is still the one scanned."""

    def __init__(self, file: CheckpointFile) -> None:
        self._file = file
        self._reader: FileReader | None = None
        self._sha256 = ""
        self._lock = threading.Lock()

    @property
    def path(self) -> str:
        return self._file.path

    @property
    def size(self) -> int:
        return self._file.size

    @property
    def far(self) -> bool:
        return self._file.origin.far

    @property
    def header(self) -> SafetensorsHeader | None:
        return self._file.header

    def read_tensor(self, entry: TensorEntry) -> Bytes:
        return self._open().tensor_bytes(entry)

    def read_parts(self, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        return self._open().parts(parts)

    def chunks(self) -> Iterator[bytes]:
        return self._open().chunks()

    def sha256(self) -> str:
        if not self._sha256:
            self._sha256 = self._open().sha256()
            self.close()
        return self._sha256

    def close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _open(self) -> FileReader:
        with self._lock:
            if self._reader is None:
                self._reader = FileReader(self._file.origin.open(), self._file.header)
            return self._reader


class FolderSource:
    """A scanned checkpoint as a source.

    Args:
        folder: what `scan` returned; its files must not change before they are read.
    """

    def __init__(self, folder: CheckpointFolder) -> None:
        self.folder = folder

    def files(self) -> Sequence[SourceFile]:
        """Sorted by path; each call returns fresh ones."""
        return tuple(_FolderFile(file) for file in self.folder.files)


class _ArraysFile(_Closing):
    """Arrays in memory as one safetensors file."""

    def __init__(self, header: SafetensorsHeader, arrays: Mapping[str, Bytes]) -> None:
        self.path = STATE_DICT_PATH
        self.header = header
        self._arrays = arrays

    @property
    def size(self) -> int:
        return self.header.file_size

    def read_tensor(self, entry: TensorEntry) -> Bytes:
        return self._arrays[entry.spec.name]

    def read_parts(self, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        return parts_of(self.header, self.read_tensor, parts)

    def chunks(self) -> Iterator[bytes]:
        yield self.header.raw
        for entry in self.header.in_offset_order():
            yield self._arrays[entry.spec.name].tobytes()

    def sha256(self) -> str:
        digest = hashlib.sha256(self.header.raw)
        for entry in self.header.in_offset_order():
            digest.update(self._arrays[entry.spec.name].data)
        return digest.hexdigest()


def parts_of(
    header: SafetensorsHeader,
    read: Callable[[TensorEntry], Bytes],
    parts: Sequence[tuple[int, int]],
) -> list[bytes]:
    """`SourceFile.read_parts` of tensors that are only read whole; each part is in one of them."""
    entries = header.in_offset_order()
    begins = [entry.begin for entry in entries]
    contents: dict[int, Bytes] = {}
    found = []
    for start, length in parts:
        at = bisect_right(begins, start) - 1
        if at not in contents:
            contents = {at: read(entries[at])}
        inside = start - begins[at]
        found.append(contents[at][inside : inside + length].tobytes())
    return found


class ArraysSource:
    """Tensors in memory as `model.safetensors`, and the files of a folder beside it.

    Safetensors files and their indexes at the top of that folder are what the tensors replace;
    those in its subfolders are kept.

    Args:
        arrays: tensor name to its spec and raw bytes (one-dimensional, C-contiguous uint8).
        other: where the other files come from.
        metadata: `__metadata__` of the file; `format: pt` is what transformers asks for.

    Raises:
        InvalidError: an array is not as long as its spec says, or not raw bytes.
    """

    def __init__(
        self,
        arrays: Mapping[str, tuple[TensorSpec, Bytes]],
        other: FolderSource | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        for name, (spec, array) in arrays.items():
            _check_array(name, spec, array)
        specs = [spec for spec, _ in arrays.values()]
        header = serialize_header(specs, {"format": "pt"} if metadata is None else metadata)
        self._file = _ArraysFile(header, {name: array for name, (_, array) in arrays.items()})
        self._beside = tuple(other.files()) if other is not None else ()

    @property
    def replaced(self) -> tuple[str, ...]:
        """Paths of the folder that are left out because the tensors stand for them."""
        return tuple(file.path for file in self._beside if _is_replaced(file))

    def files(self) -> Sequence[SourceFile]:
        """Sorted by path."""
        kept = [file for file in self._beside if not _is_replaced(file)]
        both: list[SourceFile] = [self._file, *kept]
        return tuple(sorted(both, key=lambda file: file.path))


def _is_replaced(file: SourceFile) -> bool:
    weights = file.header is not None or file.path.endswith(INDEX_SUFFIX)
    return weights and "/" not in file.path


def _check_array(name: str, spec: TensorSpec, array: Bytes) -> None:
    if name != spec.name:
        raise InvalidError(f"tensor {name!r}: its spec is of {spec.name!r}")
    if array.ndim != 1 or array.dtype != "uint8" or not array.flags.c_contiguous:
        raise InvalidError(f"tensor {name!r}: not one-dimensional contiguous bytes")
    if array.nbytes != spec.nbytes:
        raise InvalidError(f"tensor {name!r}: {array.nbytes} bytes where {spec.nbytes} are due")
