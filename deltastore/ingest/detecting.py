"""Finding what a new version was fine-tuned from: shapes first, then sketches of the content.

Commits of the same shapes are ranked by a few tensors, the best of them by all; what is estimated
is how many bytes the deltas would take, so the nearest version wins, whatever its tensors are
called, which precision they have and which way round they are.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from deltastore.ingest.likeness import dense_bits
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
    from deltastore.ids import CommitId
    from deltastore.ingest.matching import Match, Place
    from deltastore.ingest.sampling import SampledSource

__all__ = ["Likeness", "SketchIndex", "find_bases", "likeness"]

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
    found = [
        _likeness(source, commit, groups[commit], each, considered)
        for commit, each in matches.items()
    ]
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
    source: SampledSource,
    commit: CommitId,
    rows: Sequence[SketchRow],
    matches: Mapping[Place, Match],
    considered: int,
) -> Likeness:
    saved = sum(
        source.specs[place].size * (dense_bits(DTYPES[source.specs[place].dtype]) - match.bits)
        for place, match in matches.items()
    )
    dense = source.dense_bytes
    same = len(matches) == len(source.samples) and all(match.equal for match in matches.values())
    predicted = max(0.0, dense - (saved + source.saved_small(rows)) / 8)
    return Likeness(commit, predicted, dense, matches, len(source.samples), same, considered)
