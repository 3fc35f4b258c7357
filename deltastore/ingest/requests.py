"""What a caller wants committed, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deltastore.history.commits import CommitHeader
    from deltastore.ids import CommitId, Digest
    from deltastore.ingest.written import WrittenVersion

__all__ = ["Committed", "Request"]


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller wants committed.

    Attributes:
        model: `namespace/name`.
        branch: of the model.
        message: for people.
        author: for people.
        time: RFC 3339, UTC.
        producer: program and version.
        base: what it was fine-tuned from; None with `inherit` for the parent's.
        inherit: take the base of the parent.
        parent: of a branch that does not exist yet.
        expect: where the branch must stand: a commit, an empty text for nowhere, None for anywhere.
        density: of the preview, as decimal text; None for no preview.
        metadata: free text by name.
        metrics: decimal text by name.
        find: a commit that has a tensor of some digest, or None; a proposal, proven later.
        op: what the reflog calls it, a word.
        reuse: reachable versions whose tensors need not be written again.
    """

    model: str
    branch: str
    message: str
    author: str
    time: str
    producer: str
    base: CommitId | None = None
    inherit: bool = True
    parent: CommitId | None = None
    expect: str | None = None
    density: str | None = "0.05"
    metadata: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    find: Callable[[Digest], CommitId | None] = lambda _digest: None
    op: str = "commit"
    reuse: tuple[CommitId, ...] = ()


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of a request.

    Attributes:
        commit: its id; of the tip when nothing changed.
        header: as recorded.
        written: what was written; None when nothing changed.
        logical_bytes: of all files.
        stored_bytes: of every object this made.
        preview_bytes: of preview packs.
        new_model: the model did not exist.
        new_branch: the branch did not exist.
        moved: the branch moved while this was being written.
    """

    commit: CommitId
    header: CommitHeader
    written: WrittenVersion | None
    logical_bytes: int
    stored_bytes: int = 0
    preview_bytes: int = 0
    new_model: bool = False
    new_branch: bool = False
    moved: bool = False
