"""Processes that commit at once, and processes that read all the while."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import deltastore
from benchmarks.proofs.checkpoints import Synthetic, write_checkpoint
from deltastore.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BASE", "Place", "Raced", "prepare", "race", "race_expecting"]

FAMILY = Synthetic(tensors=2, rows=16, columns=64)
"""4 KiB of weights."""

BASE = "me/base"
PATIENCE = 900


@dataclass(frozen=True, slots=True)
class Place:
    """A store, as processes that are started afresh find it."""

    url: str
    options: dict[str, Any]

    def open(self) -> deltastore.Store:
        """Open it, with one thread: there are processes enough."""
        return deltastore.open(self.url, threads=1, **self.options)


@dataclass(frozen=True, slots=True)
class Raced:
    """What writers and readers report.

    Attributes:
        commits: acknowledged, per writer in order.
        seconds: from the first commit to the last.
        reads: versions that readers checked out and found right.
        wrong: what readers found wrong.
    """

    commits: tuple[tuple[str, ...], ...]
    seconds: float
    reads: int
    wrong: tuple[str, ...]


def prepare(place: Place) -> None:
    """Make the store and commit the base of everything."""
    deltastore.init(place.url, **place.options).close()
    with place.open() as store, tempfile.TemporaryDirectory() as folder:
        write_checkpoint(Path(folder), FAMILY)
        store.commit(folder, to=BASE, message="0")


def race(place: Place, targets: Sequence[str], turns: int, *, readers: int = 2) -> Raced:
    """One process per target commits `turns` times, while others read what is there.

    Args:
        place: a store made by `prepare`.
        targets: `namespace/name@branch` per writer.
        turns: commits of each.
        readers: processes that check out and compare until the writers are done.
    """
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(len(targets) + readers, mp_context=spawn) as pool,
    ):
        stop = Path(folder) / "stop"
        reading = [pool.submit(_read, place, targets, seed, stop) for seed in range(readers)]
        writing = [
            pool.submit(_write, place, target, range(1 + number * turns, 1 + (number + 1) * turns))
            for number, target in enumerate(targets)
        ]
        try:
            written = [future.result(PATIENCE) for future in writing]
        finally:
            stop.touch()
        read = [future.result(PATIENCE) for future in reading]
    return Raced(
        commits=tuple(tuple(commits) for commits, _, _ in written),
        seconds=max(end for _, _, end in written) - min(start for _, start, _ in written),
        reads=sum(count for count, _ in read),
        wrong=tuple(text for _, wrong in read for text in wrong),
    )


def _write(place: Place, target: str, variants: range) -> tuple[list[str], float, float]:
    """Commit one fine-tune after the other; their ids, and when that began and ended."""
    made = []
    with place.open() as store, tempfile.TemporaryDirectory() as folder:
        began = time.time()
        for variant in variants:
            write_checkpoint(Path(folder), FAMILY, variant=variant)
            done = store.commit(folder, to=target, base=BASE, message=str(variant))
            made.append(done.commit)
        return made, began, time.time()


def _read(place: Place, targets: Sequence[str], seed: int, stop: Path) -> tuple[int, list[str]]:
    """Check out versions at random until told to stop; how many, and what was wrong."""
    draw, count, wrong = Random(seed), 0, []
    with place.open() as store:
        while not stop.exists():
            try:
                log = store.log(draw.choice([*targets, BASE]))
            except NotFoundError:  # nothing there yet
                time.sleep(0.05)
                continue
            version = draw.choice(log.commits)
            wrong += _differences(store, version.commit, int(version.message))
            count += 1
    return count, wrong


def _differences(store: deltastore.Store, commit: str, variant: int) -> list[str]:
    """Files of a version that are not what its message says it is."""
    with tempfile.TemporaryDirectory() as folder:
        given, expected = Path(folder) / "given", Path(folder) / "expected"
        write_checkpoint(expected, FAMILY, variant=variant)
        try:
            store.checkout(commit, given)
        except deltastore.errors.DeltastoreError as reason:
            return [f"{commit}: {reason.kind}: {reason}"]
        return [
            f"{commit}: {file.name} differs"
            for file in expected.iterdir()
            if file.read_bytes() != (given / file.name).read_bytes()
        ]


def race_expecting(place: Place, target: str, writers: int) -> tuple[list[str], list[str]]:
    """All commit to a branch that must not have moved; the commits made, and the losers' kinds."""
    with place.open() as store:
        expect = store.resolve(target)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(writers, mp_context=spawn) as pool:
        start = time.time() + 5
        work = [
            pool.submit(_commit_expecting, place, target, expect, 10_000 + number, start)
            for number in range(writers)
        ]
        results = [future.result(PATIENCE) for future in work]
    return [made for made, _ in results if made], [kind for _, kind in results if kind]


def _commit_expecting(
    place: Place, target: str, expect: str, variant: int, start: float
) -> tuple[str, str]:
    """One attempt at a common time; the commit made, or the kind of the error."""
    with place.open() as store, tempfile.TemporaryDirectory() as folder:
        write_checkpoint(Path(folder), FAMILY, variant=variant)
        time.sleep(max(0.0, start - time.time()))
        try:
            done = store.commit(folder, to=target, expect=expect, message=str(variant))
        except ConflictError as reason:
            return "", reason.kind
        return done.commit, ""
