"""A share of the proof in benchmarks/writers.py, and the same race by the command line."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from benchmarks.proofs.auditing import census
from benchmarks.proofs.checkpoints import Synthetic, write_checkpoint
from benchmarks.proofs.programs import INSTALLED, environment, run
from benchmarks.writers import expecting, proof

if TYPE_CHECKING:
    from pathlib import Path

WRITERS = 4
TURNS = 4
OWN = [f"me/own@b{number}" for number in range(WRITERS)]
SHARED = ["me/shared@main"] * WRITERS
PLACES = ["disk", pytest.param("moto", marks=pytest.mark.s3)]


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("targets", [OWN, SHARED], ids=["own", "shared"])
def test_racing_writers_lose_nothing_and_readers_see_nothing_wrong(
    where: str, targets: list[str]
) -> None:
    assert proof(where, targets, TURNS) == []


@pytest.mark.parametrize("where", PLACES)
def test_of_writers_that_expect_an_unmoved_branch_one_wins(where: str) -> None:
    assert expecting(where, WRITERS) == []


def test_the_command_line_tells_losers_of_a_conflict(tmp_path: Path) -> None:
    store = tmp_path / "store"
    place = (*INSTALLED, "-s", str(store))
    assert run([*place, "init"]).code == 0
    family = Synthetic(tensors=2, rows=16, columns=64)
    for number in range(WRITERS + 1):
        write_checkpoint(tmp_path / str(number), family, variant=number)
    first = run([*place, "commit", str(tmp_path / "0"), "--to", "me/x", "-m", "0", "--json"])
    assert first.result is not None
    tip = first.result["commit"]
    options = ("--to", "me/x", "--expect", tip, "-m", "x", "--json")
    processes = [
        subprocess.Popen(
            [*place, "commit", str(tmp_path / str(number)), *options],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for number in range(1, WRITERS + 1)
    ]
    documents = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert Counter(process.returncode for process in processes) == {0: 1, 4: WRITERS - 1}
    kinds = Counter(found["error"]["kind"] for found in documents if "error" in found)
    assert kinds == {"conflict": WRITERS - 1}
    made = [found["result"]["commit"] for found in documents if "result" in found]
    assert census(store).commits == (tip, *made)
