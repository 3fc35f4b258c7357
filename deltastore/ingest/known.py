"""What a commit may build on: versions already stored, by tensor name and by digest."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltastore.codecs.blocks import as_words
from deltastore.errors import IntegrityError, UnsupportedError
from deltastore.ids import parse_json, short
from deltastore.ingest.encoding import Reference
from deltastore.ingest.pairing import paired
from deltastore.materialize.closure import MAX_DEPTH
from deltastore.materialize.seeing import seen
from deltastore.specs import DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from deltastore.ids import CommitId, Digest
    from deltastore.ingest.pairing import Counterpart
    from deltastore.materialize.closure import Closure, Kept
    from deltastore.materialize.tensors import TensorReader
    from deltastore.materialize.versions import Version
    from deltastore.specs import TensorSpec
    from deltastore.storage.records import Input

LOGGER = logging.getLogger("deltastore")

__all__ = ["KnownVersion", "KnownVersions", "Proposals"]

LEAST_ASKED = 1 << 16
"""Bytes; smaller tensors are written again rather than looked for."""

MOST_MISSES = 4

PREVIEW_CODEC = "ternary/1"

MAX_STEPS = 4
"""No tensor is kept more versions than this away from one that is kept whole."""


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """A stored version and a reader of its tensors.

    Attributes:
        version: opened.
        reader: of its tensors.
        pairs: (path, name) of tensors of the new version, and what stands for them here where names
            do not tell.
        proposed: nobody named it; what of it is damaged is not referred to.
    """

    version: Version
    reader: TensorReader
    pairs: Mapping[tuple[str, str], Counterpart] = field(default_factory=dict)
    proposed: bool = False

    def counterpart(self, path: str, spec: TensorSpec) -> Counterpart | None:
        """Its tensor that stands for one of a new version.

        The one it was paired with by content; else the one of that name, in that file first, if it
        can be seen as that dtype and shape.
        """
        found = self.pairs.get((path, spec.name))
        if found is not None:
            return found
        named = self.version.counterpart(path, spec.name)
        return paired(named, spec) if named is not None else None

    def too_deep(self, digest: Digest) -> bool:
        """Whether no delta may be taken against a tensor of this version any more."""
        closure = self.version.closure
        return closure[digest].depth + 2 > MAX_DEPTH or steps(closure, digest) >= MAX_STEPS

    def reference(self, path: str, spec: TensorSpec) -> Reference | None:
        """That tensor, read whole and seen so; None without one or if it is too deep.

        Raises:
            IntegrityError: it is damaged, and not of a version that was only proposed.
        """
        found = self.counterpart(path, spec)
        try:
            if found is None or self.too_deep(found.tensor.digest):
                return None
            have = found.tensor.entry.spec
            content = self.reader.read(found.tensor.digest, have)
        except (IntegrityError, UnsupportedError):
            if not self.proposed:
                raise
            LOGGER.warning("%s, found as the base, is damaged", short(self.version.commit))
            return None
        words = as_words(content.data, DTYPES[have.dtype])
        return Reference(found.source, seen(found.source, words, have, spec))


def steps(closure: Closure, digest: Digest, known: dict[Digest, int] | None = None) -> int:
    """Versions between a tensor and a keyframe; a preview and its exact layer are one step.

    Args:
        closure: of a version.
        digest: of a tensor in it.
        known: steps of tensors, filled on the way: one may be the input of many.
    """
    known = {} if known is None else known
    if digest not in known:
        how = closure[digest].representation
        inputs = (steps(closure, source.digest, known) for source in how.inputs)
        own = how.codec != PREVIEW_CODEC and bool(how.inputs)
        known[digest] = max(inputs, default=0) + own
    return known[digest]


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
        version = None if found is None else self._try_open(self._open, found)
        if version is None:
            self._misses += 1
        else:
            self._misses = 0
            self.opened.append(version)

    @staticmethod
    def _try_open(
        open_: Callable[[CommitId], KnownVersion], commit: CommitId
    ) -> KnownVersion | None:
        """Damage in a version that was only proposed is no reason to fail."""
        try:
            return open_(commit)
        except (IntegrityError, UnsupportedError):
            return None


@dataclass(frozen=True, slots=True)
class KnownPreview:
    """A preview that is stored already, and the version that has it."""

    version: KnownVersion
    digest: Digest


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
        """One that a digest can be rebuilt from; of several the one in which it is least deep."""
        depths = [
            (kept.depth, at)
            for at, known in enumerate(self.all)
            if digest in known.version.closure and (kept := known.version.closure.get(digest))
        ]
        return self.all[min(depths)[1]] if depths else None

    def preview_of(self, digest: Digest, base: Input, density: str) -> KnownPreview | None:
        """A stored preview of a tensor against that very base tensor, of that density."""
        for known in self.all:
            preview = known.version.previews.get(digest)
            if preview is None:
                continue
            how = known.version.closure[preview].representation
            made_like = parse_json(how.parameters, what="parameters", max_bytes=1 << 16)
            same = made_like.get("density") == density and how.codec == PREVIEW_CODEC
            if same and how.inputs == (base,):
                return KnownPreview(known, preview)
        return None

    def needed(self, digests: Sequence[Digest]) -> Iterator[Kept]:
        """Representations of reused digests and of all their inputs; some may come twice."""
        for digest in digests:
            known = self.holder(digest)
            if known is not None:
                yield from known.version.closure.needed([digest])
