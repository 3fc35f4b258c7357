"""Looking at the files of a checkpoint one by one: headers, pickles, pointers, shard indexes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.checkpoints.paths import check_path
from deltastore.checkpoints.safetensors_header import SafetensorsHeader, read_header
from deltastore.checkpoints.shards import INDEX_SUFFIX, MAX_INDEX_BYTES, check_index
from deltastore.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deltastore.checkpoints.access import FileOrigin, ReadableFile

__all__ = ["CheckpointFile", "CheckpointFolder", "assemble", "examine", "read_whole"]

_SAFETENSORS = ".safetensors"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_HEAD_BYTES = 256


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """One file of a checkpoint.

    Attributes:
        path: manifest path.
        origin: where it is read from.
        header: of a safetensors file; None for everything else, which is an opaque blob.
    """

    path: str
    origin: FileOrigin
    header: SafetensorsHeader | None

    @property
    def size(self) -> int:
        """Bytes."""
        return self.origin.size


@dataclass(frozen=True, slots=True)
class CheckpointFolder:
    """What a scan found.

    Attributes:
        files: sorted by path.
        skipped: paths left out, sorted; a folder left out whole is one path and ends in `/`.
        warnings: sentences for people.
    """

    files: tuple[CheckpointFile, ...]
    skipped: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


def assemble(
    where: str,
    looks: Iterable[tuple[CheckpointFile, str]],
    skipped: Sequence[str],
    warnings: Sequence[str],
) -> CheckpointFolder:
    """A checkpoint of examined files, whose shard indexes are read and checked.

    Args:
        where: what errors call it.
        looks: what `examine` returned of each file.
        skipped: paths left out.
        warnings: sentences for people, to come before those of the files.

    Raises:
        InvalidError: an index that does not fit the files, or no files at all.
    """
    looks = sorted(looks, key=lambda look: look[0].path)
    files = tuple(file for file, _ in looks)
    if not files:
        hint = f"left out were {len(skipped)}, such as {min(skipped)}" if skipped else ""
        hint += "; --include brings them back" if hint else ""
        raise InvalidError(f"{where}: holds no files", hint=hint)
    of_files = (text for _, text in looks if text)
    told = (*warnings, *_doubled(where, files), *of_files, *_check_indexes(files))
    return CheckpointFolder(files, tuple(sorted(skipped)), told)


def examine(path: str, origin: FileOrigin, file: ReadableFile) -> tuple[CheckpointFile, str]:
    """Classify one file by its name and its first bytes.

    Args:
        path: manifest path.
        origin: where it is read from later.
        file: the same, open.

    Returns:
        The file, and a warning or an empty text.

    Raises:
        InvalidError: an invalid path or safetensors file.
    """
    check_path(path)
    head = file.read_at(0, min(file.size, _HEAD_BYTES))
    if not path.endswith(_SAFETENSORS):
        return CheckpointFile(path, origin, None), _blob_warning(path, head)
    _refuse_pointer(head, file.name)
    return CheckpointFile(path, origin, read_header(file)), ""


def read_whole(file: ReadableFile, max_bytes: int) -> bytes:
    """The content of a small file.

    Raises:
        InvalidError: it is larger than `max_bytes`.
    """
    if file.size > max_bytes:
        raise InvalidError(f"{file.name}: {file.size} bytes, more than the {max_bytes} allowed")
    return file.read_at(0, file.size)


def _refuse_pointer(head: bytes, name: str) -> None:
    if head.startswith(_LFS_POINTER):
        raise InvalidError(
            f"{name}: a Git LFS pointer instead of the file", hint="run: git lfs pull"
        )


def _blob_warning(path: str, head: bytes) -> str:
    if head.startswith(_LFS_POINTER):
        return f"{path}: a Git LFS pointer, kept as it is; the file it stands for is not"
    if path.endswith(_PICKLES) or _is_pickle(head):
        return (
            f"{path}: looks like a pickle, which is never loaded; kept byte for byte, so it does "
            "not become small (convert weights to safetensors)"
        )
    return ""


def _is_pickle(head: bytes) -> bool:
    """Protocols 2 to 5 begin with 0x80 and their number; torch.save zips a `<name>/data.pkl`."""
    bare = head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5")
    return bare or (head.startswith(b"PK\3\4") and b"/data.pkl" in head)


def _doubled(where: str, files: Iterable[CheckpointFile]) -> list[str]:
    """A remark on a model's folder in the Hugging Face cache, where snapshots link to blobs."""
    first = {"blobs": "", "snapshots": ""}
    for file in files:
        top, _, rest = file.path.partition("/")
        if top in first and not first[top]:
            first[top] = rest.partition("/")[0]
    if not all(first.values()):
        return []
    told = "looks like a Hugging Face cache, which has each file as a blob and in a snapshot"
    return [f"{where}: {told}; commit {where}/snapshots/{first['snapshots']} alone"]


def _check_indexes(files: Iterable[CheckpointFile]) -> list[str]:
    by_path = {file.path: file for file in files}
    shards = {
        path: frozenset(entry.spec.name for entry in file.header.tensors)
        for path, file in by_path.items()
        if file.header is not None
    }
    warnings: list[str] = []
    for path, file in by_path.items():
        if path.endswith(INDEX_SUFFIX):
            data = _read(file.origin)
            warnings += check_index(path, data, shards, by_path.keys())
    return warnings


def _read(origin: FileOrigin) -> bytes:
    file = origin.open()
    try:
        return read_whole(file, MAX_INDEX_BYTES)
    finally:
        file.close()
