from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import pytest

from deltastore.history.log import Log
from deltastore.storage.local import LocalBackend
from tests.unit.history.samples import MAIN
from tests.unit.history.stores import append_in_a_process, started

if TYPE_CHECKING:
    from pathlib import Path

PROCESSES = 4
TURNS = 10


@pytest.mark.parametrize("one_branch", [True, False])
def test_four_processes_on_one_folder_lose_nothing(tmp_path: Path, one_branch: bool) -> None:
    folder = tmp_path / "store"
    started(LocalBackend(folder))
    refs = [MAIN if one_branch else f"models/me/m{n}/heads/main" for n in range(PROCESSES)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=spawn) as pool:
        work = [
            pool.submit(append_in_a_process, str(folder), number, TURNS, refs[number])
            for number in range(PROCESSES)
        ]
        acknowledged = [pair for future in work for pair in future.result(timeout=120)]
    log = Log.open(LocalBackend(folder))
    state = log.refresh()
    assert state.v == PROCESSES * TURNS
    assert state == log.replay()
    assert sorted(v for v, _ in acknowledged) == list(range(1, state.v + 1))
    for v, made in acknowledged:
        body = log.entry(v).body
        assert body is not None
        assert body.txns[0].commits == (made,)
    stands: dict[str, str | None] = {}
    for entry in log.entries(1, state.v):
        assert entry.body is not None
        (move,) = entry.body.txns[0].refs
        assert stands.get(move.name) == move.old
        stands[move.name] = move.new
    assert set(stands) == set(refs)
