"""One catalog, many processes: killed writers leave nothing that harms, and nobody sees a lock."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from deltastore.catalog.catalog import Catalog
from deltastore.catalog.generations import Generations
from deltastore.history.log import Log
from deltastore.history.objects import HistoryReader
from deltastore.storage.local import LocalBackend
from tests.unit.catalog.processes import check_linear, commit_and_sync, look_until_done

if TYPE_CHECKING:
    from pathlib import Path

SPAWN = multiprocessing.get_context("spawn")
KILLS = 10
READERS = 4
COMMITS = 15


def usable(store: Path, cache: Path) -> int:
    """Follow the store with the catalog as it was left; the entry reached."""
    backend = LocalBackend(store)
    log = Log.open(backend)
    with Catalog(cache, log.form.store_id, backend.url, threads=1) as catalog:
        assert catalog.sync(log, HistoryReader(log.packs, log))
        check_linear(catalog)
        return catalog.v


def test_a_killed_writer_leaves_a_usable_catalog(tmp_path: Path) -> None:
    store, cache = tmp_path / "s.ds", tmp_path / "cache"
    chosen = random.Random(11)
    leftovers = reached = 0
    for _ in range(KILLS):
        started, done = SPAWN.Event(), SPAWN.Event()
        writer = SPAWN.Process(
            target=commit_and_sync, args=(str(store), str(cache), 10_000, started, done)
        )
        writer.start()
        assert started.wait(60)
        time.sleep(chosen.uniform(0, 0.3))
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
        leftovers += len(list(cache.rglob("tmp-*")))
        v = usable(store, cache)
        assert v > reached
        reached = v
    assert leftovers  # some were killed in the middle of a file
    (folder,) = cache.iterdir()
    assert not list(folder.glob("*.bad"))


def test_one_writes_four_read_and_nobody_meets_a_lock(tmp_path: Path) -> None:
    store, cache = tmp_path / "s.ds", tmp_path / "cache"
    with (
        multiprocessing.Manager() as manager,
        ProcessPoolExecutor(READERS + 1, mp_context=SPAWN) as pool,
    ):
        started, done = manager.Event(), manager.Event()
        writer = pool.submit(commit_and_sync, str(store), str(cache), COMMITS, started, done)
        assert started.wait(60)
        readers = [
            pool.submit(look_until_done, str(store), str(cache), done) for _ in range(READERS)
        ]
        assert writer.result(timeout=300) == COMMITS
        found = [reader.result(timeout=300) for reader in readers]
    assert all(rounds and files for rounds, files in found)
    assert usable(store, cache) == COMMITS
    backend = LocalBackend(store)
    generations = Generations(cache, Log.open(backend).form.store_id, backend.url)
    assert generations.candidates()
    assert not list(generations.folder.glob("*.bad"))
