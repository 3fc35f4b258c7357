"""What the catalog answers with: plain rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deltastore.ids import CommitId, Digest

__all__ = [
    "CandidateRow",
    "CommitRow",
    "GarbageRow",
    "ModelRow",
    "SketchRow",
    "StatsRow",
    "TensorRow",
]


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """A commit that a new version may be a fine-tune of.

    Attributes:
        commit: its id.
        overlap: elements of the new version's tensors that have a counterpart of their shape.
    """

    commit: CommitId
    overlap: int


@dataclass(frozen=True, slots=True)
class SketchRow:
    """A tensor of a candidate, with what is known of its content.

    Attributes:
        commit: that has it.
        path: of the file it is in.
        name: of the tensor.
        dtype: safetensors name.
        shape: dimensions.
        digest: of the tensor.
        plain: sampled words; empty without a sketch.
        turned: of the transposed matrix; empty without.
    """

    commit: CommitId
    path: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    digest: Digest
    plain: bytes
    turned: bytes


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model and how many branches and tags it has."""

    model: str
    branches: int
    tags: int


@dataclass(frozen=True, slots=True)
class CommitRow:
    """A commit.

    Attributes:
        commit: its id.
        time: RFC 3339, UTC, as recorded.
        author: as recorded.
        message: as recorded.
        files: number.
        bytes: of all files.
    """

    commit: CommitId
    time: str
    author: str
    message: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TensorRow:
    """A tensor that reachable commits have under some name.

    Attributes:
        name: in their safetensors files.
        dtype: safetensors name.
        shape: dimensions.
        digest: of the tensor.
        commits: how many have it.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    digest: Digest
    commits: int


@dataclass(frozen=True, slots=True)
class StatsRow:
    """Counts and sizes of a store.

    Attributes:
        models: that have a branch or a tag.
        commits: reachable.
        tensors: different ones, named by manifests of reachable commits; previews not counted.
        logical_bytes: file sizes of all reachable commits that are not absent.
        packs: live.
        pack_bytes: of live packs, whole.
        unread: packs and commits left out because they could not be read.
        class_bytes: of live packs, whole, by class.
    """

    models: int
    commits: int
    tensors: int
    logical_bytes: int
    packs: int
    pack_bytes: int
    unread: int
    class_bytes: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class GarbageRow:
    """What nothing reachable needs.

    Attributes:
        sections: number, in live packs; checkpoints and lists are not garbage.
        bytes: of these sections.
        packs: live packs of which no section is needed.
        pack_bytes: of these packs, whole.
    """

    sections: int
    bytes: int
    packs: int
    pack_bytes: int
