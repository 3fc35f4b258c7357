"""What one version needs, by digest: each thing's representation and the sections that hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.codecs.registry import CODECS, codec_named
from deltastore.errors import CorruptError, MissingObjectError, UnsupportedError
from deltastore.materialize.seeing import tensor_spec, view_problem
from deltastore.materialize.shelves import EMPTY
from deltastore.storage.records import Kind
from deltastore.storage.sections import cover

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from deltastore.errors import DeltastoreError
    from deltastore.ids import Digest
    from deltastore.materialize.shelves import Shelf
    from deltastore.storage.records import PackId, Placement, Representation

__all__ = ["MAX_DEPTH", "Closure", "Kept"]

MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Kept:
    """One complete representation.

    Attributes:
        representation: codec, parameters, inputs.
        placements: sections that together hold all of its blocks.
        depth: 0 without inputs, else 1 + the largest depth of the inputs.
    """

    representation: Representation
    placements: tuple[Placement, ...]
    depth: int

    @property
    def stored_bytes(self) -> int:
        """Bytes of the sections."""
        return sum(placement.record.length for placement in self.placements)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A representation that may be used, if its inputs can."""

    representation: Representation
    placements: tuple[Placement, ...]

    @property
    def inputs(self) -> Iterator[Digest]:
        return (source.digest for source in self.representation.inputs)


