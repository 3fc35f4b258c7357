"""How often the right base is found among real models, what it saves, and how long it takes.

Usage: python -m benchmarks.zoo [--tunes 8] [--cache DIR]

Six bases (see benchmarks/proofs/zoo_models.py), fine-tunes of each, averages and float32 versions
of some are trained where the cache lacks them, and committed with `base="auto"`. Before each commit
all stored versions are tried as its reference: by some tensors, the best three and the chosen one
by all. The choice is right when its tensors take at most 2 % more bytes than against the best of
them; no base is right when the best saves less than 7 %. 1 is returned when less than 99 % are
right, or looking for bases takes 10 % of the time of all commits or more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from unittest.mock import patch

import deltastore
from benchmarks.proofs.references import Trials
from deltastore.ids import CommitId, Digest
from deltastore.ingest import committing
from deltastore.ingest.basing import choose_base

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.proofs.references import Found
    from deltastore import Store
    from deltastore.checkpoints.source import TensorSource
    from deltastore.ingest.basing import Based
    from deltastore.ingest.detecting import SketchIndex
    from deltastore.ingest.requests import Indexer, Request
    from deltastore.materialize.session import Session
    from deltastore.results import Commit

CACHE = Path("demo/.cache")
RIGHT_SHARE = 0.99
TIME_SHARE = 0.1
NEAR = 1.02
"""Bytes over those of the best reference that are still right."""

WORTH = 0.93
"""Bytes under those of a whole copy, above which no base is right too."""

NOTHING = 16 << 10
"""Bytes that two choices may always differ by: 0.04 % of one of these models."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one commit.

    Attributes:
        looking: for a base.
        following: of bringing the catalog up to date, which a commit with a named base does too.
        whole: of everything.
    """

    looking: float
    following: float
    whole: float


@dataclass(frozen=True, slots=True)
class Judged:
    """One commit: what was chosen, and what might have been.

    Attributes:
        name: of the version.
        chosen: name of the base, or None.
        best: name of the best reference, or None.
        nbytes: of the tensors, against the chosen one.
        found: by trying all.
        commit: what it returned.
        times: it took.
    """

    name: str
    chosen: str | None
    best: str | None
    nbytes: int
    found: Found
    commit: Commit
    times: Times

    @property
    def right(self) -> bool:
        """Whether nothing was lost."""
        if self.chosen is None and self.found.least > WORTH * self.found.whole:
            return True
        return self.nbytes <= NEAR * self.found.least + NOTHING

    @property
    def foreseen(self) -> float | None:
        """Predicted ratio over the realised one; None without a base that was found."""
        base = self.commit.found_base
        if base is None or base.ratio is None:
            return None
        return base.predicted_ratio / base.ratio


@dataclass(frozen=True, slots=True)
class Verdict:
    """The sums of a whole zoo."""

    judged: Sequence[Judged]

    @property
    def right(self) -> float:
        """Share of right choices."""
        return sum(each.right for each in self.judged) / len(self.judged)

    @property
    def time_share(self) -> float:
        """Seconds of looking for bases over those of committing."""
        return self._looking / self._seconds

    @property
    def time_share_following(self) -> float:
        """The same, with bringing the catalog up to date."""
        following = sum(each.times.following for each in self.judged)
        return (self._looking + following) / self._seconds

    @property
    def _looking(self) -> float:
        return sum(each.times.looking for each in self.judged)

    @property
    def _seconds(self) -> float:
        return sum(each.times.whole for each in self.judged)

    @property
    def passed(self) -> bool:
        """Whether it is good enough."""
        return self.right >= RIGHT_SHARE and self.time_share < TIME_SHARE


class _Clock:
    """Stands for `choose_base`, and times it."""

    def __init__(self) -> None:
        self.looking = self.following = 0.0

    def __call__(
        self, session: Session, request: Request, parent: CommitId | None, source: TensorSource
    ) -> Based:
        began = time.perf_counter()
        timed = replace(request, index=partial(self._index, request.index))
        found = choose_base(session, timed, parent, source)
        self.looking = time.perf_counter() - began - self.following
        return found

    def _index(self, index: Indexer, *, look: bool) -> SketchIndex | None:
        began = time.perf_counter()
        found = index(look=look)
        self.following = time.perf_counter() - began
        return found


def judged(url: Path, folder: Path, versions: Sequence[tuple[str, Path]]) -> Iterator[Judged]:
    """Commit versions to a new store one after the other, and judge the base of each but the first.

    Args:
        url: of the store, made here.
        folder: for caches.
        versions: name and safetensors file of each.
    """
    with deltastore.init(url, cache=folder / "cache") as store:
        trials = Trials(deltastore.open(url, cache=folder / "other"))
        names: dict[str | None, str | None] = {None: None}
        for name, weights in versions:
            trial = trials.of(weights)
            done, times = _committed(store, name, weights)
            found = trial.found(done.base)
            nbytes = found.sizes[CommitId(Digest(done.base))] if done.base else found.whole
            if len(names) > 1:
                best = names[found.best]
                yield Judged(name, names[done.base], best, nbytes, found, done, times)
            trials.stored(weights, done.commit)
            names[done.commit] = name


def _committed(store: Store, name: str, weights: Path) -> tuple[Commit, Times]:
    """Commit one version."""
    clock = _Clock()
    with patch.object(committing, "choose_base", clock):
        began = time.perf_counter()
        done = store.commit(weights, to=f"zoo/{name}", message=name, base="auto")
        return done, Times(clock.looking, clock.following, time.perf_counter() - began)


def table(judgements: Sequence[Judged]) -> str:
    """Every choice, in Markdown."""
    names = "version|base|best|MB of tensors|against the best|alone|predicted / realised|s"
    columns = [*names.split("|"), "looking", "following"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [_row(each) for each in judgements]
    return "\n".join(lines)


def _row(each: Judged) -> str:
    sizes = (each.nbytes, each.found.least, each.found.whole)
    cells = [
        each.name,
        each.chosen or "none",
        each.best or "none",
        *(f"{size / 1e6:.3f}" for size in sizes),
        f"{each.foreseen:.2f}" if each.foreseen else "",
        f"{each.times.whole:.2f}",
        f"{each.times.looking:.3f}",
        f"{each.times.following:.3f}",
    ]
    return f"| {' | '.join(cells)} |{'' if each.right else ' WRONG'}"


def summary(verdict: Verdict) -> str:
    """What it comes to."""
    right = sum(each.right for each in verdict.judged)
    ratios = [each.foreseen for each in verdict.judged if each.foreseen]
    looking = median(each.times.looking for each in verdict.judged)
    parts = [
        f"{right} of {len(verdict.judged)} right ({verdict.right:.1%}, at least {RIGHT_SHARE:.0%})",
        f"predicted ratio / realised ratio: median {median(ratios):.2f}" if ratios else "",
        f"looking for bases: {verdict.time_share:.1%} of the commits' time, median {looking:.2f} s",
        f"(under {TIME_SHARE:.0%}); with bringing the catalog up to date, as every commit does:",
        f"{verdict.time_share_following:.1%}",
        *map(_complaint, (each for each in verdict.judged if not each.right)),
    ]
    return "\n".join(part for part in parts if part)


def _complaint(each: Judged) -> str:
    found = each.commit.found_base
    reason = found.reason if found else "nothing was near"
    return f"WRONG: {each.name}: {each.chosen or 'none'} ({reason}); better: {each.best or 'none'}"


def main(arguments: list[str]) -> int:
    """The program; 1 when bases are not found well enough or fast enough."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tunes", type=int, default=8)
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args(arguments)
    from benchmarks.proofs.zoo_models import build_zoo  # noqa: PLC0415 - needs what the demo needs

    bases, rest = build_zoo(options.cache, options.tunes)
    versions = [(each.name, each.weights) for each in (*bases, *rest)]
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for each in judged(Path(folder) / "store", Path(folder), versions):
            found.append(each)
            print(table([each]).splitlines()[-1], flush=True)
    verdict = Verdict(found)
    print(summary(verdict))
    return 0 if verdict.passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
