"""Rounds of commits that are killed, each followed by an inspection of the store."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.proofs.auditing import broken_tensors, census, findings
from benchmarks.proofs.checkpoints import Synthetic, write_checkpoint
from benchmarks.proofs.programs import SMALL_PACKS, median_seconds, run, signaled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["FAMILY", "Killed", "KillingProof"]

FAMILY = Synthetic(tensors=48, rows=128, columns=256)
"""3 MiB of weights."""

NEWEST = 5
BRANCH = "me/tuned"


@dataclass(frozen=True, slots=True)
class Killed:
    """One round.

    Attributes:
        after: seconds from the start of the process to the kill.
        hit: the kill found it running.
        acknowledged: the complete document was on standard output.
        landed: the log has the commit.
        orphans: packs that this round left behind and no entry names.
        dangling: packs that an entry names and that are not there.
        lost: acknowledged commits, of this round or before, that are not in the branch's history.
        damage: what does not verify.
    """

    after: float
    hit: bool
    acknowledged: bool
    landed: bool
    orphans: int
    dangling: int
    lost: int
    damage: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether the store is as it must be."""
        return not (self.dangling or self.lost or self.damage)


class KillingProof:
    """A store, fine-tunes to be committed into it, and the commits that were acknowledged.

    Args:
        folder: to work in.
        program: that commits.
        family: of the models.
    """

    def __init__(
        self, folder: Path, *, program: Sequence[str] = SMALL_PACKS, family: Synthetic = FAMILY
    ) -> None:
        self.store = folder / "store"
        self._tuned = folder / "tuned"
        self._family = family
        self._program = program
        self._variant = 0
        self._acknowledged: list[str] = []
        write_checkpoint(folder / "base", family)
        median_seconds([run([*program, "init", str(self.store)])])
        median_seconds([run(self._command(folder / "base", "me/base", "none"))])

    def command(self) -> list[str]:
        """The commit of a fine-tune that was never committed before."""
        self._variant += 1
        write_checkpoint(self._tuned, self._family, variant=self._variant)
        return self._command(self._tuned, BRANCH, "me/base")

    def _command(self, source: Path, to: str, base: str) -> list[str]:
        options = ["--to", to, "--base", base, "-m", str(self._variant), "--json"]
        return [*self._program, "-s", str(self.store), "commit", str(source), *options]

    def duration(self, rounds: int = 3) -> float:
        """Median seconds of a commit that nobody kills."""
        ran = [run(self.command()) for _ in range(rounds)]
        seconds = median_seconds(ran)
        self._acknowledged += [found.result["commit"] for found in ran if found.result]
        return seconds

    def round(self, after: float) -> Killed:
        """Commit, kill the process, inspect the store."""
        before = census(self.store)
        ran = signaled(self.command(), after, signal.SIGKILL)
        if ran.result:
            self._acknowledged.append(ran.result["commit"])
        return self._inspect(
            after,
            hit=ran.signaled,
            acknowledged=ran.result is not None,
            known=before.orphans,
            count=len(before.commits),
        )

    def _inspect(
        self, after: float, *, hit: bool, acknowledged: bool, known: frozenset[str], count: int
    ) -> Killed:
        found = census(self.store)
        damage: tuple[str, ...] = ()
        if not found.dangling:
            newest = found.commits[-NEWEST:]
            damage = (*findings(self.store), *broken_tensors(self.store, newest))
        return Killed(
            after=after,
            hit=hit,
            acknowledged=acknowledged,
            landed=len(found.commits) > count,
            orphans=len(found.orphans - known),
            dangling=len(found.dangling),
            lost=self._lost(found.moves),
            damage=damage,
        )

    def _lost(self, moves: Sequence[tuple[str, str | None, str | None]]) -> int:
        """Acknowledged commits that the branch, followed from its first one, never stood at."""
        tip: str | None = None
        stood: set[str | None] = set()
        for name, old, new in moves:
            if name == f"models/{BRANCH}/heads/main":
                stood = stood | {new} if old == tip else set()
                tip = new
        return sum(commit not in stood for commit in self._acknowledged)

    def finish(self) -> tuple[str, ...]:
        """What does not verify of all versions, after one more commit that nobody kills."""
        self.duration(1)
        return (*findings(self.store), *broken_tensors(self.store))
