"""What looking returns: commits, listings, refs, sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from deltastore.results.html import InNotebooks

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CommitInfo",
    "FileInfo",
    "Listing",
    "LogResult",
    "ModelInfo",
    "RefInfo",
    "Stats",
    "TensorInfo",
]


@dataclass(frozen=True, slots=True, repr=False)
class FileInfo(InNotebooks):
    """One file of a version; `sha256` is of its exact content."""

    path: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True, repr=False)
class CommitInfo(InNotebooks):
    """One commit, as recorded; `metrics` and `preview_error` as numbers, `recipe` a blob digest."""

    commit: str
    parents: tuple[str, ...]
    base: str | None
    author: str
    time: str
    message: str
    recipe: str | None
    inputs: tuple[str, ...]
    metadata: Mapping[str, str]
    metrics: Mapping[str, float]
    files: tuple[FileInfo, ...] = ()
    preview_error: float | None = None
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class LogResult(InNotebooks):
    """Commits, newest first.

    Attributes:
        commits: as `show`, without files.
        truncated: there are more.
        graph: one text per commit, the lines git would draw before it; empty unless asked for.
    """

    commits: tuple[CommitInfo, ...]
    truncated: bool = False
    graph: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class ModelInfo(InNotebooks):
    """A model and its refs."""

    model: str
    branches: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, repr=False)
class TensorInfo(InNotebooks):
    """One tensor of a version."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    digest: str
    file: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Listing(InNotebooks):
    """What `ls` found: models, or the files or tensors of one version."""

    models: tuple[ModelInfo, ...] | None = None
    files: tuple[FileInfo, ...] | None = None
    tensors: tuple[TensorInfo, ...] | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class RefInfo(InNotebooks):
    """A branch or tag."""

    model: str
    name: str
    kind: Literal["branch", "tag"]
    commit: str


@dataclass(frozen=True, slots=True, repr=False)
class Stats(InNotebooks):
    """Sizes and counts of a store, or of one version.

    Attributes:
        logical_bytes: file sizes of all reachable commits.
        stored_bytes: all objects the log names.
        ratio: their quotient; None when empty.
        garbage_bytes: of packs that nothing reachable needs.
        commits: reachable.
        models: number.
        tensors: different ones.
        objects: in the store.
        own_bytes: of a version: freed if only it went; None for the store.
        codecs: of a version: bytes per codec.
    """

    logical_bytes: int
    stored_bytes: int
    ratio: float | None
    garbage_bytes: int
    commits: int
    models: int
    tensors: int
    objects: int
    own_bytes: int | None = None
    codecs: Mapping[str, int] = field(default_factory=dict)
