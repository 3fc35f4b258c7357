"""Which parts of a listed tree are checkpoints."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from blake3 import blake3

from deltastore.checkpoints.shards import INDEX_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deltastore.places.place import Listed, Listing

__all__ = ["FoundCheckpoint", "find_checkpoints", "is_adapter"]

_WEIGHTS = ".safetensors"
_ADAPTER = "adapter_config.json"
# a folder with one of these beside its weights is one model
_MARKS = frozenset({"config.json", _ADAPTER, "model_index.json", "modules.json"})
# with one of these the weights may all be in subfolders
_PIPELINES = frozenset({"model_index.json", "modules.json"})
_SHARD = re.compile(r".+-\d{5}-of-\d{5}\.safetensors")


@dataclass(frozen=True, slots=True)
class FoundCheckpoint:
    """One checkpoint of a tree.

    Attributes:
        path: relative to the tree, `/`-separated; empty for the tree itself.
        files: its files, with paths relative to it, sorted.
        single: it is one file.
    """

    path: str
    files: tuple[Listed, ...]
    single: bool = False

    @property
    def size(self) -> int:
        """Bytes of all files that can be read."""
        return sum(max(0, file.size) for file in self.files)

    @property
    def modified(self) -> float:
        """When its weights were written, in seconds since the epoch."""
        times = (file.modified for file in self.files if file.path.endswith(_WEIGHTS))
        return max(times, default=0.0)

    @property
    def is_adapter(self) -> bool:
        """Whether it says that it goes with another model."""
        return is_adapter(file.path for file in self.files)

    def url(self, tree: str) -> str:
        """Its whole address in a tree at a URL or path."""
        return f"{tree}/{self.path}" if self.path else tree

    def version(self) -> str:
        """What another content would change: BLAKE3 over paths, sizes, ETags or times, in hex."""
        digest = blake3(b"deltastore source 1\n")
        for file in self.files:
            line = f"{file.path}\0{file.size}\0{file.version}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def is_adapter(paths: Iterable[str]) -> bool:
    """Whether files are a PEFT adapter, whose tensors go beside those of the model it is for."""
    return _ADAPTER in paths


def find_checkpoints(listing: Listing) -> tuple[FoundCheckpoint, ...]:
    """The checkpoints of a tree, by path; none is inside another.

    A folder is one if its weights have a shard index, a configuration beside them or the names of
    shards, or are the only ones in it and below. Other safetensors files are checkpoints of their
    own. Stores of deltastore are passed over.
    """
    if listing.single:
        (file,) = listing.files
        return (FoundCheckpoint("", (file,), single=True),)
    tree = _Tree(listing.files)
    return tuple(sorted(tree.checkpoints(""), key=lambda found: found.path))


class _Tree:
    """Files by folder; a folder's name ends in `/` except for the empty one of the root."""

    def __init__(self, files: Iterable[Listed]) -> None:
        self._files = tuple(sorted(files, key=lambda file: file.path))
        self._names: dict[str, dict[str, Listed]] = {"": {}}
        self._folders: dict[str, dict[str, None]] = {"": {}}
        self._weights_below: dict[str, int] = {}
        for file in self._files:
            self._add(file)

    def checkpoints(self, folder: str) -> list[FoundCheckpoint]:
        names = self._names.get(folder, {})
        if self._is_store(folder, names):
            return []
        if self._is_checkpoint(folder, names):
            return [FoundCheckpoint(folder.rstrip("/"), self._below(folder))]
        lone = [
            FoundCheckpoint(file.path, (replace(file, path=name),), single=True)
            for name, file in names.items()
            if name.endswith(_WEIGHTS)
        ]
        below = self._folders.get(folder, ())
        return [*lone, *(found for inner in below for found in self.checkpoints(inner))]

    def _add(self, file: Listed) -> None:
        folder, parts = "", file.path.split("/")
        weighs = file.path.endswith(_WEIGHTS)
        for part in parts[:-1]:
            self._weights_below[folder] = self._weights_below.get(folder, 0) + weighs
            inner = f"{folder}{part}/"
            self._folders.setdefault(folder, {})[inner] = None
            folder = inner
        self._weights_below[folder] = self._weights_below.get(folder, 0) + weighs
        self._names.setdefault(folder, {})[parts[-1]] = file

    def _is_store(self, folder: str, names: Mapping[str, Listed]) -> bool:
        return "FORMAT" in names and f"{folder}log/" in self._folders.get(folder, ())

    def _is_checkpoint(self, folder: str, names: Mapping[str, Listed]) -> bool:
        weights = [name for name in names if name.endswith(_WEIGHTS)]
        below = self._weights_below.get(folder, 0)
        if any(name.endswith(INDEX_SUFFIX) for name in names):
            return True
        if not weights:
            return below > 0 and bool(_PIPELINES & names.keys())
        marked = bool(_MARKS & names.keys()) or all(map(_SHARD.fullmatch, weights))
        return marked or len(weights) == below == 1

    def _below(self, folder: str) -> tuple[Listed, ...]:
        start = len(folder)
        return tuple(replace(file, path=file.path[start:]) for file in self._range(folder))

    def _range(self, folder: str) -> Sequence[Listed]:
        """The files below a folder; they are neighbors in the order of paths."""
        if not folder:
            return self._files
        begin = bisect_left(self._files, folder, key=lambda file: file.path)
        end = bisect_left(self._files, folder[:-1] + "0", key=lambda file: file.path)
        return self._files[begin:end]
