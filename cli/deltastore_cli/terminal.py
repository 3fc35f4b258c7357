"""Where characters leave the program: two streams, color, width, and nothing a stranger chose.

Every result is rendered to text first and written in one piece, so a reader gets all or a
broken pipe.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata
from contextlib import suppress
from errno import ENOSPC
from typing import IO, TYPE_CHECKING

from deltastore.errors import NoSpaceError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ReaderGoneError",
    "colored",
    "folded",
    "paint",
    "printable",
    "text_width",
    "tolerate_any_text",
    "write_error",
    "write_output",
    "write_raw",
]

PIPED_WIDTH = 100_000
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_WORD = re.compile(r"( *)([^ ]+)")
_STYLES = {"id": "33", "name": "1", "faint": "2", "good": "32", "bad": "31", "warn": "33"}
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class ReaderGoneError(Exception):
    """The reader of our standard output went away."""


def tolerate_any_text() -> None:
    """Make both streams be there, and write what their encoding lacks as escapes."""
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # for good
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # for good
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def write_output(text: str) -> None:
    """Write a whole result to standard output and flush it.

    Raises:
        ReaderGoneError: nobody reads it any more.
        StorageError: it cannot be written.
    """
    write_raw([text.encode(sys.stdout.encoding, sys.stdout.errors or "backslashreplace")])


def write_raw(chunks: Iterable[bytes]) -> None:
    """Write bytes to standard output as they come, and flush.

    Raises:
        ReaderGoneError: nobody reads them any more.
        StorageError: they cannot be written.
    """
    for chunk in chunks:
        try:
            _write_all(chunk)
        except BrokenPipeError:
            _discard(sys.stdout)
            raise ReaderGoneError from None
        except OSError as reason:
            _discard(sys.stdout)
            kind = NoSpaceError if reason.errno == ENOSPC else UnreachableError
            raise kind(f"standard output: {reason.strerror}") from None


def _write_all(data: bytes) -> None:
    """Write and flush; with PYTHONUNBUFFERED the buffer is a bare file, which writes in part."""
    sys.stdout.flush()
    rest = memoryview(data)
    while rest:
        rest = rest[sys.stdout.buffer.write(rest) :]
    sys.stdout.buffer.flush()


def write_error(text: str) -> None:
    """Write to standard error; a closed one is nobody's problem."""
    with suppress(BrokenPipeError):
        sys.stderr.write(text)
        sys.stderr.flush()


def _discard(stream: IO[str]) -> None:
    """Point the stream's descriptor at nothing, so that the interpreter's last flush succeeds."""
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)


def colored(stream: IO[str] | None = None) -> bool:
    """Whether color is welcome: a terminal, not a dumb one, and no `NO_COLOR`."""
    stream = stream or sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def text_width(stream: IO[str] | None = None) -> int:
    """Columns to lay tables out in; so many that nothing is cut where no terminal reads."""
    terminal = (stream or sys.stdout).isatty()
    return shutil.get_terminal_size().columns if terminal else PIPED_WIDTH


def folded(line: str, *, indent: int = 4, stream: IO[str] | None = None) -> str:
    """A line broken between words where a terminal is too narrow for it, colors left alone.

    Args:
        line: of text, without line feeds.
        indent: columns before what follows a break.
        stream: that it is for; standard output unless given.
    """
    width, out, used = text_width(stream), "", 0
    for blanks, word in _WORD.findall(line):
        size = len(_ESCAPE.sub("", word))
        fits = not out or used + len(blanks) + size <= width
        gap = blanks if fits else f"\n{'':{indent}}"
        used = (used + len(blanks) if fits else indent) + size
        out += gap + word
    return out


def paint(text: str, style: str, stream: IO[str] | None = None) -> str:
    """The text in one of the program's styles, made safe to print."""
    safe = printable(text)
    return f"\x1b[{_STYLES[style]}m{safe}\x1b[0m" if colored(stream) and safe else safe


def printable(text: str, *, lines: bool = False) -> str:
    r"""Text of strangers (names, messages, paths) with what drives a terminal as `\x1b` escapes.

    Args:
        text: any text.
        lines: keep line feeds and tabs.
    """
    if text.isprintable():
        return text
    return "".join(char if _harmless(char, lines=lines) else _escaped(char) for char in text)


def _harmless(char: str, *, lines: bool) -> bool:
    if char.isprintable() or (lines and char in "\n\t"):
        return True
    return unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp") and char not in _BIDI


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
