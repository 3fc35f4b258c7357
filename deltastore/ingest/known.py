"""What a commit may build on: versions already stored, by tensor name and by digest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.codecs.blocks import as_words
from deltastore.ingest.encoding import Reference
from deltastore.specs import DTYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deltastore.ids import Digest
    from deltastore.materialize.closure import Kept
    from deltastore.materialize.tensors import TensorReader
    from deltastore.materialize.versions import Version
    from deltastore.specs import TensorSpec

__all__ = ["KnownVersion", "KnownVersions"]

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


@dataclass(frozen=True, slots=True)
class KnownVersions:
    """Base, parent and whatever else is known to be reachable.

    Attributes:
        base: what the new version was fine-tuned from, or None.
        parent: what stands on the branch, or None; never the same as `base`.
        others: further versions whose digests may be reused.
    """

    base: KnownVersion | None = None
    parent: KnownVersion | None = None
    others: tuple[KnownVersion, ...] = ()

    @property
    def all(self) -> Sequence[KnownVersion]:
        """Each of them, base first."""
        return tuple(known for known in (self.base, self.parent, *self.others) if known)

    def holder(self, digest: Digest) -> KnownVersion | None:
        """One that has a representation of a digest."""
        return next((known for known in self.all if digest in known.version.closure), None)

    def needed(self, digests: Sequence[Digest]) -> Iterator[Kept]:
        """Representations of reused digests and of all their inputs; some may come twice."""
        for digest in digests:
            known = self.holder(digest)
            if known is not None:
                yield from known.version.closure.needed([digest])
