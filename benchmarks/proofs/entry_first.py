"""A broken `deltastore`, to see that the checks of crashes catch it: the log entry comes first.

It creates the entry and only then the packs it names, which is what a writer must never do, and
takes its time over each, so that few kills are needed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.proofs.small_packs import shrink_packs
from deltastore.history.log import Log
from deltastore.ingest import committing
from deltastore.storage.packs import publish
from deltastore_cli.main import main

if TYPE_CHECKING:
    from deltastore.history.entries import Entry
    from deltastore.storage.backend import Backend
    from deltastore.storage.packing import SpooledPack

PAUSE_SECONDS = 0.02


def put_entries_first() -> None:
    """Hold this process's packs back until their entry is in the log."""
    held: list[tuple[Backend, SpooledPack]] = []
    append = Log.append

    def hold(backend: Backend, pack: SpooledPack) -> int:
        held.append((backend, pack))
        return pack.size

    def append_and_publish(log: Log, *arguments: Any, **options: Any) -> Entry:
        entry = append(log, *arguments, **options)
        for backend, pack in held:
            time.sleep(PAUSE_SECONDS)
            publish(backend, pack)
        return entry

    vars(committing)["publish"] = hold
    type.__setattr__(Log, "append", append_and_publish)


if __name__ == "__main__":
    shrink_packs()
    put_entries_first()
    main()
