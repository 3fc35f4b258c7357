"""`deltastore` with packs of 8 KiB instead of 512 MiB, for proofs that need many packs.

A model of some megabytes then makes as many packs as one of 100 GB does, and publishing them is a
large part of a commit. Nothing else differs.
"""

from __future__ import annotations

from deltastore.storage.spool import PackSpool
from deltastore_cli.main import main

PACK_BYTES = 8 << 10


def shrink_packs() -> None:
    """Make this process write packs of `PACK_BYTES`."""
    PackSpool.__init__.__kwdefaults__ = {
        **(PackSpool.__init__.__kwdefaults__ or {}),
        "target_bytes": PACK_BYTES,
    }


if __name__ == "__main__":
    shrink_packs()
    main()
