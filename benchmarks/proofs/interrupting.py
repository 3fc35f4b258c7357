"""Rounds of commits and checkouts that are interrupted with Ctrl-C, each followed by a look."""

from __future__ import annotations

import hashlib
import shutil
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.proofs.auditing import broken_tensors, census, findings, leftovers
from benchmarks.proofs.checkpoints import Synthetic, write_checkpoint
from benchmarks.proofs.programs import INSTALLED, Ran, median_seconds, run, signaled

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Interrupted", "InterruptingProof"]

FAMILY = Synthetic(shards=4, tensors=4, rows=1024, columns=512)
INTERRUPTED = 130
NEWEST = 3


@dataclass(frozen=True, slots=True)
class Interrupted:
    """One round.

    Attributes:
        after: seconds from the start of the process to the signal.
        code: exit status.
        early: Python itself was still starting, and ended the way it does by itself.
        done: the complete document was on standard output.
        wrong: what is not as it must be.
    """

    after: float
    code: int
    early: bool
    done: bool
    wrong: tuple[str, ...]


class InterruptingProof:
    """A store with a base and a fine-tune, in which commits and checkouts are interrupted.

    Args:
        folder: to work in.
        family: of the models.
    """

    def __init__(self, folder: Path, family: Synthetic = FAMILY) -> None:
        self._family = family
        self.store = folder / "store"
        self._out = folder / "out"
        self._tuned = folder / "tuned"
        self._variant = 0
        base = folder / "base"
        write_checkpoint(base, family)
        self._hashes = {file.name: _sha256(file) for file in base.iterdir()}
        place = (*INSTALLED, "-s", str(self.store))
        commit = [*place, "commit", str(base), "--to", "me/base", "-m", "base"]
        median_seconds([run([*place, "init"]), run(commit)])

    # commits

    def commit_seconds(self, rounds: int = 3) -> float:
        """Median duration of a commit that nobody interrupts."""
        return median_seconds([run(self._commit()) for _ in range(rounds)])

    def interrupt_commit(self, after: float) -> Interrupted:
        """Interrupt the commit of a new fine-tune."""
        before = census(self.store)
        ran = signaled(self._commit(), after, signal.SIGINT)
        found = census(self.store)
        landed = found.commits[len(before.commits) :]
        wrong = [*_answer(ran), *self._store_is_sound(found.commits)]
        recorded = {ran.result["commit"]} if ran.result else set()
        if set(landed) != recorded:
            wrong.append(f"recorded {landed}, said {ran.out or ran.err}")
        if found.dangling:
            wrong.append(f"packs that are named and not there: {sorted(found.dangling)}")
        return _interrupted(after, ran, wrong)

    def _commit(self) -> list[str]:
        self._variant += 1
        write_checkpoint(self._tuned, self._family, variant=self._variant)
        options = ["--to", "me/tuned", "--base", "me/base", "-m", "tuned", "--json"]
        return [*INSTALLED, "-s", str(self.store), "commit", str(self._tuned), *options]

    # checkouts

    def checkout_seconds(self, rounds: int = 3) -> float:
        """Median duration of a checkout that nobody interrupts."""
        return median_seconds([run(self._checkout()) for _ in range(rounds)])

    def interrupt_checkout(self, after: float) -> Interrupted:
        """Interrupt a checkout into a folder that does not exist."""
        ran = signaled(self._checkout(), after, signal.SIGINT)
        wrong = [*_answer(ran), *self._files_are_whole()]
        if ran.result and not all((self._out / name).exists() for name in self._hashes):
            wrong.append("files are missing after success")
        return _interrupted(after, ran, wrong)

    def _checkout(self) -> list[str]:
        shutil.rmtree(self._out, ignore_errors=True)
        return [
            *(*INSTALLED, "-s", str(self.store), "checkout"),
            *("me/base", str(self._out), "--json"),
        ]

    def _files_are_whole(self) -> list[str]:
        if not self._out.exists():
            return []
        there = [file for file in self._out.rglob("*") if file.is_file()]
        if not there:
            return ["an empty folder was left behind"]
        return [
            f"{file.name} is not as committed"
            for file in there
            if _sha256(file) != self._hashes.get(file.name)
        ]

    def _store_is_sound(self, commits: tuple[str, ...]) -> list[str]:
        return [
            *(f"temporary file {file}" for file in leftovers(self.store)),
            *findings(self.store),
            *broken_tensors(self.store, commits[-NEWEST:]),
        ]


def _interrupted(after: float, ran: Ran, wrong: list[str]) -> Interrupted:
    return Interrupted(after, ran.code, _early(ran), ran.result is not None, tuple(wrong))


def _early(ran: Ran) -> bool:
    """Python was interrupted before the program's first line; it answers in its own ways."""
    started = "deltastore_cli" in ran.err
    return not started and (ran.code == -signal.SIGINT or "init_import_site" in ran.err)


def _answer(ran: Ran) -> list[str]:
    """What is wrong with how the process ended and what it said."""
    if _early(ran):
        return [] if not ran.out else ["said something, and then died of the signal"]
    if ran.code == 0:
        return [] if ran.result else [f"exit 0 without a document: {ran.out!r} {ran.err!r}"]
    if ran.code != INTERRUPTED or not ran.err.startswith("interrupted") or "Traceback" in ran.err:
        return [f"exit {ran.code}: {ran.err}"]
    return []


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
