"""Stores in memory for tests of the history package, and entries to fill them with."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from deltastore.history.entries import Draft, RefMove, Transaction, new_token
from deltastore.history.initialize import init_store
from deltastore.history.log import Log
from deltastore.storage.local import LocalBackend
from deltastore.storage.memory import MemoryBackend
from tests.unit.history.samples import MAIN, TIME, commit, pack

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltastore.history.state import LogState
    from deltastore.storage.backend import Backend

_NAMES = itertools.count()


def fresh_url() -> str:
    return f"memory://history-{next(_NAMES)}"


def fresh_backend() -> MemoryBackend:
    return MemoryBackend(fresh_url())


def started(backend: Backend | None = None) -> Log:
    where = backend or fresh_backend()
    init_store(where, created=TIME, actor="ada")
    return Log.open(where)


def committing(seed: object, ref: str = MAIN) -> Callable[[LogState], Draft]:
    """Composes an entry that moves `ref` to `commit(seed)`, whose header is in `pack(seed)`."""
    txn = new_token()

    def compose(state: LogState) -> Draft:
        move = RefMove(ref, state.ref(ref), commit(seed))
        one = Transaction(txn, "commit", "ada", TIME, "", (move,), (commit(seed),), pack(seed))
        return Draft((one,), add=(pack(seed),))

    return compose


def append_in_a_process(folder: str, number: int, turns: int, ref: str) -> list[tuple[int, str]]:
    """Commit `turns` times to a store in a folder; positions and ids that were acknowledged."""
    log = Log.open(LocalBackend(folder))
    made: list[tuple[int, str]] = []
    for turn in range(turns):
        entry = log.append(committing((number, turn), ref))
        made.append((entry.v, commit((number, turn))))
    return made
