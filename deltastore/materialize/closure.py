"""What one version needs, by digest: each thing's representation and the sections that hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.errors import CorruptError, MissingObjectError, UnsupportedError
from deltastore.storage.records import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deltastore.ids import Digest
    from deltastore.storage.records import Placement, Representation

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


class Closure:
    """Representations by digest; of several for one digest the first complete one is used.

    Args:
        placements: of tensors and blobs, in order of preference, from locators.
    """

    def __init__(self, placements: Iterable[Placement]) -> None:
        self._sections: dict[Digest, dict[Representation, list[Placement]]] = {}
        for placement in placements:
            if placement.record.kind in (Kind.TENSOR, Kind.BLOB):
                choices = self._sections.setdefault(placement.record.digest, {})
                choices.setdefault(placement.record.representation, []).append(placement)
        self._kept: dict[Digest, Kept] = {}

    def __contains__(self, digest: Digest) -> bool:
        return digest in self._sections

    def __getitem__(self, digest: Digest) -> Kept:
        """The representation to use.

        Raises:
            MissingObjectError: none is complete, inputs included.
            CorruptError: the inputs go round in a circle, or deeper than 8 steps.
            UnsupportedError: an input is seen through a view of its rows.
        """
        return self._resolve(digest, ())

    def _resolve(self, digest: Digest, path: tuple[Digest, ...]) -> Kept:
        known = self._kept.get(digest)
        if known is not None:
            return known
        if digest in path or len(path) > MAX_DEPTH:
            raise CorruptError(f"{digest}: its inputs go round in a circle or too deep")
        reasons: list[str] = []
        for representation, placements in self._sections.get(digest, {}).items():
            if not _complete(representation, placements):
                reasons.append("some of its blocks are in no section")
                continue
            kept = self._keep(representation, tuple(placements), (*path, digest))
            self._kept[digest] = kept
            return kept
        reason = reasons[0] if reasons else "no section is known for it"
        raise MissingObjectError(f"{digest}: {reason}")

    def _keep(
        self,
        representation: Representation,
        placements: tuple[Placement, ...],
        path: tuple[Digest, ...],
    ) -> Kept:
        depth = 0
        for source in representation.inputs:
            if source.rows is not None:
                raise UnsupportedError(
                    f"{representation.digest} is kept against some rows of another tensor",
                    hint="a newer deltastore can read it",
                )
            depth = max(depth, 1 + self._resolve(source.digest, path).depth)
        if depth > MAX_DEPTH:
            raise CorruptError(f"{representation.digest}: {depth} steps from a keyframe")
        return Kept(representation, placements, depth)

    def needed(self, digests: Iterable[Digest]) -> Iterator[Kept]:
        """The representations of digests and of all their inputs, inputs first, each once."""
        seen: set[Digest] = set()
        for digest in digests:
            yield from self._needed(digest, seen)

    def _needed(self, digest: Digest, seen: set[Digest]) -> Iterator[Kept]:
        if digest in seen:
            return
        seen.add(digest)
        kept = self[digest]
        for source in kept.representation.inputs:
            yield from self._needed(source.digest, seen)
        yield kept


def _complete(representation: Representation, placements: Iterable[Placement]) -> bool:
    reached = 0
    spans = sorted((p.record.first_block, p.record.block_count) for p in placements)
    for first, count in spans:
        if first > reached:
            return False
        reached = max(reached, first + count)
    return reached >= representation.blocks
