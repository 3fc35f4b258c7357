"""Samples of a new version's tensors: what bases are found by."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltastore.ingest.likeness import dense_bits, sample_source, transposed_source
from deltastore.specs import DTYPES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from deltastore.catalog.answers import SketchRow
    from deltastore.checkpoints.source import SourceFile
    from deltastore.ingest.likeness import Sample
    from deltastore.ingest.matching import Place
    from deltastore.specs import TensorSpec

__all__ = ["SampledSource"]

PROBES = 6
"""Tensors by which many candidates are told apart."""

SMALL = 0.5
"""Share of a small tensor that a delta against one of the same name saves, about."""


@dataclass(frozen=True, slots=True)
class SampledSource:
    """Samples of the tensors of a source that are large enough, by place.

    Attributes:
        samples: plain ones.
        specs: of all tensors.
        files: what more samples can be taken from; empty where these are enough.
    """

    samples: Mapping[Place, Sample] = field(default_factory=dict)
    specs: Mapping[Place, TensorSpec] = field(default_factory=dict)
    files: Sequence[SourceFile] = ()

    @classmethod
    def of(cls, files: Iterable[SourceFile]) -> SampledSource:
        """Sample every safetensors file; they are closed again."""
        samples, specs, opened = {}, {}, tuple(files)
        for file in opened:
            with file:
                for entry in file.header.in_offset_order() if file.header else ():
                    place = (file.path, entry.spec.name)
                    specs[place] = entry.spec
                    found = sample_source(file, entry)
                    if found is not None:
                        samples[place] = found
        return cls(samples, specs, opened)

    def turned(self, places: Collection[Place]) -> Mapping[Place, Sample]:
        """Samples of some matrices seen transposed; of a file far away there are none.

        Args:
            places: where the matrices are.
        """
        found = {}
        for file in self.files if places else ():
            with file:
                for entry in file.header.tensors if file.header and not file.far else ():
                    place = (file.path, entry.spec.name)
                    sample = transposed_source(file, entry) if place in places else None
                    if sample is not None:
                        found[place] = sample
        return found

    @property
    def shapes(self) -> Mapping[tuple[int, ...], int]:
        """How many sampled tensors have each shape."""
        return Counter(sample.shape for sample in self.samples.values())

    @property
    def dense_bytes(self) -> float:
        """Of all tensors kept whole, about."""
        return sum(s.size * dense_bits(DTYPES[s.dtype]) / 8 for s in self.specs.values())

    def saved_small(self, rows: Iterable[SketchRow]) -> float:
        """Bits that tensors too small for samples would save against those of their names, about.

        One by one they are little, but a version of other names has none of them: between two that
        have the same weights this decides.
        """
        names = {(row.name, row.shape) for row in rows}
        return sum(
            SMALL * spec.size * dense_bits(DTYPES[spec.dtype])
            for place, spec in self.specs.items()
            if place not in self.samples and (spec.name, spec.shape) in names
        )

    def probes(self) -> SampledSource:
        """A few tensors, of as many shapes as there are, from all over the model."""
        groups: defaultdict[tuple[int, ...], list[Place]] = defaultdict(list)
        for place, sample in self.samples.items():
            groups[sample.shape].append(place)
        turns = sorted(groups.values(), key=lambda places: -len(places))
        chosen: dict[Place, Sample] = {}
        for turn in range(PROBES):
            for places in turns:
                if len(chosen) < PROBES and turn < len(places):
                    place = places[(turn + 1) * len(places) // (PROBES + 1)]
                    chosen.setdefault(place, self.samples[place])
        return SampledSource(chosen, {place: self.specs[place] for place in chosen})
