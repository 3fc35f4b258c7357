"""What recording returns: stores made, commits, refs moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deltastore.ids import short
from deltastore.results.html import InNotebooks
from deltastore.results.sizes import size_text

__all__ = ["Commit", "FoundBase", "InitResult", "KeptWhole", "RefMoveResult", "TensorCounts"]


@dataclass(frozen=True, slots=True, repr=False)
class InitResult(InNotebooks):
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
class FoundBase:
    """Why a base was chosen that nobody had named.

    Attributes:
        reason: for people.
        considered: versions compared.
        predicted_ratio: file sizes to stored bytes, as foreseen from samples.
        ratio: as it turned out; None when nothing was recorded.
    """

    reason: str
    considered: int
    predicted_ratio: float
    ratio: float | None


@dataclass(frozen=True, slots=True, repr=False)
class Commit(InNotebooks):
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
        found_base: how the base was found; None if it was named, inherited or there is none.
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
    found_base: FoundBase | None = None

    def __repr__(self) -> str:
        base = f", base {self.base_name or short(self.base)}" if self.base else ""
        sizes = f"{size_text(self.logical_bytes)} in {size_text(self.stored_bytes)}"
        where = f"{self.commit[:6]}..., {self.model}@{self.branch}"
        return f"{type(self).__name__}({where}{base}, {sizes})"


@dataclass(frozen=True, slots=True, repr=False)
class RefMoveResult(InNotebooks):
    """A branch or tag made, moved or deleted; None stands for absent.

    Attributes:
        model: `namespace/name`.
        name: of the branch or tag.
        kind: branch or tag.
        old: commit it stood at.
        new: commit it stands at.
        warnings: sentences worth reading.
        seq: the log entry that did it; None when it stood there already.
    """

    model: str
    name: str
    kind: Literal["branch", "tag"]
    old: str | None
    new: str | None
    warnings: tuple[str, ...] = ()
    seq: int | None = None
