"""Finding what a new version was fine-tuned from: shapes first, then sketches of the content.

Commits of the same shapes are ranked by a few tensors, the best of them by all; what is estimated
is how many bytes the deltas would take, so the nearest version wins, whatever its tensors are
called, which precision they have and which way round they are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from deltastore.ingest.likeness import delta_bits, dense_bits, sample_source, stored_sample
from deltastore.specs import DTYPES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from deltastore.catalog.answers import CandidateRow, SketchRow
    from deltastore.checkpoints.source import SourceFile
    from deltastore.ids import CommitId
    from deltastore.ingest.likeness import Sample
    from deltastore.specs import TensorSpec

__all__ = ["Likeness", "Match", "SampledSource", "SketchIndex", "find_bases", "likeness"]

Place = tuple[str, str]
"""Path of a file and name of a tensor."""

PROBES = 6
"""Tensors by which many candidates are told apart."""

FINALISTS = 10

POOR = 0.7
"""Of the dense size: a tensor of the same name that is no closer may have another counterpart."""

WORTH = 0.93
"""Of the dense size: a base must predict less, or there is none."""


class SketchIndex(Protocol):
    """What is asked of the catalog."""

    def candidates(
        self, shapes: Mapping[tuple[int, ...], int], *, share: float = 0.5, limit: int = 4096
    ) -> Sequence[CandidateRow]:
        """Commits that share shapes, most elements first."""
        ...

    def sketches(
        self, commits: Sequence[CommitId], shapes: Mapping[tuple[int, ...], int] | None = None
    ) -> Sequence[SketchRow]:
        """Tensors of some commits with their sketches."""
        ...


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


@dataclass(frozen=True, slots=True)
class Likeness:
    """How close a stored version is to a new one.

    Attributes:
        commit: the stored one.
        predicted_bytes: of deltas against it, and of what has no counterpart, about.
        dense_bytes: of everything kept whole, about.
        matches: by place in the new version.
        tensors: of the new version that were compared.
        same: every sample is equal, under the same names.
        considered: versions that were compared.
    """

    commit: CommitId
    predicted_bytes: float
    dense_bytes: float
    matches: Mapping[Place, Match]
    tensors: int
    same: bool
    considered: int = 1

    @property
    def reason(self) -> str:
        """Why it was chosen, for people."""
        renamed = sum(not match.named for match in self.matches.values())
        turned = sum(match.turned for match in self.matches.values())
        how = f"{len(self.matches)} of {self.tensors} tensors are close"
        more = [f"{renamed} under other names"] * bool(renamed)
        more += [f"{turned} transposed"] * bool(turned)
        versions = "versions" if self.considered > 1 else "version"
        extra = f" ({', '.join(more)})" if more else ""
        return f"nearest of {self.considered} {versions}: {how}{extra}"


@dataclass(frozen=True, slots=True)
class SampledSource:
    """Samples of the tensors of a source that are large enough, by place."""

    samples: Mapping[Place, Sample] = field(default_factory=dict)
    specs: Mapping[Place, TensorSpec] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Iterable[SourceFile]) -> SampledSource:
        """Sample every safetensors file; they are closed again."""
        samples, specs = {}, {}
        for file in files:
            with file:
                for entry in file.header.in_offset_order() if file.header else ():
                    place = (file.path, entry.spec.name)
                    specs[place] = entry.spec
                    found = sample_source(file, entry)
                    if found is not None:
                        samples[place] = found
        return cls(samples, specs)

    @property
    def shapes(self) -> Mapping[tuple[int, ...], int]:
        """How many sampled tensors have each shape."""
        return Counter(sample.shape for sample in self.samples.values())

    @property
    def dense_bytes(self) -> float:
        """Of all tensors kept whole, about."""
        return sum(s.size * dense_bits(DTYPES[s.dtype]) / 8 for s in self.specs.values())

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


def find_bases(
    source: SampledSource, index: SketchIndex, *, without: Collection[CommitId] = ()
) -> list[Likeness]:
    """Stored versions that deltas of a source would be small against, best first.

    Args:
        source: the new version.
        index: of the store.
        without: commits that are not to be considered.

    Returns:
        Empty where nothing is closer than a whole copy.
    """
    rows = [row for row in index.candidates(source.shapes) if row.commit not in without]
    commits = [row.commit for row in rows]
    if len(commits) > FINALISTS:
        probes = source.probes()
        ranked = _ranked(probes, index.sketches(commits, probes.shapes), commits)
        finalists = [each.commit for each in ranked[:FINALISTS]]
    else:
        finalists = commits
    found = _ranked(source, index.sketches(finalists), finalists, considered=len(commits))
    return [each for each in found if each.predicted_bytes < WORTH * each.dense_bytes]


def _ranked(
    source: SampledSource,
    rows: Iterable[SketchRow],
    commits: Sequence[CommitId],
    *,
    considered: int = 1,
) -> list[Likeness]:
    """Of equals the oldest comes first; `commits` are newest first."""
    groups: defaultdict[CommitId, list[SketchRow]] = defaultdict(list)
    for row in rows:
        groups[row.commit].append(row)
    memory: dict[object, float] = {}
    found = [likeness(source, c, groups[c], considered, memory) for c in reversed(commits)]
    return sorted(found, key=lambda each: each.predicted_bytes)


def likeness(
    source: SampledSource,
    commit: CommitId,
    rows: Sequence[SketchRow],
    considered: int = 1,
    memory: dict[object, float] | None = None,
) -> Likeness:
    """How close one stored version is.

    Args:
        source: the new version.
        commit: the stored one.
        rows: its tensors.
        considered: versions that are compared.
        memory: estimates already made, by place and digest: versions share tensors.
    """
    matches = _named(source, rows, {} if memory is None else memory)
    _by_content(source, rows, matches)
    saved = sum(
        source.specs[place].size * (dense_bits(DTYPES[source.specs[place].dtype]) - match.bits)
        for place, match in matches.items()
    )
    dense = source.dense_bytes
    same = len(matches) == len(source.samples) and all(match.equal for match in matches.values())
    predicted = max(0.0, dense - saved / 8)
    return Likeness(commit, predicted, dense, matches, len(source.samples), same, considered)


def _named(
    source: SampledSource, rows: Sequence[SketchRow], memory: dict[object, float]
) -> dict[Place, Match]:
    """Counterparts of the same name, in the file of the same path first."""
    by_place = {(row.path, row.name): row for row in rows}
    by_name = {row.name: row for row in reversed(rows)}
    found: dict[Place, Match] = {}
    for place, sample in source.samples.items():
        row = by_place.get(place) or by_name.get(place[1])
        if row is None:
            continue
        key = (place, row.digest)
        if key not in memory:
            stored = stored_sample(row.dtype, row.shape, row.plain, row.turned)
            memory[key] = float(delta_bits(sample, [stored])[0]) if stored else float("inf")
        if memory[key] < dense_bits(sample.dtype):
            form = (row.dtype, row.shape) == (sample.dtype.name, sample.shape)
            equal = form and memory[key] == 0
            found[place] = Match((row.path, row.name), memory[key], equal=equal)
    return found


def _by_content(
    source: SampledSource, rows: Sequence[SketchRow], matches: dict[Place, Match]
) -> None:
    """Counterparts under other names, or transposed, where names brought nothing good."""
    wanted = [
        place
        for place, sample in source.samples.items()
        if place not in matches or matches[place].bits > POOR * dense_bits(sample.dtype)
    ]
    taken = {match.place for place, match in matches.items() if place not in wanted}
    groups: defaultdict[tuple[str, tuple[int, ...]], list[tuple[Place, Sample]]] = defaultdict(list)
    for row in rows if wanted else ():
        stored = stored_sample(row.dtype, row.shape, row.plain, row.turned)
        if stored is not None and (row.path, row.name) not in taken:
            groups[row.dtype, row.shape].append(((row.path, row.name), stored))
    offers = sorted(
        (offer for place in wanted for offer in _offers(place, source.samples[place], groups)),
        key=lambda offer: offer[1].bits,
    )
    settled: set[Place] = set()
    for place, match in offers:
        if place in settled or match.place in taken:
            continue
        settled.add(place)
        taken.add(match.place)
        if place not in matches or match.bits < matches[place].bits:
            matches[place] = match


def _offers(
    place: Place,
    sample: Sample,
    groups: Mapping[tuple[str, tuple[int, ...]], Sequence[tuple[Place, Sample]]],
) -> Iterable[tuple[Place, Match]]:
    """Stored tensors that a new one is clearly closer to than a whole copy is."""
    for (_, shape), members in groups.items():
        for turned in (False, True):
            if (shape[::-1] if turned else shape) != sample.shape:
                continue
            estimates = delta_bits(sample, [stored for _, stored in members], turned=turned)
            for (other, _), bits in zip(members, estimates, strict=True):
                if bits < POOR * dense_bits(sample.dtype):
                    named = other[1] == place[1]
                    yield place, Match(other, float(bits), turned=turned, named=named)
