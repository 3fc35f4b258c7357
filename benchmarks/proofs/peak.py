"""The command line, and then the most memory its process ever had, on standard error.

Usage: python -m benchmarks.proofs.peak COMMAND ... (as `deltastore COMMAND ...`)
"""

from __future__ import annotations

import sys
from pathlib import Path

from deltastore_cli.main import run

MARK = "VmHWM:"


def peak_bytes() -> int:
    """High-water mark of this process's resident memory, mapped pages included."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(MARK):
            return int(line.split()[1]) * 1024
    raise LookupError(MARK)


if __name__ == "__main__":
    code = run(sys.argv[1:])
    print(MARK, peak_bytes(), file=sys.stderr)
    sys.exit(code)
