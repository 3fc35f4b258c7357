"""Which tensors of a stored version stand for those of a new one: by name, else by content."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from deltastore.ingest.likeness import delta_bits, dense_bits, stacked, stored_sample

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from deltastore.catalog.answers import SketchRow
    from deltastore.ids import Digest
    from deltastore.ingest.likeness import Sample, Stack

__all__ = [
    "Estimates",
    "Match",
    "Partners",
    "Place",
    "add_by_content",
    "by_name",
    "partners",
    "refine",
    "unsettled",
]

Place: TypeAlias = tuple[str, str]
"""Path of a file and name of a tensor."""

Partners: TypeAlias = "Mapping[Place, SketchRow]"
"""Tensors of a stored version by the places of those that have their names."""

POOR = 0.7
"""Of the dense size: a tensor of the same name that is no closer may have another counterpart."""


@dataclass(frozen=True, slots=True)
class Match:
    """The stored tensor that stands for a new one.

    Attributes:
        place: where the stored version has it.
        bits: per element, predicted.
        turned: it is to be seen transposed.
        named: it was found by its name.
        equal: dtype, shape and all samples are.
    """

    place: Place
    bits: float
    turned: bool = False
    named: bool = True
    equal: bool = False


def partners(samples: Mapping[Place, Sample], rows: Sequence[SketchRow]) -> Partners:
    """Tensors of the same names, in the file of the same path first.

    Args:
        samples: of the new version.
        rows: tensors of one stored version.
    """
    by_place = {(row.path, row.name): row for row in rows}
    by_name = {row.name: row for row in reversed(rows)}
    found = ((place, by_place.get(place) or by_name.get(place[1])) for place in samples)
    return {place: row for place, row in found if row is not None}


class Estimates:
    """Deltas of tensors of a new version against stored ones; versions share tensors.

    Args:
        samples: of the new version.
    """

    def __init__(self, samples: Mapping[Place, Sample]) -> None:
        self._samples = samples
        self._named: dict[tuple[Place, Digest], float] = {}
        self._offers: dict[Place, dict[tuple[Digest, bool], float]] = {}
        self._forms: list[tuple[list[Digest], Stack]] = []

    def compare(self, versions: Iterable[Partners]) -> None:
        """Compare with the partners in some versions.

        Args:
            versions: partners in each.
        """
        groups: defaultdict[Place, dict[Digest, SketchRow]] = defaultdict(dict)
        for found in versions:
            for place, row in found.items():
                groups[place][row.digest] = row
        for place, rows in groups.items():
            for digests, stack in _stacks(rows.values()):
                bits = delta_bits(self._samples[place], stack).tolist()
                self._named.update(zip(((place, d) for d in digests), bits, strict=True))

    def gather(self, rows: Iterable[SketchRow]) -> None:
        """Take stored tensors among those that are compared with any of the same shape."""
        self._forms = list(_stacks({row.digest: row for row in rows}.values()))

    def named(self, place: Place, digest: Digest) -> float:
        """Bits per element against a partner; infinity where the two cannot be compared."""
        return self._named.get((place, digest), float("inf"))

    def offers(self, place: Place) -> Mapping[tuple[Digest, bool], float]:
        """Bits per element against gathered tensors, by digest and whether seen transposed.

        Only of those that are clearly better than a whole copy.
        """
        if place not in self._offers:
            self._offers[place] = dict(self._found(self._samples[place]))
        return self._offers[place]

    def _found(self, sample: Sample) -> Iterator[tuple[tuple[Digest, bool], float]]:
        most = POOR * dense_bits(sample.dtype)
        for digests, stack in self._forms:
            for turned in (False, True):
                if (stack.shape[::-1] if turned else stack.shape) == sample.shape:
                    bits = delta_bits(sample, stack, turned=turned)
                    near = np.flatnonzero(bits < most).tolist()
                    yield from (((digests[at], turned), float(bits[at])) for at in near)


def _stacks(rows: Iterable[SketchRow]) -> Iterator[tuple[list[Digest], Stack]]:
    """Stored tensors by dtype and shape; those without a usable sketch are left out."""
    forms: defaultdict[tuple[str, tuple[int, ...], int], list[tuple[Digest, Sample]]]
    forms = defaultdict(list)
    for row in rows:
        sample = stored_sample(row.dtype, row.shape, row.plain, row.turned)
        if sample is not None:
            forms[row.dtype, row.shape, len(sample.turned)].append((row.digest, sample))
    for members in forms.values():
        yield [digest for digest, _ in members], stacked([sample for _, sample in members])


def by_name(
    samples: Mapping[Place, Sample], found: Partners, estimates: Estimates
) -> dict[Place, Match]:
    """The partners that are closer than a whole copy.

    Args:
        samples: of the new version.
        found: partners in a stored one.
        estimates: compared with them.
    """
    matches = {}
    for place, row in found.items():
        sample, bits = samples[place], estimates.named(place, row.digest)
        if bits < dense_bits(sample.dtype):
            form = (row.dtype, row.shape) == (sample.dtype.name, sample.shape)
            matches[place] = Match((row.path, row.name), bits, equal=form and bits == 0)
    return matches


def unsettled(
    samples: Mapping[Place, Sample], matches: Mapping[Place, Match]
) -> Mapping[Place, None]:
    """Places for which names brought nothing good, in order.

    Args:
        samples: of the new version.
        matches: by name.
    """
    return {
        place: None
        for place, sample in samples.items()
        if place not in matches or matches[place].bits > POOR * dense_bits(sample.dtype)
    }


def add_by_content(
    wanted: Collection[Place],
    rows: Sequence[SketchRow],
    estimates: Estimates,
    matches: dict[Place, Match],
) -> None:
    """Counterparts under other names, or transposed.

    Args:
        wanted: places of the new version.
        rows: tensors of a stored one.
        estimates: which gathered these.
        matches: by name; added to.
    """
    taken = {match.place for place, match in matches.items() if place not in wanted}
    settled: set[Place] = set()
    for place, match in _offered(wanted, rows, estimates):
        if place in settled or match.place in taken:
            continue
        settled.add(place)
        taken.add(match.place)
        if place not in matches or match.bits < matches[place].bits:
            matches[place] = match


def _offered(
    wanted: Collection[Place], rows: Sequence[SketchRow], estimates: Estimates
) -> list[tuple[Place, Match]]:
    """Pairs of a new tensor and one of these rows, closest first."""
    holders: defaultdict[Digest, list[Place]] = defaultdict(list)
    for row in rows:
        holders[row.digest].append((row.path, row.name))
    offers = [
        (place, Match(other, bits, turned=turned, named=other[1] == place[1]))
        for place in wanted
        for (digest, turned), bits in estimates.offers(place).items()
        for other in holders.get(digest, ())
    ]
    return sorted(offers, key=_preference)


def refine(
    matches: dict[Place, Match], rows: Sequence[SketchRow], turned: Mapping[Place, Sample]
) -> None:
    """Estimate transposed counterparts again, from as many words as others.

    Args:
        matches: in a stored version; replaced where more is known.
        rows: its tensors.
        turned: samples of transposed tensors of the new version, by place.
    """
    stored = {(row.path, row.name): row for row in rows}
    for place, match in matches.items():
        row = stored[match.place] if match.turned and place in turned else None
        for _, stack in _stacks([] if row is None else [row]):
            bits = float(delta_bits(turned[place], stack)[0])
            matches[place] = replace(match, bits=bits)


def _preference(offer: tuple[Place, Match]) -> tuple[float, bool, Place, Place]:
    """Of equals one of the same name comes first; the rest makes the order a definite one."""
    place, match = offer
    return match.bits, not match.named, place, match.place
