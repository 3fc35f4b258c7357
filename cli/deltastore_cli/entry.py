"""Where the process begins. Loading the program takes longer than many a Ctrl-C."""

from __future__ import annotations

import sys

__all__ = ["main"]

INTERRUPTED = 130


def main() -> None:
    """The console script: the program, and an answer to who interrupts it while it is loaded."""
    try:
        from deltastore_cli.main import main as program
    except KeyboardInterrupt:
        if "--json" in sys.argv:
            error = (
                '{"kind": "interrupted", "message": "interrupted: nothing recorded", "hint": ""}'
            )
            sys.stdout.write(f'{{"deltastore": 1, "command": null, "error": {error}}}\n')
        sys.stderr.write("interrupted: nothing recorded\n")
        sys.exit(INTERRUPTED)
    program()
