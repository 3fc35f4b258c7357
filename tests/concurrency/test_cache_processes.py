"""One small cache, many processes: evicting, clearing and dying in the middle of writing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deltastore.cache import ranges
from deltastore.cache.entries import is_unfinished
from deltastore.cache.ranges import RangeFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Reader = Callable[[float, int], subprocess.Popen[str]]

READER = Path(__file__).with_name("cache_reader.py")
ROOT = READER.parent.parent.parent
LIMIT = 200_000


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Starts a reader of the cache in `tmp_path`; none outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def start(seconds: float, seed: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(READER), str(tmp_path), str(LIMIT), str(seconds), str(seed)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_four_processes_share_a_cache_that_is_too_small(tmp_path: Path, reader: Reader) -> None:
    readers = [reader(3, seed) for seed in range(4)]
    folder = RangeFolder(tmp_path, LIMIT)
    largest = 0
    for turn in range(30):
        time.sleep(0.1)
        largest = max(largest, folder.census()[1])
        if turn % 10 == 9:
            folder.clear()
    for process in readers:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        reads, hits = map(int, out.split())
        assert reads > 20
        assert hits > 0
    assert LIMIT // 4 < largest <= LIMIT * (1 + 4 / ranges.SHARES) + 4 * 20_040


def test_killed_writers_leave_nothing_that_is_believed(tmp_path: Path, reader: Reader) -> None:
    for turn in range(4):
        readers = [reader(60, 10 * turn + seed) for seed in range(2)]
        while not any(tmp_path.rglob("*-*")):
            time.sleep(0.02)
        time.sleep(0.15 + 0.05 * turn)
        for process in readers:
            process.send_signal(signal.SIGKILL)
        for process in readers:
            process.communicate(timeout=60)
    survivor = reader(1, 99)
    _, err = survivor.communicate(timeout=60)
    assert survivor.returncode == 0, err


def test_what_they_left_unfinished_goes_in_the_end(tmp_path: Path, reader: Reader) -> None:
    parent = tmp_path / ranges.RANGES / "packs" / "00" / "0.safetensors"
    parent.mkdir(parents=True)
    left = parent / ".0123456789abcdef"
    left.write_bytes(b"half")
    long_ago = time.time() - ranges.UNFINISHED_SECONDS - 1
    os.utime(left, (long_ago, long_ago))
    assert is_unfinished(left.name)
    survivor = reader(0.5, 1)
    _, err = survivor.communicate(timeout=60)
    assert survivor.returncode == 0, err
    assert not left.exists()
