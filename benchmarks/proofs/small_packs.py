"""`deltastore` with packs of 8 KiB instead of 512 MiB, on a disk whose flushes take 10 ms longer.

A model of some megabytes then makes as many packs as one of 30 GB does, and publishing them is a
large part of a commit however fast this machine's disk is and however busy its processors are, as
it is on a hard disk. Nothing else differs.
"""

from __future__ import annotations

import os
import time

from deltastore.storage.spool import PackSpool
from deltastore_cli.main import main

PACK_BYTES = 8 << 10
FLUSH_SECONDS = 0.01


def shrink_packs() -> None:
    """Make this process write packs of `PACK_BYTES`."""
    PackSpool.__init__.__kwdefaults__ = {
        **(PackSpool.__init__.__kwdefaults__ or {}),
        "target_bytes": PACK_BYTES,
    }


def slow_flushes() -> None:
    """Make each fsync of this process take `FLUSH_SECONDS` more."""
    flush = os.fsync

    def slowly(descriptor: int) -> None:
        time.sleep(FLUSH_SECONDS)
        flush(descriptor)

    vars(os)["fsync"] = slowly


if __name__ == "__main__":
    shrink_packs()
    slow_flushes()
    main()
