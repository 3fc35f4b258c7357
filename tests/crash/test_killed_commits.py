"""A share of the proof in benchmarks/crash.py; the whole of it takes a quarter of an hour."""

from __future__ import annotations

import random
import subprocess
import time
from typing import TYPE_CHECKING

from benchmarks.proofs.auditing import census
from benchmarks.proofs.checkpoints import Synthetic
from benchmarks.proofs.killing import KillingProof
from benchmarks.proofs.programs import ENTRY_FIRST

if TYPE_CHECKING:
    from pathlib import Path

FAMILY = Synthetic(tensors=32, rows=128, columns=256)
KILLS = 8


def test_nothing_that_was_acknowledged_is_lost_whenever_a_commit_is_killed(tmp_path: Path) -> None:
    proof = KillingProof(tmp_path, family=FAMILY)
    seconds = proof.duration(3)
    draw = random.Random(3)
    rounds = [proof.round(draw.uniform(0, 1.1 * seconds)) for _ in range(KILLS)]
    assert [one for one in rounds if not one.sound] == []
    assert any(one.hit for one in rounds)
    assert proof.finish() == ()
    found = census(proof.store)
    # init, base, three measured ones, one in the end, and those rounds that landed
    assert found.entries == 6 + sum(one.landed for one in rounds)


def test_a_writer_whose_entry_comes_before_its_packs_is_caught(tmp_path: Path) -> None:
    proof = KillingProof(tmp_path, program=ENTRY_FIRST, family=FAMILY)
    proof.duration(1)
    before = len(list((proof.store / "log").glob("0*")))
    process = subprocess.Popen(proof.command(), stdout=subprocess.DEVNULL)
    while process.poll() is None and len(list((proof.store / "log").glob("0*"))) == before:
        time.sleep(0.001)
    process.kill()  # as soon as its entry is there, which is before its packs are
    process.wait()
    assert census(proof.store).dangling
