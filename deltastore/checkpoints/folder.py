"""A checkpoint on disk: one file, or a folder of safetensors files and whatever is beside them."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.checkpoints.access import FileStamp, LocalFile
from deltastore.checkpoints.failures import os_errors
from deltastore.checkpoints.paths import check_path, check_paths
from deltastore.checkpoints.patterns import IGNORE_FILE, LEFT_OUT, Selection, parse_ignore_file
from deltastore.checkpoints.safetensors_header import SafetensorsHeader, read_header
from deltastore.checkpoints.shards import INDEX_SUFFIX, MAX_INDEX_BYTES, check_index
from deltastore.checkpoints.walking import Found, walk
from deltastore.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["CheckpointFile", "CheckpointFolder", "scan"]

MAX_IGNORE_BYTES = 2**20

_SAFETENSORS = ".safetensors"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_HEAD_BYTES = 256


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """One file of a checkpoint.

    Attributes:
        path: manifest path.
        source: where it is read from; may be a link.
        size: bytes.
        header: of a safetensors file; None for everything else, which is an opaque blob.
        stamp: what later reads compare the file with.
    """

    path: str
    source: Path
    size: int
    header: SafetensorsHeader | None
    stamp: FileStamp


@dataclass(frozen=True, slots=True)
class CheckpointFolder:
    """What a scan found.

    Attributes:
        root: the folder, or the file when only one was given.
        files: sorted by path.
        skipped: paths left out, sorted; a folder left out whole is one path and ends in `/`.
        warnings: sentences for people.
    """

    root: Path
    files: tuple[CheckpointFile, ...]
    skipped: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


def scan(
    path: Path, *, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> CheckpointFolder:
    """Look at a checkpoint: which files it has, and the headers of its safetensors files.

    Args:
        path: a file or a folder.
        include: globs that bring back what is left out by default or by `.deltastoreignore`.
        exclude: globs of more to leave out; stronger than `include`.

    Raises:
        NotFoundError: there is nothing at `path`.
        InvalidError: an invalid safetensors file, shard index or path; a link that leads nowhere or
            in a circle; a socket, pipe or device; no files; a file that changes while it is read.
        AccessDeniedError: something may not be read.
    """
    with os_errors(str(path)):
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    if is_folder:
        found = walk(path, _selection(path, include, exclude))
    else:
        found = Found(files={path.name: path})
    if not found.files:
        raise InvalidError(
            f"{path}: holds no files", hint=_left_out_hint(found.skipped) if found.skipped else ""
        )
    twins = check_paths(found.files)
    looks = [_look(name, found.files[name]) for name in sorted(found.files)]
    files = tuple(file for file, _ in looks)
    warnings = (*twins, *(text for _, text in looks if text), *_check_indexes(files))
    return CheckpointFolder(path, files, tuple(sorted(found.skipped)), warnings)


def _left_out_hint(skipped: Sequence[str]) -> str:
    return f"left out were {len(skipped)}, such as {min(skipped)}; --include brings them back"


def _selection(root: Path, include: Sequence[str], exclude: Sequence[str]) -> Selection:
    ignored: tuple[str, ...] = LEFT_OUT
    place = root / IGNORE_FILE
    with os_errors(str(place)):
        present = place.is_file()
    if present:
        try:
            text = _read(place, str(place), MAX_IGNORE_BYTES).decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidError(f"{place}: not UTF-8 text") from None
        ignored = (*LEFT_OUT, *parse_ignore_file(text))
    return Selection(tuple(include), tuple(exclude), ignored)


def _read(place: Path, name: str, max_bytes: int, stamp: FileStamp | None = None) -> bytes:
    with LocalFile(place, name=name, expected=stamp) as file:
        if file.size > max_bytes:
            raise InvalidError(f"{name}: {file.size} bytes, more than the {max_bytes} allowed")
        return file.read_at(0, file.size)


def _look(path: str, source: Path) -> tuple[CheckpointFile, str]:
    """Classify one file by its name and its first bytes; returns a warning or an empty text."""
    check_path(path)
    header, warning = None, ""
    with LocalFile(source) as file:
        head = file.read_at(0, min(file.size, _HEAD_BYTES))
        if path.endswith(_SAFETENSORS):
            _refuse_pointer(head, str(source))
            header = read_header(file)
        else:
            warning = _blob_warning(path, head)
        file.check_unchanged()
        return CheckpointFile(path, source, file.size, header, file.stamp), warning


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
            data = _read(file.source, str(file.source), MAX_INDEX_BYTES, file.stamp)
            warnings += check_index(path, data, shards, by_path.keys())
    return warnings
