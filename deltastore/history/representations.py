"""Which stored forms of which digests there are, and in which packs: what the invariant looks at.

A representation here is reduced to what decides whether bytes can be rebuilt: the digests it takes
and the sections that hold its blocks (format-v1, section 7).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from deltastore.ids import Digest
    from deltastore.storage.records import PackId, Placement

__all__ = ["PlacedRepresentation", "PlacedSection", "by_digest", "placed"]


@dataclass(frozen=True, slots=True)
class PlacedSection:
    """Some consecutive blocks, and the pack they are in.

    Attributes:
        pack: its id.
        first: number of the first block.
        count: blocks in the section.
    """

    pack: PackId
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class PlacedRepresentation:
    """One way in which a store keeps one digest.

    Attributes:
        digest: of the tensor or blob.
        inputs: digests that must be rebuilt first.
        blocks: blocks of the whole thing; 0 for an empty one.
        sections: where blocks are; several may hold the same ones.
    """

    digest: Digest
    inputs: tuple[Digest, ...]
    blocks: int
    sections: tuple[PlacedSection, ...]

    def covering(self, live: Container[PackId]) -> tuple[PackId, ...] | None:
        """Live packs that together hold all blocks, or None.

        A thing without blocks still needs one section: its record is what says how it is kept.
        """
        packs: list[PackId] = []
        reached = 0
        for section in self._ordered():
            if section.pack not in live or section.first > reached:
                continue
            if section.first + section.count > reached or not packs:
                packs.append(section.pack)
                reached = max(reached, section.first + section.count)
        return tuple(dict.fromkeys(packs)) if packs and reached >= self.blocks else None

    def _ordered(self) -> list[PlacedSection]:
        return sorted(self.sections, key=lambda section: (section.first, -section.count))


def placed(placements: Iterable[Placement]) -> tuple[PlacedRepresentation, ...]:
    """The representations that sections add up to, in order of digest.

    Sections belong together when digest, codec, parameters and inputs are the same.
    """

    def key(placement: Placement) -> tuple[object, ...]:
        record = placement.record
        inputs = tuple((each.digest, each.rows or (), each.transposed) for each in record.inputs)
        return (record.digest, record.codec, record.parameters, inputs, record.blocks)

    groups = groupby(sorted(placements, key=key), key=key)
    return tuple(_representation(list(group)) for _, group in groups)


def _representation(placements: list[Placement]) -> PlacedRepresentation:
    record = placements[0].record
    sections = (
        PlacedSection(each.pack, each.record.first_block, each.record.block_count)
        for each in placements
    )
    return PlacedRepresentation(
        digest=record.digest,
        inputs=tuple(each.digest for each in record.inputs),
        blocks=record.blocks,
        sections=tuple(dict.fromkeys(sections)),
    )


def by_digest(
    representations: Iterable[PlacedRepresentation],
) -> Mapping[Digest, tuple[PlacedRepresentation, ...]]:
    """All representations of each digest, in the order given."""
    table: dict[Digest, tuple[PlacedRepresentation, ...]] = {}
    for each in representations:
        table[each.digest] = (*table.get(each.digest, ()), each)
    return table
