"""Many processes commit to one store at once, while others read from it.

Usage: python -m benchmarks.writers [--writers 8] [--turns 25] [--place disk moto]

First each writer has a branch of its own, then all share one. Afterwards the log must have every
acknowledged commit exactly once, the shared branch must be one line, and no reader may have met a
wrong byte. Then all commit to a branch that must not have moved: one wins, the others are told.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.proofs.auditing import Census, broken_tensors, census, findings
from benchmarks.proofs.racing import Place, Raced, prepare, race, race_expecting
from benchmarks.proofs.servers import fetch, moto_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHARED = "me/shared@main"
BEFORE = 2
"""Entries before the race: the store's first, and the base."""


@contextmanager
def opened_place(where: str) -> Iterator[Place]:
    """An empty place for a store: `disk`, or `moto` for an S3 server."""
    if where == "disk":
        with tempfile.TemporaryDirectory() as folder:
            yield Place(str(Path(folder) / "store"), {})
    else:
        with moto_store() as (url, options):
            yield Place(url, options)


def inspected(place: Place, folder: Path) -> tuple[Census, tuple[str, ...]]:
    """What the store says of itself, read without the library, and what fsck finds wrong."""
    store = fetch(place.url, place.options, folder) if place.options else Path(place.url)
    return census(store), (*findings(store), *broken_tensors(store))


def faults(found: Census, raced: Raced, targets: Sequence[str]) -> list[str]:
    """What is not as it must be after a race."""
    made = [commit for commits in raced.commits for commit in commits]
    wrong = list(raced.wrong)
    if sorted(found.commits[BEFORE - 1 :]) != sorted(made) or len(set(made)) != len(made):
        wrong.append(f"{len(made)} commits acknowledged, {len(found.commits)} in the log")
    if found.entries != BEFORE + len(made):
        wrong.append(f"{found.entries} log entries for {len(made)} commits")
    for target in sorted(set(targets)):
        own = zip(raced.commits, targets, strict=True)
        wrong += _line_faults(found, target, sum(len(c) for c, at in own if at == target))
    if raced.reads == 0:
        wrong.append("nothing was read")
    return wrong + [f"pack {pack} is named and not there" for pack in sorted(found.dangling)]


def _line_faults(found: Census, target: str, expected: int) -> list[str]:
    """Each move of a branch must start where the one before ended."""
    model, _, branch = target.partition("@")
    moves = [move for move in found.moves if move[0] == f"models/{model}/heads/{branch}"]
    wrong = [] if len(moves) == expected else [f"{target} moved {len(moves)} times"]
    tip: str | None = None
    for _, old, new in moves:
        if old != tip:
            wrong.append(f"{target}: {new} does not follow {tip}")
        tip = new
    return wrong


def proof(where: str, targets: Sequence[str], turns: int) -> list[str]:
    """Race in a fresh store, print the figures; what was wrong."""
    with opened_place(where) as place, tempfile.TemporaryDirectory() as folder:
        prepare(place)
        raced = race(place, targets, turns)
        found, damage = inspected(place, Path(folder))
        wrong = [*faults(found, raced, targets), *damage]
        if len(set(targets)) == 1:
            wrong += _history_faults(place, targets[0], len(targets) * turns)
    count = sum(map(len, raced.commits))
    print(
        f"  {where:<5} {len(targets)} writers on {len(set(targets))} branches: {count} commits in "
        f"{raced.seconds:.1f} s, {count / raced.seconds:.1f} entries/s, {raced.reads} reads, "
        f"{len(found.orphans)} packs of lost races, {len(wrong)} faults",
        flush=True,
    )
    return wrong


def _history_faults(place: Place, target: str, count: int) -> list[str]:
    """The history of a shared branch must be one line of all commits."""
    with place.open() as store:
        commits = store.log(target).commits
    linear = all(commit.parents == (older.commit,) for commit, older in pairwise(commits))
    if len(commits) == count and linear and not commits[-1].parents:
        return []
    return [f"{target}: {len(commits)} commits, {'one line' if linear else 'not one line'}"]


def expecting(where: str, writers: int) -> list[str]:
    """All but one writer must be told of a conflict; what was wrong."""
    with opened_place(where) as place, tempfile.TemporaryDirectory() as folder:
        prepare(place)
        made, kinds = race_expecting(place, "me/base", writers)
        found, damage = inspected(place, Path(folder))
    print(f"  {where:<5} {writers} writers with expect: {len(made)} made, {len(kinds)} conflicts")
    right = len(made) == 1 and kinds == ["conflict"] * (writers - 1)
    recorded = list(found.commits[BEFORE - 1 :]) == made
    return list(damage) if right and recorded else [f"{made}, {kinds}, {found.commits}", *damage]


def main(arguments: list[str]) -> int:
    """The program; 1 when something was lost, wrong or doubled."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--turns", type=int, default=25)
    parser.add_argument("--place", nargs="+", default=["disk", "moto"], choices=["disk", "moto"])
    options = parser.parse_args(arguments)
    own = [f"me/own@b{number}" for number in range(options.writers)]
    wrong = []
    for where in options.place:
        wrong += proof(where, own, options.turns)
        wrong += proof(where, [SHARED] * options.writers, options.turns)
        wrong += expecting(where, options.writers)
    for fault in wrong:
        print(f"  FAULT: {fault}")
    print("NOT AS PROMISED" if wrong else "as promised")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
