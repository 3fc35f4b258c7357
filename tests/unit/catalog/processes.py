"""What other processes do in tests of the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from deltastore.catalog import keeping
from deltastore.catalog.catalog import Catalog
from deltastore.history.log import Log
from deltastore.history.objects import HistoryReader
from deltastore.storage.local import LocalBackend
from tests.unit.catalog.worlds import World, tensor

REF = "models/me/x/heads/main"


class Flag(Protocol):
    """An event that several processes see."""

    def set(self) -> None: ...

    def is_set(self) -> bool: ...


def commit_and_sync(store: str, cache: str, turns: int, started: Flag, done: Flag) -> int:
    """Commit one tensor per entry, each followed by a sync; new bases often."""
    keeping.MAX_TAIL_ENTRIES = 3
    world = World(LocalBackend(store))
    first = world.log.refresh().v
    with Catalog(Path(cache), world.log.form.store_id, world.backend.url, threads=1) as catalog:
        for turn in range(first + 1, first + 1 + turns):
            world.commit({"w": tensor(turn)}, ref=REF)
            assert catalog.sync(world.log, world.history)
            started.set()
    done.set()
    return world.log.state.v


def look_until_done(store: str, cache: str, done: Flag) -> tuple[int, int]:
    """Sync and ask until somebody is done; how often, and how often files were at hand."""
    rounds = files = 0
    log = Log.open(LocalBackend(store))
    history = HistoryReader(log.packs, log)
    while not done.is_set() or not rounds:
        with Catalog(Path(cache), log.form.store_id, LocalBackend(store).url, threads=1) as catalog:
            for _ in range(3):
                log.refresh()
                assert catalog.sync(log, history)
                check_linear(catalog)
        rounds += 1
        opened = catalog._keeper._opener.generations.candidates()
        files += bool(opened)
    return rounds, files


def check_linear(catalog: Catalog) -> None:
    """Each entry but the first made one commit with one tensor of its own."""
    v = catalog.v
    stats = catalog.stats()
    assert (stats.commits, stats.tensors, stats.unread) == (v, v, 0)
    assert len(catalog.holders([tensor(turn) for turn in range(1, v + 1)])) == v
    assert catalog.garbage().sections == 0
