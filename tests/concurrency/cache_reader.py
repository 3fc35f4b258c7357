"""A process that reads through a small shared cache and checks every byte.

Usage: python cache_reader.py FOLDER LIMIT SECONDS SEED
"""

from __future__ import annotations

import logging
import random
import sys
import time
from pathlib import Path

from deltastore.cache.backend import CachingBackend
from deltastore.cache.ranges import RangeFolder
from deltastore.storage.memory import MemoryBackend

KEYS = tuple(f"packs/{number:02}/{number}.safetensors" for number in range(6))
SIZE = 60_000
LONGEST = 20_000


def body(number: int) -> bytes:
    """The same in every process, another one for each object."""
    return random.Random(number).randbytes(SIZE)


def main(folder: str, limit: str, seconds: str, seed: str) -> int:
    """Read at random until the time is up; 1 when a byte was wrong or the cache gave up."""
    memory = MemoryBackend("memory://reader")
    bodies = [body(number) for number in range(len(KEYS))]
    for key, data in zip(KEYS, bodies, strict=True):
        memory.put_immutable(key, data)
    cached = CachingBackend(memory, RangeFolder(Path(folder), int(limit)))
    picks, end, reads = random.Random(seed), time.monotonic() + float(seconds), 0
    while time.monotonic() < end:
        number = picks.randrange(len(KEYS))
        start = picks.randrange(0, SIZE - LONGEST, 1000)
        length = picks.randrange(1, LONGEST)
        if cached.get_range(KEYS[number], start, length) != bodies[number][start : start + length]:
            return 1
        prefix = picks.randrange(1, 2 * SIZE)
        if cached.get_prefix(KEYS[number], prefix) != bodies[number][:prefix]:
            return 1
        reads += 2
    hits = 2 * reads - (memory.traffic.requests or 0)
    sys.stdout.write(f"{reads} {hits}\n")
    return 0


class _Refuse(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise SystemExit(record.getMessage())


if __name__ == "__main__":
    logging.getLogger("deltastore").addHandler(_Refuse())
    sys.exit(main(*sys.argv[1:]))
