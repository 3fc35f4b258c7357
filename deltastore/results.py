"""What the public calls return: frozen values whose fields are those of the JSON documents.

Sizes are bytes, times RFC 3339 UTC text, ids full hex. Fields are added, never renamed or removed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from deltastore.ids import short

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CheckoutResult",
    "Commit",
    "CommitInfo",
    "Diff",
    "Doctor",
    "ExportResult",
    "FileChange",
    "FileInfo",
    "Finding",
    "Fsck",
    "InitResult",
    "KeptWhole",
    "Listing",
    "LogResult",
    "ModelInfo",
    "RefInfo",
    "RefMoveResult",
    "Stats",
    "TensorChange",
    "TensorCounts",
    "TensorInfo",
]

Fidelity = Literal["exact", "preview"]


@dataclass(frozen=True, slots=True)
class InitResult:
    """A store made, or found.

    Attributes:
        store: its URL, without credentials.
        store_id: 32 hex digits.
        tier: what the probe found: A is safe for many writers.
        created: whether this call made it.
        detail: the probe's finding, for people.
    """

    store: str
    store_id: str
    tier: str
    created: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TensorCounts:
    """How a commit's tensors are kept; `unchanged` were in the store before."""

    total: int
    unchanged: int
    delta: int
    dense: int
    merged: int = 0


@dataclass(frozen=True, slots=True)
class KeptWhole:
    """A file beside the weights and the bytes it takes in the store."""

    path: str
    size: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Commit:
    """What `commit` did.

    Attributes:
        commit: id.
        model: `namespace/name`.
        branch: where it went.
        parents: ids.
        base: id of the version it was fine-tuned from, or None.
        unchanged: the files are those of the branch's tip; nothing was recorded.
        tensors: how they are kept.
        logical_bytes: sum of the version's file sizes.
        stored_bytes: every object this commit wrote.
        preview_bytes: of them, preview sections with their headers.
        preview_error: |exact - preview| / |exact - base|, 2-norm over all tensors that have a
            preview; None without one.
        requests: to an object store; None on disk.
        skipped_files: paths left out by the default rules or `.deltastoreignore`.
        new_model: the model did not exist.
        new_branch: the branch did not exist.
        moved: another writer's commit landed on the branch meanwhile, and is the parent.
        base_name: how people know the base: `ns/name@branch`.
        weight_files: safetensors files in the version.
        other_files: files kept as blobs.
        kept_whole: the largest blobs.
        dense_names: with a base: tensors that match nothing in it, kept whole.
        warnings: sentences worth reading.
    """

    commit: str
    model: str
    branch: str
    parents: tuple[str, ...]
    base: str | None
    unchanged: bool
    tensors: TensorCounts
    logical_bytes: int
    stored_bytes: int
    preview_bytes: int
    preview_error: float | None
    requests: int | None
    skipped_files: tuple[str, ...] = ()
    new_model: bool = False
    new_branch: bool = False
    moved: bool = False
    base_name: str | None = None
    weight_files: int = 0
    other_files: int = 0
    kept_whole: tuple[KeptWhole, ...] = ()
    dense_names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        base = f", base {self.base_name or short(self.base)}" if self.base else ""
        sizes = f"{_size(self.logical_bytes)} in {_size(self.stored_bytes)}"
        return f"Commit({self.commit[:6]}..., {self.model}@{self.branch}{base}, {sizes})"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.4g} TB"


@dataclass(frozen=True, slots=True)
class CheckoutResult:
    """What `checkout` did.

    Attributes:
        commit: id.
        files: number of files of the selection.
        bytes: their sizes together.
        fetched_bytes: read from the store.
        requests: to an object store; None on disk.
        fidelity: exact or preview.
        verified: every file's SHA-256 was compared with the commit's; False for previews.
        kept: files that were there already with the right SHA-256.
        model: `namespace/name`, or None for a bare commit id.
        branch: branch or tag of the revision, or None.
    """

    commit: str
    files: int
    bytes: int
    fetched_bytes: int
    requests: int | None
    fidelity: Fidelity
    verified: bool
    kept: int = 0
    model: str | None = None
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What `export` wrote; fields as `CheckoutResult`."""

    commit: str
    files: int
    bytes: int
    fetched_bytes: int
    requests: int | None
    fidelity: Fidelity
    verified: bool


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One file of a version; `sha256` is of its exact content."""

    path: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """One commit, as recorded. `metrics` are decimal text, `recipe` a blob digest or None."""

    commit: str
    parents: tuple[str, ...]
    base: str | None
    author: str
    time: str
    message: str
    recipe: str | None
    inputs: tuple[str, ...]
    metadata: Mapping[str, str]
    metrics: Mapping[str, str]
    files: tuple[FileInfo, ...] = ()
    preview_error: str | None = None
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogResult:
    """Commits, newest first.

    Attributes:
        commits: as `show`, without files.
        truncated: there are more.
        graph: one text per commit, the lines git would draw before it; empty unless asked for.
    """

    commits: tuple[CommitInfo, ...]
    truncated: bool = False
    graph: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model and its refs."""

    model: str
    branches: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a version."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    digest: str
    file: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What `ls` found: models, or the files or tensors of one version."""

    models: tuple[ModelInfo, ...] | None = None
    files: tuple[FileInfo, ...] | None = None
    tensors: tuple[TensorInfo, ...] | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file and `added`, `removed`, `changed` or `unchanged`."""

    path: str
    status: str


@dataclass(frozen=True, slots=True)
class TensorChange:
    """A tensor in two versions; numbers in float64, None where undefined.

    Attributes:
        name: of the tensor.
        status: `added` `removed` `changed` `unchanged` `retyped` `reshaped`.
        norm: |B - A|.
        relative_norm: |B - A| / |A|.
        cosine: of A and B.
        task_cosine: of A - base and B - base, when both record one base.
        changed_fraction: elements whose bits differ.
        size: elements.
    """

    name: str
    status: str
    norm: float | None = None
    relative_norm: float | None = None
    cosine: float | None = None
    task_cosine: float | None = None
    changed_fraction: float | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class Diff:
    """What differs between A and B.

    Attributes:
        same: every file is.
        files: all of them, with their status.
        tensors: all of them, most changed first.
        a: how people know A.
        b: how people know B.
        changed_fraction: over all tensors in both of one dtype and shape.
        relative_norm: |B - A| / |A| over the tensors that changed.
    """

    same: bool
    files: tuple[FileChange, ...]
    tensors: tuple[TensorChange, ...]
    a: str = ""
    b: str = ""
    changed_fraction: float | None = None
    relative_norm: float | None = None


@dataclass(frozen=True, slots=True)
class Stats:
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


@dataclass(frozen=True, slots=True)
class RefInfo:
    """A branch or tag."""

    model: str
    name: str
    kind: Literal["branch", "tag"]
    commit: str


@dataclass(frozen=True, slots=True)
class RefMoveResult:
    """A branch or tag made, moved or deleted; None stands for absent."""

    model: str
    name: str
    kind: Literal["branch", "tag"]
    old: str | None
    new: str | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something `fsck` found: a kind of the error table, the object, what is wrong."""

    kind: str
    object: str
    detail: str


@dataclass(frozen=True, slots=True)
class Fsck:
    """What `fsck` checked (name: count) and found."""

    ok: bool
    checked: Mapping[str, int]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Doctor:
    """What `doctor` sees: rows of (subject, finding, whether it is well)."""

    ok: bool
    checks: tuple[tuple[str, str, bool], ...]
