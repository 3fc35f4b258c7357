"""What the checkpoints of one training take on one branch, against the parent or the base.

Usage: python -m benchmarks.series [--checkpoints 20] [--cache DIR]

A fine-tune of the demo's encoder is saved every few steps and the checkpoints are committed in
order: to one branch, where each tensor is stored against base or parent, whichever is smaller, and
each to a branch of its own, where only the base is there. Once with previews, once without. 1 is
returned when, with previews, mean or median of the bytes of a commit on the one branch are more
than 0.75 of those on their own, a tensor is more than 4 versions from one that is kept whole, or
the last checkpoint does not come back.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

import deltastore
from deltastore.ids import CommitId, Digest
from deltastore.ingest.known import MAX_STEPS, steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore import Store

CACHE = Path("demo/.cache")
MOST = 0.75
DENSITY = 0.05
STEPS = 8
"""Optimizer steps between two checkpoints."""

LINE, APART = "series/line", "series/apart"


@dataclass(frozen=True, slots=True)
class Series:
    """What each commit of a series took, in bytes, and how deep the tensors are.

    Attributes:
        stored: by every commit, in order.
        deepest: versions between a tensor of a commit and a keyframe, at most, in order.
        parents: share of the elements of each commit that are stored against the parent.
    """

    stored: tuple[int, ...]
    deepest: tuple[int, ...]
    parents: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """The same checkpoints on one branch, and each on one of its own.

    Attributes:
        line: on one.
        apart: on their own.
        intact: the last one came back, verified.
    """

    line: Series
    apart: Series
    intact: bool

    @property
    def median(self) -> float:
        """Ratio of the medians of bytes per commit."""
        return median(self.line.stored) / median(self.apart.stored)

    @property
    def mean(self) -> float:
        """Ratio of the means."""
        return mean(self.line.stored) / mean(self.apart.stored)

    @property
    def passed(self) -> bool:
        """Whether the branch takes that much less, within the rules."""
        small = max(self.median, self.mean) <= MOST
        return small and max(self.line.deepest) <= MAX_STEPS and self.intact


def compared(
    folder: Path, base: Path, checkpoints: Sequence[Path], *, preview: float | None = DENSITY
) -> Compared:
    """Commit a series both ways.

    Args:
        folder: for two stores and their caches; empty.
        base: safetensors file.
        checkpoints: likewise, in order.
        preview: density of previews, or None.
    """
    line = _committed(folder / "line", base, checkpoints, preview, apart=False)
    apart = _committed(folder / "apart", base, checkpoints, preview, apart=True)
    with deltastore.open(folder / "line", cache=folder / "cache") as store:
        out = store.checkout(LINE, folder / "out")
        same = (folder / "out" / checkpoints[-1].name).read_bytes()
        intact = out.verified and same == checkpoints[-1].read_bytes()
    return Compared(line, apart, intact)


def _committed(
    url: Path, base: Path, checkpoints: Sequence[Path], preview: float | None, *, apart: bool
) -> Series:
    with deltastore.init(url, cache=url.parent / "cache") as store:
        store.commit(base, to="series/base", message="base", base="none")
        stored, deepest, parents = [], [], []
        for number, weights in enumerate(checkpoints):
            to = f"{APART}@{number}" if apart else LINE
            done = store.commit(
                weights, to=to, message=str(number), base="series/base", preview=preview
            )
            stored.append(done.stored_bytes)
            found = _references(store, done.commit, done.parents)
            deepest.append(found[0])
            parents.append(found[1])
    return Series(tuple(stored), tuple(deepest), tuple(parents))


def _references(store: Store, commit: str, parents: Sequence[str]) -> tuple[int, float]:
    """Steps to a keyframe at most, and the share of elements that refer to the parent."""
    session = store._session()
    version = session.version(CommitId(Digest(commit)))
    before = [session.version(CommitId(Digest(parent))) for parent in parents]
    own = {tensor.digest for each in before for tensor in each.tensors.values()}
    bases = session.version(version.header.base).tensors if version.header.base else {}
    own -= {tensor.digest for tensor in bases.values()}
    total = against = 0
    for tensor in version.tensors.values():
        size = tensor.entry.spec.size
        inputs = version.closure[tensor.digest].representation.inputs
        total += size
        against += size * any(source.digest in own for source in inputs)
    deepest = max(steps(version.closure, t.digest) for t in version.tensors.values())
    return deepest, against / total


def table(found: Compared) -> str:
    """Every commit, in Markdown."""
    lines = [
        "| checkpoint | one branch | on its own | steps | against the parent |",
        "|---|---|---|---|---|",
    ]
    rows = zip(
        found.line.stored, found.apart.stored, found.line.deepest, found.line.parents, strict=True
    )
    for number, (line, apart, deepest, parents) in enumerate(rows, 1):
        sizes = f"{line / 1e6:.3f} MB | {apart / 1e6:.3f} MB"
        lines.append(f"| {number} | {sizes} | {deepest} | {parents:.0%} |")
    return "\n".join(lines)


def summary(found: Compared) -> str:
    """What it comes to."""
    line, apart = found.line.stored, found.apart.stored
    return (
        f"bytes per commit: median {median(line) / 1e6:.3f} of {median(apart) / 1e6:.3f} MB "
        f"({found.median:.3f}x), mean {mean(line) / 1e6:.3f} of {mean(apart) / 1e6:.3f} MB "
        f"({found.mean:.3f}x, at most {MOST}x); at most {max(found.line.deepest)} steps from a "
        f"keyframe; the last one {'came back' if found.intact else 'DID NOT COME BACK'}"
    )


def main(arguments: list[str]) -> int:
    """The program; 1 when a series is not small enough."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--checkpoints", type=int, default=20)
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args(arguments)
    from benchmarks.proofs.zoo_models import training_series  # noqa: PLC0415 - as the demo

    base, checkpoints = training_series(options.cache, options.checkpoints, STEPS)
    passed = True
    for name, preview in (("with previews", DENSITY), ("without previews", None)):
        with tempfile.TemporaryDirectory() as folder:
            found = compared(Path(folder), base, checkpoints, preview=preview)
        print(f"{name}\n{table(found)}\n{summary(found)}", flush=True)
        passed = passed and (preview is None or found.passed)
    print("as promised" if passed else "NOT AS PROMISED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
