"""A share of the proof in benchmarks/crash.py, and the edges that uniform times rarely meet."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.proofs.checkpoints import Synthetic
from benchmarks.proofs.interrupting import InterruptingProof
from benchmarks.proofs.programs import environment

if TYPE_CHECKING:
    from pathlib import Path

FAMILY = Synthetic(shards=3, tensors=4, rows=256, columns=512)
INTERRUPTS = 8


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> InterruptingProof:
    return InterruptingProof(tmp_path_factory.mktemp("interrupts"), FAMILY)


def test_an_interrupted_commit_is_recorded_or_not_and_says_which(proof: InterruptingProof) -> None:
    seconds, draw = proof.commit_seconds(1), random.Random(5)
    rounds = [proof.interrupt_commit(draw.uniform(0.1, 1.1 * seconds)) for _ in range(INTERRUPTS)]
    assert [one for one in rounds if one.wrong] == []
    assert 130 in {one.code for one in rounds}


def test_an_interrupted_checkout_leaves_whole_files_only(proof: InterruptingProof) -> None:
    seconds, draw = proof.checkout_seconds(1), random.Random(5)
    rounds = [proof.interrupt_checkout(draw.uniform(0.1, 1.1 * seconds)) for _ in range(INTERRUPTS)]
    assert [one for one in rounds if one.wrong] == []
    assert 130 in {one.code for one in rounds}


SLOW_IMPORT = """
import sys, time
print("loading", file=sys.stderr, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_an_interrupt_while_the_program_loads_is_answered(tmp_path: Path, extra: list[str]) -> None:
    (tmp_path / "click.py").write_text(SLOW_IMPORT)
    program = "import sys; sys.path.insert(0, {!r}); from deltastore_cli.entry import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program.format(str(tmp_path)), "log", "me/x", *extra],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "loading\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "interrupted: nothing recorded\n"
    assert (json.loads(out)["error"]["kind"] == "interrupted") if extra else (out == "")


def test_an_interrupt_while_python_shuts_down_comes_too_late(tmp_path: Path) -> None:
    program = (
        "import atexit, os, signal, sys\n"
        "atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))\n"
        "sys.argv[1:] = ['--version']\n"
        "from deltastore_cli.entry import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
