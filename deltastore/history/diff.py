"""What two versions have in common, from their manifests alone: no weights are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from deltastore.errors import CorruptError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deltastore.history.manifests import Manifest, ManifestFile
    from deltastore.ids import Digest
    from deltastore.specs import TensorSpec

__all__ = [
    "FileChange",
    "ManifestDiff",
    "NamedTensor",
    "SpecSource",
    "TensorChange",
    "diff_manifests",
    "tensors_by_name",
]

FileStatus = Literal["added", "removed", "changed", "same"]
TensorStatus = Literal["added", "removed", "changed", "unchanged", "retyped", "reshaped"]

SpecSource: TypeAlias = "Callable[[ManifestFile], Sequence[TensorSpec]]"
"""The tensors of a safetensors file in the order of its header's JSON keys."""


@dataclass(frozen=True, slots=True)
class NamedTensor:
    """One tensor of one version.

    Attributes:
        spec: name, dtype and shape.
        digest: of its bits.
        path: the file it is in.
    """

    spec: TensorSpec
    digest: Digest
    path: str


@dataclass(frozen=True, slots=True)
class FileChange:
    """What became of one file.

    Attributes:
        path: the same in both versions.
        status: `same` when the bytes are.
    """

    path: str
    status: FileStatus


@dataclass(frozen=True, slots=True)
class TensorChange:
    """What became of one tensor.

    Attributes:
        name: the same in both versions.
        status: `reshaped` wins over `retyped`, both over `changed`.
        before: in the first version, or None.
        after: in the second one, or None.
    """

    name: str
    status: TensorStatus
    before: NamedTensor | None
    after: NamedTensor | None


@dataclass(frozen=True, slots=True)
class ManifestDiff:
    """All files and tensors of two versions, sorted by path and name.

    Attributes:
        files: of either.
        tensors: of either.
    """

    files: tuple[FileChange, ...]
    tensors: tuple[TensorChange, ...]

    @property
    def same(self) -> bool:
        """Whether both versions have the same files."""
        return all(file.status == "same" for file in self.files)


def diff_manifests(before: Manifest, after: Manifest, specs: SpecSource) -> ManifestDiff:
    """Compare two versions by digest.

    Args:
        before: the first version.
        after: the second one.
        specs: reads the header of a file.

    Raises:
        CorruptError: a header has another number of tensors than its manifest.
    """
    first, second = tensors_by_name(before, specs), tensors_by_name(after, specs)
    names = sorted(first.keys() | second.keys())
    changes = (_tensor_change(name, first.get(name), second.get(name)) for name in names)
    return ManifestDiff(_file_changes(before, after), tuple(changes))


def tensors_by_name(manifest: Manifest, specs: SpecSource) -> dict[str, NamedTensor]:
    """Every tensor of a version; a name that several files have is prefixed with the path.

    Raises:
        CorruptError: a header has another number of tensors than its manifest.
    """
    tensors: dict[str, NamedTensor] = {}
    for file in manifest.files:
        if file.header is None:
            continue
        found = specs(file)
        if len(found) != len(file.tensors):
            raise CorruptError(
                f"{file.path}: its header has {len(found)} tensors, its manifest "
                f"{len(file.tensors)}"
            )
        for spec, digest in zip(found, file.tensors, strict=True):
            name = f"{file.path}:{spec.name}" if spec.name in tensors else spec.name
            tensors[name] = NamedTensor(spec, digest, file.path)
    return tensors


def _file_changes(before: Manifest, after: Manifest) -> tuple[FileChange, ...]:
    first = {file.path: file for file in before.files}
    second = {file.path: file for file in after.files}
    return tuple(
        FileChange(path, _file_status(first.get(path), second.get(path)))
        for path in sorted(first.keys() | second.keys())
    )


def _file_status(before: ManifestFile | None, after: ManifestFile | None) -> FileStatus:
    if before is None:
        return "added"
    if after is None:
        return "removed"
    # a preview has no SHA-256, so what decides is what the file is made of
    same = (before.size, before.blob, before.header, before.tensors) == (
        (after.size, after.blob, after.header, after.tensors)
    )
    return "same" if same else "changed"


def _tensor_change(
    name: str, before: NamedTensor | None, after: NamedTensor | None
) -> TensorChange:
    return TensorChange(name, _tensor_status(before, after), before, after)


def _tensor_status(before: NamedTensor | None, after: NamedTensor | None) -> TensorStatus:
    if before is None:
        return "added"
    if after is None:
        return "removed"
    if before.spec.shape != after.spec.shape:
        return "reshaped"
    if before.spec.dtype != after.spec.dtype:
        return "retyped"
    return "unchanged" if before.digest == after.digest else "changed"
