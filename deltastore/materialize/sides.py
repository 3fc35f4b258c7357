"""Two things to compare: a stored version, or a checkpoint that is in no store."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from blake3 import blake3

from deltastore.history.manifests import Manifest, ManifestFile
from deltastore.ids import Digest, blob_digest, bytes_digest, tensor_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from deltastore.checkpoints.safetensors_header import SafetensorsHeader
    from deltastore.checkpoints.source import SourceFile, TensorSource
    from deltastore.history.diff import NamedTensor
    from deltastore.materialize.tensors import Bytes, TensorReader
    from deltastore.materialize.versions import Version
    from deltastore.specs import TensorSpec

__all__ = ["Side", "SourceSide", "VersionSide", "hash_blob"]


class Side(Protocol):
    """One side of a comparison."""

    @property
    def manifest(self) -> Manifest:
        """Its files and tensors by digest."""
        ...

    def specs(self, file: ManifestFile) -> Sequence[TensorSpec]:
        """The tensors of a safetensors file, in the order of its header's keys."""
        ...

    def read(self, tensor: NamedTensor) -> Bytes:
        """The raw bytes of a tensor."""
        ...

    def ahead(self, tensors: Iterable[NamedTensor]) -> AbstractContextManager[Side]:
        """The same side, which fetches these tensors in large pieces before they are read."""
        ...


class VersionSide:
    """A stored version."""

    def __init__(self, version: Version, reader: TensorReader) -> None:
        self.manifest = version.manifest
        self._version = version
        self._reader = reader

    def specs(self, file: ManifestFile) -> Sequence[TensorSpec]:
        """See `Side`."""
        header = self._version.weights_file(file.path).header
        return tuple(entry.spec for entry in header.tensors)

    def read(self, tensor: NamedTensor) -> Bytes:
        """See `Side`."""
        return self._reader.read(tensor.digest, tensor.spec)

    @contextmanager
    def ahead(self, tensors: Iterable[NamedTensor]) -> Iterator[VersionSide]:
        """See `Side`."""
        needed = self._reader.sections(tensor.digest for tensor in tensors)
        with self._version.ahead(needed) as (_, packs):
            yield VersionSide(self._version, self._reader.over(packs))


class SourceSide:
    """A checkpoint outside the store; its digests are computed, which reads all of it."""

    def __init__(self, source: TensorSource) -> None:
        self._files = {file.path: file for file in source.files()}
        self.manifest = Manifest(tuple(_hashed(file) for file in self._files.values()))

    def specs(self, file: ManifestFile) -> Sequence[TensorSpec]:
        """See `Side`."""
        return tuple(entry.spec for entry in _header(self._files[file.path]).tensors)

    def read(self, tensor: NamedTensor) -> Bytes:
        """See `Side`."""
        file = self._files[tensor.path]
        entries = {entry.spec.name: entry for entry in _header(file).tensors}
        with file:
            return file.read_tensor(entries[tensor.spec.name])

    @contextmanager
    def ahead(self, tensors: Iterable[NamedTensor]) -> Iterator[SourceSide]:  # noqa: ARG002  # as others
        """See `Side`; a folder at hand is read as it is asked for."""
        yield self


def _header(file: SourceFile) -> SafetensorsHeader:
    header = file.header
    if header is None:
        msg = f"{file.path} has no tensors"
        raise LookupError(msg)
    return header


def _hashed(file: SourceFile) -> ManifestFile:
    with file:
        if file.header is None:
            digest, sha256, size = hash_blob(file)
            return ManifestFile(file.path, size, sha256, blob=digest)
        header = file.header
        digests = {
            entry.spec.name: tensor_digest(
                entry.spec.dtype, entry.spec.shape, bytes_digest(file.read_tensor(entry).data)
            )
            for entry in header.in_offset_order()
        }
        return ManifestFile(
            file.path,
            header.file_size,
            file.sha256(),
            header=blob_digest(len(header.raw), bytes_digest(header.raw)),
            tensors=tuple(digests[entry.spec.name] for entry in header.tensors),
        )


def hash_blob(file: SourceFile) -> tuple[Digest, str, int]:
    """Blob digest, SHA-256 in hex and size of a whole file, in one pass."""
    content, sha256, size = blake3(), hashlib.sha256(), 0
    for chunk in file.chunks():
        content.update(chunk)
        sha256.update(chunk)
        size += len(chunk)
    digest = blob_digest(size, Digest(content.hexdigest()))
    return digest, sha256.hexdigest(), size
