"""Tensors at hand: those of a checkpoint folder, by digest, so that they need not be fetched."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

from deltastore.ids import bytes_digest, tensor_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.checkpoints.safetensors_header import TensorEntry
    from deltastore.checkpoints.source import SourceFile
    from deltastore.ids import Digest
    from deltastore.materialize.tensors import Bytes

__all__ = ["EMPTY", "FolderShelf", "Shelf"]

Form = tuple[str, tuple[int, ...]]
"""Dtype and shape."""


class Shelf(Protocol):
    """Tensors that are at hand."""

    def has(self, digest: Digest, dtype: str, shape: tuple[int, ...]) -> bool:
        """Whether a tensor is."""
        ...

    def read(self, digest: Digest) -> Bytes:
        """The content of one that `has` found: one-dimensional uint8."""
        ...


class _Nothing:
    """An empty shelf."""

    def has(self, digest: Digest, dtype: str, shape: tuple[int, ...]) -> bool:  # noqa: ARG002 - a `Shelf`
        return False

    def read(self, digest: Digest) -> Bytes:
        raise KeyError(digest)


EMPTY: Shelf = _Nothing()


class FolderShelf:
    """The tensors of some files. Thread-safe.

    Tensors of a dtype and shape are hashed when the first of that form is asked for.

    Args:
        files: of a checkpoint; kept open until `close`.
    """

    def __init__(self, files: Sequence[SourceFile]) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._unseen: defaultdict[Form, list[tuple[SourceFile, TensorEntry]]] = defaultdict(list)
        for file in files:
            for entry in file.header.in_offset_order() if file.header else ():
                self._unseen[entry.spec.dtype, entry.spec.shape].append((file, entry))
        self._places: dict[Digest, tuple[SourceFile, TensorEntry]] = {}

    def has(self, digest: Digest, dtype: str, shape: tuple[int, ...]) -> bool:
        """See `Shelf.has`.

        Raises:
            InvalidError: a file changed since it was scanned.
        """
        with self._lock:
            for file, entry in self._unseen.pop((dtype, shape), ()):
                content = bytes_digest(file.read_tensor(entry).data)
                self._places.setdefault(tensor_digest(dtype, shape, content), (file, entry))
            return digest in self._places

    def read(self, digest: Digest) -> Bytes:
        """See `Shelf.read`."""
        file, entry = self._places[digest]
        return file.read_tensor(entry)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()