class Closure:
    """Representations by digest. A locator is a hint, so no single one of them is relied on.

    Of several that can be rebuilt the least deep is used, and of those the first. Ones in live
    packs and of a known codec come before all others.

    Args:
        placements: of tensors and blobs, in order of preference, from locators.
        live: packs that the log vouches for; None when all count.
        shelf: tensors that need not be read.
    """

    def __init__(
        self,
        placements: Iterable[Placement],
        *,
        live: Container[PackId] | None = None,
        shelf: Shelf = EMPTY,
    ) -> None:
        self.shelf = shelf
        self._live = live
        self._sections: dict[Digest, dict[Representation, list[Placement]]] = {}
        for placement in placements:
            if placement.record.kind in (Kind.TENSOR, Kind.BLOB):
                choices = self._sections.setdefault(placement.record.digest, {})
                choices.setdefault(placement.record.representation, []).append(placement)
        self._kept: dict[Digest, Kept] = {}
        self._known: dict[str, bool] = {}

    def __contains__(self, digest: Digest) -> bool:
        return digest in self._sections

    def __getitem__(self, digest: Digest) -> Kept:
        """The representation to use.

        Raises:
            MissingObjectError: none is complete, inputs included.
            CorruptError: the inputs go round in a circle, or deeper than 8 steps.
        """
        found = self.get(digest)
        if found is None:
            raise self._refusal(digest, ())
        return found

    def get(self, digest: Digest) -> Kept | None:
        """The representation to use, or None where it or an input cannot be rebuilt."""
        if digest not in self._kept:
            for live, known in ((True, True), (False, True), (False, False)):
                self._resolve(digest, live=live, known=known)
                if digest in self._kept:
                    break
        return self._kept.get(digest)

    def _resolve(self, wanted: Digest, *, live: bool, known: bool) -> None:
        """Keep whatever `wanted` may need and can be rebuilt, the least deep first.

        The least fixpoint of format-v1, section 9, so that circles resolve nothing.
        """
        pending = self._reached(wanted, live=live, known=known)
        for _ in range(MAX_DEPTH + 1):
            found = {digest: self._best(choices) for digest, choices in pending.items()}
            kept = {digest: best for digest, best in found.items() if best is not None}
            if not kept:
                return
            self._kept.update(kept)
            pending = {d: choices for d, choices in pending.items() if d not in kept}

    def _reached(
        self, wanted: Digest, *, live: bool, known: bool
    ) -> dict[Digest, list[_Candidate]]:
        """All candidates of `wanted` and of whatever they take, as far as it is not kept yet."""
        reached: dict[Digest, list[_Candidate]] = {}
        pending = [wanted]
        while pending:
            digest = pending.pop()
            if digest not in reached and digest not in self._kept:
                reached[digest] = list(self._candidates(digest, live=live, known=known))
                pending.extend(source for each in reached[digest] for source in each.inputs)
        return reached

    def _candidates(self, digest: Digest, *, live: bool, known: bool) -> Iterator[_Candidate]:
        for representation, placements in self._sections.get(digest, {}).items():
            usable = [p for p in placements if not live or self._is_live(p)]
            if not _complete(representation, usable):
                continue
            if not known or self._knows(representation):
                yield _Candidate(representation, tuple(usable))

    def _best(self, candidates: Sequence[_Candidate]) -> Kept | None:
        """The least deep of those whose inputs are all kept; of several the first."""
        usable = (self._with_depth(candidate) for candidate in candidates)
        return min((k for k in usable if k is not None), key=lambda kept: kept.depth, default=None)

    def _with_depth(self, candidate: _Candidate) -> Kept | None:
        inputs = [self._kept.get(digest) for digest in candidate.inputs]
        depth = max((1 + kept.depth for kept in inputs if kept is not None), default=0)
        if None in inputs or depth > MAX_DEPTH or self._misfit(candidate.representation):
            return None
        return Kept(candidate.representation, candidate.placements, depth)

    def _misfit(self, how: Representation) -> str:
        """What is wrong with how an input is seen, or an empty text; all inputs are kept."""
        for source in how.inputs:
            have = self._kept[source.digest].representation
            if how.kind is not Kind.TENSOR or have.kind is not Kind.TENSOR:
                return f"{source.digest} is an input, and not both are tensors"
            problem = view_problem(source, tensor_spec(have), tensor_spec(how))
            if problem:
                return f"its input {source.digest}: {problem}"
        return ""

    def _is_live(self, placement: Placement) -> bool:
        return self._live is None or placement.pack in self._live

    def _knows(self, representation: Representation) -> bool:
        """Whether this version has the codec; what has none left is refused where it is decoded."""
        if representation.kind is Kind.BLOB:
            return True
        if representation.codec not in self._known:
            self._known[representation.codec] = _has_codec(representation.codec)
        return self._known[representation.codec]

    def _refusal(self, digest: Digest, path: tuple[Digest, ...]) -> DeltastoreError:
        """Why a digest cannot be rebuilt: what is wrong with the first complete representation."""
        if digest in path or len(path) > MAX_DEPTH:
            return CorruptError(f"{digest}: its inputs go round in a circle or too deep")
        choices = self._sections.get(digest, {})
        complete = next((r for r, placements in choices.items() if _complete(r, placements)), None)
        if complete is None:
            reason = "some of its blocks are in no section" if choices else "no section is known"
            return MissingObjectError(f"{digest}: {reason}", hint="deltastore fsck")
        for source in complete.inputs:
            if self.get(source.digest) is None:
                return self._refusal(source.digest, (*path, digest))
        misfit = self._misfit(complete)
        if misfit:
            return CorruptError(f"{digest}: {misfit}")
        return CorruptError(f"{digest}: more than {MAX_DEPTH} steps from a keyframe")

    def needed(self, digests: Iterable[Digest]) -> Iterator[Kept]:
        """The representations of digests and of all their inputs, inputs first, each once."""
        seen: set[Digest] = set()
        for digest in digests:
            yield from self._needed(digest, seen)

    def sections(self, digests: Iterable[Digest]) -> Iterator[Placement]:
        """The sections that digests are read from, inputs first, each once.

        What is on the shelf is not read; what cannot be rebuilt is left out: whoever reads it is
        told.
        """
        seen: set[Digest] = set()
        for digest in digests:
            if self.get(digest) is not None:
                for kept in self._needed(digest, seen, beyond_shelf=True):
                    yield from (placement for placement, _ in cover(kept.placements))

    def on_shelf(self, digest: Digest) -> bool:
        """Whether a tensor is at hand, so that neither it nor its inputs are read."""
        how = self[digest].representation
        return how.kind is Kind.TENSOR and self.shelf.has(digest, how.dtype, how.shape)

    def _needed(
        self, digest: Digest, seen: set[Digest], *, beyond_shelf: bool = False
    ) -> Iterator[Kept]:
        if digest in seen or (beyond_shelf and self.on_shelf(digest)):
            return
        seen.add(digest)
        kept = self[digest]
        for source in kept.representation.inputs:
            yield from self._needed(source.digest, seen, beyond_shelf=beyond_shelf)
        yield kept


def _has_codec(name: str) -> bool:
    if name in CODECS:
        return True
    try:
        codec_named(name)
    except UnsupportedError:
        return False
    return True


def _complete(representation: Representation, placements: Iterable[Placement]) -> bool:
    """Whether sections hold all blocks; without any there is nothing that says how to decode."""
    spans = sorted((p.record.first_block, p.record.block_count) for p in placements)
    reached = 0
    for first, count in spans:
        if first > reached:
            return False
        reached = max(reached, first + count)
    return bool(spans) and reached >= representation.blocks
