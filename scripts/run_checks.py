"""Run the project's checks one after the other, all of them even when one fails.

Usage: python scripts/run_checks.py [lint] [types] [imports] [tests] [slow] [docs] [bench]

Each command is printed before it runs; a table of what passed comes last, and the exit status is 1
when anything failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
WORKERS = str(min(4, os.cpu_count() or 1))


@dataclass(frozen=True)
class Check:
    """One command.

    Attributes:
        name: in the table.
        command: its first word is a program of `.venv/bin`.
        profile: the hypothesis profile it runs under.
    """

    name: str
    command: tuple[str, ...]
    profile: str = "ci"


def benchmarks() -> list[Check]:
    """Every program of benchmarks/, in order of name."""
    files = sorted((ROOT / "benchmarks").glob("*.py"))
    names = [file.stem for file in files if not file.name.startswith("_")]
    return [Check(f"bench {name}", ("python", "-m", f"benchmarks.{name}")) for name in names]


def checks(group: str) -> list[Check]:
    """The commands of one group."""
    groups = {
        "lint": [
            Check("format", ("ruff", "format", "--check", ".")),
            Check("lint", ("ruff", "check", ".")),
        ],
        "types": [Check("types", ("mypy",))],
        "imports": [Check("imports", ("lint-imports",))],
        "tests": [
            Check("tests", ("pytest", "-n", WORKERS, "--dist", "loadfile", "-m", "not slow"))
        ],
        "slow": [Check("slow tests", ("pytest", "-m", "slow"), "nightly")],
        "docs": [Check("docs", ("mkdocs", "build", "--strict", "--quiet"))],
        "bench": benchmarks(),
    }
    return groups[group]


def run(check: Check) -> tuple[bool, float]:
    """Whether it passed, and how many seconds it took."""
    print(f"\n== {check.name}: {' '.join(check.command)}", flush=True)
    started = time.monotonic()
    done = subprocess.run(
        [str(BIN / check.command[0]), *check.command[1:]],
        cwd=ROOT,
        check=False,
        stdin=subprocess.DEVNULL,
        env={"HYPOTHESIS_PROFILE": check.profile, **os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    return done.returncode == 0, time.monotonic() - started


def main(groups: list[str]) -> int:
    """Run the groups; returns the exit status."""
    results = [(check, *run(check)) for group in groups for check in checks(group)]
    print()
    for check, passed, seconds in results:
        print(f"{'passed' if passed else 'FAILED'}  {seconds:7.1f} s  {check.name}")
    return 0 if all(passed for _, passed, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
