"""`make demo`: see `demo.run`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from demo.caching import DEFAULT_CACHE


def main() -> int:
    """Parse the options and run."""
    parser = argparse.ArgumentParser(description="Real fine-tunes into a store and back out.")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="keeps what is slow")
    options = parser.parse_args()
    from demo.run import Demo  # noqa: PLC0415 - torch takes a second that --help need not wait for

    return Demo(options.cache).run()


sys.exit(main())
