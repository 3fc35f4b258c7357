"""What a commit may build on: versions already stored, by tensor name and by digest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltastore.codecs.blocks import as_words
from deltastore.ingest.encoding import Reference
from deltastore.specs import DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from deltastore.ids import CommitId, Digest
    from deltastore.materialize.closure import Kept
    from deltastore.materialize.tensors import TensorReader
    from deltastore.materialize.versions import Version
    from deltastore.specs import TensorSpec

__all__ = ["KnownVersion", "KnownVersions", "Proposals"]

LEAST_ASKED = 1 << 16
"""Bytes; smaller tensors are written again rather than looked for."""

MOST_MISSES = 4

MAX_STEPS = 4
"""No delta is taken against a tensor that is itself further than this from a keyframe."""


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """A stored version and a reader of its tensors."""

    version: Version
    reader: TensorReader

    def matches(self, spec: TensorSpec) -> bool:
        """Whether it has a tensor of that name, dtype and shape."""
        tensor = self.version.tensors.get(spec.name)
        return tensor is not None and tensor.entry.spec == spec

    def reference(self, spec: TensorSpec) -> Reference | None:
        """Its tensor of that name, dtype and shape, read whole; None without one or if too deep."""
        if not self.matches(spec):
            return None
        digest = self.version.tensors[spec.name].digest
        if self.version.closure[digest].depth >= MAX_STEPS:
            return None
        content = self.reader.read(digest, spec)
        return Reference(digest, as_words(content.data, DTYPES[spec.dtype]))


class Proposals:
    """Versions elsewhere in the store that hold tensors which would else be written again.

    A copy under another name shares all its tensors with one version, so one hit answers for the
    rest; and after a few misses in a row there is nothing to be found.

    Args:
        find: a commit that has a tensor of that digest, or None.
        open_: opens it.
    """

    def __init__(
        self,
        find: Callable[[Digest], CommitId | None] = lambda _digest: None,
        open_: Callable[[CommitId], KnownVersion] | None = None,
    ) -> None:
        self.opened: list[KnownVersion] = []
        self._find = find
        self._open = open_
        self._misses = 0

    def look_for(self, digest: Digest, size: int) -> None:
        """Open a version that has a tensor of `size` bytes, if there is one worth asking for."""
        if self._open is None or size < LEAST_ASKED or self._misses >= MOST_MISSES:
            return
        found = self._find(digest)
        if found is None:
            self._misses += 1
            return
        self._misses = 0
        self.opened.append(self._open(found))


@dataclass(frozen=True, slots=True)
class KnownVersions:
    """Base, parent and whatever else is known to be reachable.

    Attributes:
        base: what the new version was fine-tuned from, or None.
        parent: what stands on the branch, or None; never the same as `base`.
        proposals: further versions whose digests may be reused.
    """

    base: KnownVersion | None = None
    parent: KnownVersion | None = None
    proposals: Proposals = field(default_factory=Proposals)

    @property
    def all(self) -> Sequence[KnownVersion]:
        """Each of them, base first."""
        both = (self.base, self.parent)
        return (*(known for known in both if known), *self.proposals.opened)

    def holder(self, digest: Digest) -> KnownVersion | None:
        """One that has a representation of a digest."""
        return next((known for known in self.all if digest in known.version.closure), None)

    def needed(self, digests: Sequence[Digest]) -> Iterator[Kept]:
        """Representations of reused digests and of all their inputs; some may come twice."""
        for digest in digests:
            known = self.holder(digest)
            if known is not None:
                yield from known.version.closure.needed([digest])
