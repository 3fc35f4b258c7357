"""Undos and commits of several writers at once, each on its own thread and its own store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import numpy as np

import deltastore
from deltastore.errors import ConflictError

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.store import Store

ROUNDS = 6


def weights(number: int) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return {"w": np.full((4, 4), number, np.float32)}


def opened(tmp_path: Path, author: str) -> Store:
    return deltastore.open(tmp_path / "store", author=author, threads=1, cache=tmp_path / author)


def test_two_undos_at_once_take_one_entry_back(tmp_path: Path) -> None:
    deltastore.init(tmp_path / "store").close()
    stores = [opened(tmp_path, "Ada") for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        for turn in range(ROUNDS):
            stores[0].commit(weights(turn), to="a/m", message=str(turn))
        for turn in range(ROUNDS):
            seq = ROUNDS - turn
            start = Barrier(2)

            def take_back(store: Store, seq: int = seq, start: Barrier = start) -> int | None:
                start.wait()
                return store.undo(seq).entry

            entries = list(threads.map(take_back, stores))
            assert sorted(entry is None for entry in entries) == [False, True]
    assert not stores[0].ls().models
    assert stores[0].reflog(limit=1).entries[0].seq == 2 * ROUNDS


def test_an_undo_and_a_commit_at_once_lose_nothing(tmp_path: Path) -> None:
    deltastore.init(tmp_path / "store").close()
    ada, bob = opened(tmp_path, "Ada"), opened(tmp_path, "Bob")
    base = ada.commit(weights(99), to="a/m", message="base").commit
    with ThreadPoolExecutor(2) as threads:
        for turn in range(ROUNDS):
            own = ada.commit(weights(turn), to="a/m", message="ada").commit
            start = Barrier(2)

            def take_back(start: Barrier = start) -> bool:
                start.wait()
                try:
                    return ada.undo().entry is not None
                except ConflictError:
                    return False

            def land(turn: int = turn, start: Barrier = start) -> str:
                start.wait()
                return bob.commit(weights(100 + turn), to="a/m", message="bob").commit

            both = threads.submit(take_back), threads.submit(land)
            undone, landed = both[0].result(), both[1].result()
            tip = ada.show("a/m")
            assert tip.commit == landed
            assert tip.parents == ((base,) if undone else (own,))
            ada.reset("a/m", base)
    assert ada.fsck().ok
