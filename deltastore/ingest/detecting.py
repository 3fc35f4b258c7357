"""Finding what a new version was fine-tuned from: shapes first, then sketches of the content.

Commits of the same shapes are ranked by a few tensors, the best of them by all; what is estimated
is how many bytes the deltas would take, so the nearest version wins, whatever its tensors are
called, which precision they have and which way round they are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from deltastore.ingest.likeness import dense_bits, sample_source, transposed_source
from deltastore.ingest.matching import (
    Estimates,
    add_by_content,
    by_name,
    partners,
    refine,
    unsettled,
)
from deltastore.specs import DTYPES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from deltastore.catalog.answers import CandidateRow, SketchRow
    from deltastore.checkpoints.source import SourceFile
    from deltastore.ids import CommitId
    from deltastore.ingest.likeness import Sample
    from deltastore.ingest.matching import Match, Place
    from deltastore.specs import TensorSpec

__all__ = ["Likeness", "SampledSource", "SketchIndex", "find_bases", "likeness"]

PROBES = 6
"""Tensors by which many candidates are told apart."""

FINALISTS = 10

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
    named = {commit: partners(source.samples, groups[commit]) for commit in reversed(commits)}
    estimates = Estimates(source.samples)
    estimates.compare(named.values())
    matches = {commit: by_name(source.samples, found, estimates) for commit, found in named.items()}
    wanted = {commit: unsettled(source.samples, found) for commit, found in matches.items()}
    estimates.gather(row for commit, places in wanted.items() if places for row in groups[commit])
    for commit, places in wanted.items():
        add_by_content(places, groups[commit], estimates, matches[commit])
    turned = source.turned({p for found in matches.values() for p, m in found.items() if m.turned})
    for commit, each in matches.items():
        refine(each, groups[commit], turned)
    found = [_likeness(source, commit, each, considered) for commit, each in matches.items()]
    return sorted(found, key=lambda each: each.predicted_bytes)


def likeness(source: SampledSource, commit: CommitId, rows: Sequence[SketchRow]) -> Likeness:
    """How close one stored version is.

    Args:
        source: the new version.
        commit: the stored one.
        rows: its tensors.
    """
    return _ranked(source, rows, [commit])[0]


def _likeness(
    source: SampledSource, commit: CommitId, matches: Mapping[Place, Match], considered: int
) -> Likeness:
    saved = sum(
        source.specs[place].size * (dense_bits(DTYPES[source.specs[place].dtype]) - match.bits)
        for place, match in matches.items()
    )
    dense = source.dense_bytes
    same = len(matches) == len(source.samples) and all(match.equal for match in matches.values())
    predicted = max(0.0, dense - saved / 8)
    return Likeness(commit, predicted, dense, matches, len(source.samples), same, considered)
