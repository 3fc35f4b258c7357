"""What a caller wants committed, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deltastore.history.commits import CommitHeader
    from deltastore.ids import CommitId, Digest
    from deltastore.ingest.detecting import Likeness, SketchIndex
    from deltastore.ingest.written import WrittenVersion

__all__ = ["Committed", "Indexer", "Request", "no_index"]


class Indexer(Protocol):
    """Gives what bases are looked for in."""

    def __call__(self, *, look: bool) -> SketchIndex | None:
        """An index, or None when it is too far behind; with `look` it is brought up to date."""
        ...


def no_index(*, look: bool) -> SketchIndex | None:  # noqa: ARG001 - an `Indexer`
    """No base is found."""
    return None


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
        inherit: take the base of the parent, or look for one where there is no parent.
        look: for a base, also where the parent has none.
        parent: of a branch that does not exist yet.
        expect: where the branch must stand: a commit, an empty text for nowhere, None for anywhere.
        density: of the preview, as decimal text; None for no preview.
        metadata: free text by name.
        metrics: decimal text by name.
        find: a commit that has a tensor of some digest, or None; a proposal, proven later.
        op: what the reflog calls it, a word.
        reuse: reachable versions whose tensors need not be written again.
        index: where bases are looked for; None when it is too far behind, unless `look`.
    """

    model: str
    branch: str
    message: str
    author: str
    time: str
    producer: str
    base: CommitId | None = None
    inherit: bool = True
    look: bool = False
    parent: CommitId | None = None
    expect: str | None = None
    density: str | None = "0.05"
    metadata: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    find: Callable[[Digest], CommitId | None] = lambda _digest: None
    op: str = "commit"
    reuse: tuple[CommitId, ...] = ()
    index: Indexer = no_index


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
        found: how the base was found, if it was looked for.
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
    found: Likeness | None = None
