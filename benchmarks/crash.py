"""What is left when a commit is killed, and when commits and checkouts are interrupted.

Usage: python -m benchmarks.crash [--kills 200] [--interrupts 50] [--seed 1] [--folder DIR]

Each kill: a new fine-tune of one base is committed by the command line as a process, which gets
SIGKILL at a time uniform over 0 to 1.1 times the measured duration of such a commit. Then the log's
chain, every byte of every pack, and all tensors of the newest five commits are verified; in the end
those of all. The program is the command line with packs of 8 KiB instead of 512 MiB and flushes
that take 10 ms longer, as on a hard disk: 3 MiB of weights then make about as many packs as 30 GB
do, and publishing them is a large part of a commit.
A broken writer, whose log entries come before their packs, must fail the same inspection.

Each interrupt: SIGINT at a uniform time to a commit, or to a checkout, by the installed program.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.proofs.interrupting import Interrupted, InterruptingProof
from benchmarks.proofs.killing import Killed, KillingProof
from benchmarks.proofs.programs import ENTRY_FIRST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OVERSHOOT = 1.1
MEASURE_EVERY = 25
CONTROL_KILLS = 30
LEAST_ORPHAN_ROUNDS = 50
LEAST_ACKNOWLEDGED = 10


def kills(folder: Path, count: int, draw: random.Random) -> bool:
    """Kill commits; whether the store was sound after each and in the end."""
    proof = KillingProof(folder)
    rounds: list[Killed] = []
    for number in range(count):
        if number % MEASURE_EVERY == 0:
            seconds = proof.duration()
            print(f"  {number:>3} kills; a commit takes {seconds:.2f} s", flush=True)
        rounds.append(proof.round(draw.uniform(0, OVERSHOOT * seconds)))
        if not rounds[-1].sound:
            print(f"  DAMAGE: {rounds[-1]}", flush=True)
    left = proof.finish()
    print(kill_table(rounds, left))
    return all(one.sound for one in rounds) and not left and (count < 200 or enough(rounds))


def enough(rounds: Sequence[Killed]) -> bool:
    """Whether enough kills fell between the first pack and the entry, and after the answer."""
    orphaned = sum(bool(one.orphans) for one in rounds)
    acknowledged = sum(one.acknowledged for one in rounds)
    return orphaned >= LEAST_ORPHAN_ROUNDS and acknowledged >= LEAST_ACKNOWLEDGED


def kill_table(rounds: Sequence[Killed], left: Sequence[str]) -> str:
    """The figures, all counted from the store, for people."""
    lines = {
        "kills": len(rounds),
        "  while the process ran": sum(one.hit for one in rounds),
        "before the entry": sum(not one.landed for one in rounds),
        "  with packs that no entry names": sum(bool(one.orphans) for one in rounds),
        "after the entry": sum(one.landed for one in rounds),
        "  before the acknowledgement": sum(one.landed and not one.acknowledged for one in rounds),
        "  after the acknowledgement": sum(one.acknowledged for one in rounds),
        "packs that no entry names": sum(one.orphans for one in rounds),
        "acknowledged commits lost": sum(one.lost for one in rounds),
        "packs named and not there": sum(one.dangling for one in rounds),
        "rounds with damage": sum(bool(one.damage) for one in rounds),
        "damage in the end, all versions": len(left),
    }
    return "\n".join(f"  {what:<34} {count:>5}" for what, count in lines.items())


def control(folder: Path, draw: random.Random) -> bool:
    """Kill a broken writer until the inspection catches it; whether it did."""
    proof = KillingProof(folder, program=ENTRY_FIRST)
    seconds = proof.duration(3)
    for number in range(1, CONTROL_KILLS + 1):
        found = proof.round(draw.uniform(0, OVERSHOOT * seconds))
        if found.dangling:
            print(f"  caught at kill {number}: {found.dangling} packs named and not there")
            return True
    print(f"  NOT CAUGHT in {CONTROL_KILLS} kills")
    return False


def interrupts(folder: Path, count: int, draw: random.Random) -> bool:
    """Interrupt commits and checkouts; whether each ended as it must."""
    proof = InterruptingProof(folder)
    commit_seconds, checkout_seconds = proof.commit_seconds(), proof.checkout_seconds()
    sound = interrupt_rounds("commit", proof.interrupt_commit, commit_seconds, count, draw)
    return (
        interrupt_rounds("checkout", proof.interrupt_checkout, checkout_seconds, count, draw)
        and sound
    )


def interrupt_rounds(
    what: str,
    interrupt: Callable[[float], Interrupted],
    seconds: float,
    count: int,
    draw: random.Random,
) -> bool:
    """Interrupt one command many times, print what became of it, say whether all was right."""
    rounds = [interrupt(draw.uniform(0, OVERSHOOT * seconds)) for _ in range(count)]
    early = sum(one.early for one in rounds)
    stopped = sum(one.code == 130 and not one.done for one in rounds)
    wrong = [one for one in rounds if one.wrong]
    print(
        f"  {what:<9} {count:>4} interrupts over {seconds:.2f} s: {stopped} exit 130, "
        f"{sum(one.done for one in rounds)} done already, {early} before the program's first line, "
        f"{len(wrong)} wrong"
    )
    for one in wrong:
        print(f"  WRONG: {one}")
    return not wrong


def main(arguments: list[str]) -> int:
    """The program; 1 when a store was damaged or too few kills fell where they matter."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--interrupts", type=int, default=50, help="of each command")
    parser.add_argument("--seed", type=int, default=1, help="of the times")
    parser.add_argument("--folder", type=Path, help="where to work")
    options = parser.parse_args(arguments)
    draw = random.Random(options.seed)
    parts: dict[str, Callable[[Path], bool]] = {
        "a writer that puts its entries first": lambda folder: control(folder, draw),
        "SIGINT": lambda folder: interrupts(folder, options.interrupts, draw),
        "SIGKILL": lambda folder: kills(folder, options.kills, draw),
    }
    passed = True
    for title, part in parts.items():
        print(title, flush=True)
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            passed = part(Path(folder)) and passed
    print("as promised" if passed else "NOT AS PROMISED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
