"""How much memory a commit and a checkout take, and how fast they are.

Usage: python -m benchmarks.memory [--gib 2 4] [--folder DIR]

A synthetic bf16 checkpoint whose largest tensor has 0.5 GiB is committed as a base, a fine-tune of
it (every weight moved, |change| / |weight| = 5e-3) is committed against that base, another one on
top of that (whose deltas are measured against the base and the parent), and checked out, each in a
process of its own. The most memory each process ever had, mapped pages included, must
stay within 1 GiB and three times the largest tensor. Beside it: a plain copy with SHA-256.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.proofs.checkpoints import Synthetic, write_checkpoint
from benchmarks.proofs.peak import MARK

GIB = 1 << 30
ROWS, COLUMNS = 65_536, 4_096
PIECE = 4 << 20


@dataclass(frozen=True, slots=True)
class Measured:
    """One process: what it did, its wall time in seconds, its peak memory and what it stored."""

    what: str
    seconds: float
    peak: int
    stored: int


def family_of(nbytes: int) -> Synthetic:
    """Shards of at most 1 GiB with tensors of 0.5 GiB."""
    tensors = max(1, nbytes // (2 * ROWS * COLUMNS))
    per_shard = min(2, tensors)
    return Synthetic(
        shards=tensors // per_shard, tensors=per_shard, rows=ROWS, columns=COLUMNS, seed=5
    )


def limit_for(family: Synthetic) -> int:
    """Bytes of memory that no command may exceed."""
    return GIB + 3 * family.tensor_bytes


def measured(what: str, *arguments: str) -> Measured:
    """Run one command in a process of its own.

    Raises:
        RuntimeError: it failed.
    """
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.proofs.peak", *arguments, "--json", "-q"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
    )
    seconds = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(f"{arguments}: exit {done.returncode}\n{done.stderr}")
    peak = int(done.stderr.rpartition(MARK)[2])
    return Measured(what, seconds, peak, json.loads(done.stdout)["result"].get("stored_bytes", 0))


def proof(folder: Path, family: Synthetic) -> list[Measured]:
    """Commit a base and a fine-tune, check the latter out, compare every byte.

    Raises:
        RuntimeError: a command failed, or bytes differ.
    """
    base, tuned, out, store = (folder / name for name in ("base", "tuned", "out", "store"))
    write_checkpoint(base, family)
    write_checkpoint(tuned, family, variant=1)
    place = ("-s", str(store))
    measured("init", *place, "init")
    found = [
        measured("commit base", *place, "commit", str(base), "--to", "me/base", "-m", "base"),
        measured(
            "commit fine-tune",
            *(*place, "commit", str(tuned), "--to", "me/tuned", "--base", "me/base", "-m", "sft"),
        ),
    ]
    write_checkpoint(tuned, family, variant=2)
    more = ("commit", str(tuned), "--to", "me/tuned", "-m", "more")
    found.append(measured("commit with a parent", *place, *more))
    shutil.rmtree(base)
    found.append(measured("checkout fine-tune", *place, "checkout", "me/tuned", str(out)))
    for file in sorted(tuned.iterdir()):
        if sha256(file) != sha256(out / file.name):
            raise RuntimeError(f"{file.name}: the checkout has other bytes")
    shutil.rmtree(out)
    found.append(Measured("copy and SHA-256", copied(tuned, folder / "copy"), 0, 0))
    return found


def sha256(path: Path, copy: Path | None = None) -> str:
    """Of a file, written somewhere else on the way when `copy` says where."""
    found, target = hashlib.sha256(), copy.open("wb") if copy else None
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            found.update(piece)
            if target:
                target.write(piece)
    if target:
        target.close()
    return found.hexdigest()


def copied(source: Path, target: Path) -> float:
    """Seconds that copying and hashing a folder takes."""
    target.mkdir()
    began = time.monotonic()
    for file in source.iterdir():
        sha256(file, target / file.name)
    return time.monotonic() - began


def table(family: Synthetic, found: list[Measured]) -> str:
    """The figures, for people."""
    limit = limit_for(family)
    title = (
        f"checkpoint {family.nbytes / GIB:.1f} GiB in {family.shards} shards, largest tensor "
        f"{family.tensor_bytes / GIB:.2f} GiB, limit {limit / GIB:.2f} GiB"
    )
    lines = [
        title,
        f"{'':<20} {'seconds':>8} {'MB/s':>7} {'VmHWM GiB':>10} {'of limit':>9} {'stored GiB':>11}",
    ]
    for one in found:
        peak = f"{one.peak / GIB:>10.2f} {one.peak / limit:>9.0%}" if one.peak else " " * 20
        stored = f"{one.stored / GIB:>11.2f}" if one.stored else ""
        speed = family.nbytes / one.seconds / 1e6
        lines.append(f"{one.what:<20} {one.seconds:>8.1f} {speed:>7.0f} {peak} {stored}".rstrip())
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """The program; 1 when a process took more than it may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--gib", type=float, nargs="+", default=[2, 4], help="sizes of checkpoints")
    parser.add_argument("--folder", type=Path, help="where to work; needs 5 times the size")
    options = parser.parse_args(arguments)
    within = True
    for size in options.gib:
        family = family_of(int(size * GIB))
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            found = proof(Path(folder), family)
        print(table(family, found), flush=True)
        within = within and all(one.peak <= limit_for(family) for one in found)
    print("within the limit" if within else "OVER THE LIMIT")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
