"""Compiled code is a cache: where it cannot be kept, the work is done all the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import deltastore

PROGRAM = """
import numpy as np
from deltastore.kernels.dispatch import kernels
gaps, _ = kernels("cpu").gaps(np.array([0, 1], np.uint8))
print(gaps.tolist())
"""
PACKAGE = Path(deltastore.__file__).parent


def run_in(home: Path, package: Path, *limits: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "HOME": str(home)}
    environment = {k: v for k, v in environment.items() if not k.startswith(("NUMBA", "XDG"))}
    command = ["sh", "-c", "; ".join([*limits, f'exec "{sys.executable}" -c "$0"']), PROGRAM]
    done = subprocess.run(
        command, env=environment, cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def copied_package(folder: Path) -> Path:
    return Path(
        shutil.copytree(
            PACKAGE, folder / "deltastore", ignore=shutil.ignore_patterns("__pycache__")
        )
    )


def test_kept_beside_the_source(tmp_path: Path) -> None:
    package = copied_package(tmp_path)
    assert run_in(tmp_path, package) == "[1]"
    cached = list(package.rglob("*.nbc"))
    assert len(cached) == 4  # one per declared width
    before = [each.stat().st_mtime_ns for each in cached]
    assert run_in(tmp_path, package) == "[1]"
    assert [each.stat().st_mtime_ns for each in cached] == before


def test_no_folder_to_write_to(tmp_path: Path) -> None:
    """A file where a folder is wanted: also root cannot write there."""
    package = copied_package(tmp_path)
    for name in ("__pycache__", "kernels/__pycache__", "kernels/cpu/__pycache__"):
        (package / name).write_text("no folder")
    (tmp_path / ".cache").write_text("no folder")
    assert run_in(tmp_path, package) == "[1]"


def test_a_full_disk(tmp_path: Path) -> None:
    """Files of at most 512 bytes: compiled code does not fit."""
    package = copied_package(tmp_path)
    assert run_in(tmp_path, package, "trap '' XFSZ", "ulimit -f 1") == "[1]"
    assert sum(each.stat().st_size for each in package.rglob("*.nbc")) == 0


def test_a_lost_index_is_rebuilt(tmp_path: Path) -> None:
    package = copied_package(tmp_path)
    assert run_in(tmp_path, package) == "[1]"
    for index in package.rglob("*.nbi"):
        index.unlink()
    assert run_in(tmp_path, package) == "[1]"
