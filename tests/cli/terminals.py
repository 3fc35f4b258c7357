"""A terminal of 80 columns, and what a program shows on it."""

from __future__ import annotations

import os
import pty
import subprocess
import time

__all__ = ["on_a_terminal"]


def on_a_terminal(command: list[str], **environment: str) -> str:
    """What a command shows on a terminal of 80 columns."""
    reader, writer = pty.openpty()
    process = subprocess.Popen(
        command,
        stdin=writer,
        stdout=writer,
        stderr=writer,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", **environment},
    )
    os.close(writer)
    shown = b""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            piece = os.read(reader, 65536)
        except OSError:  # the other end is closed
            break
        shown += piece
        if not piece:
            break
    process.wait(30)
    os.close(reader)
    return shown.decode().replace("\r\n", "\n")
