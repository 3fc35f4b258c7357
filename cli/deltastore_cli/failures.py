"""What went wrong, as one value: kind, message, hint, exit code; and how it is told."""

from __future__ import annotations

import platform
import sys
import traceback
from dataclasses import dataclass

import click

import deltastore
from deltastore.errors import DeltastoreError
from deltastore_cli.credentials import redact
from deltastore_cli.quantities import abbreviated
from deltastore_cli.terminal import folded, paint, printable

__all__ = ["Failure", "failure_of"]

INTERRUPTED = 130
LABEL = 7
"""Columns of `error: `."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed command.

    Attributes:
        kind: as in the error document.
        message: what happened.
        hint: what to do, or an empty text.
        exit_code: of the process.
        trace: the traceback of an error nobody foresaw.
    """

    kind: str
    message: str
    hint: str
    exit_code: int
    trace: str = ""

    def text(self) -> str:
        """For standard error; lines after the first are set under it."""
        if self.kind == "interrupted":
            return printable(self.message, lines=True) + "\n"
        told = _under(f"{paint('error:', 'bad', sys.stderr)} ", self.message)
        if self.hint:
            told += _under(f"{paint('hint:', 'faint', sys.stderr)}  ", self.hint)
        return printable(redact(self.trace), lines=True) + told


def _under(label: str, text: str) -> str:
    """A text behind its label; all lines but the first are set under it."""
    first, *more = printable(abbreviated(text), lines=True).rstrip("\n").split("\n")
    lines = [f"{label}{first}", *(f"{'':{LABEL}}{line}" for line in more)]
    return "".join(f"{folded(line, indent=LABEL, stream=sys.stderr)}\n" for line in lines)


def failure_of(error: BaseException) -> Failure:
    """How an exception is told. Credentials inside messages are blotted out."""
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        told = str(error) or "interrupted: nothing recorded"
        return Failure("interrupted", redact(told), "", INTERRUPTED)
    if isinstance(error, DeltastoreError):
        return Failure(error.kind, redact(str(error)), redact(error.hint), error.exit_code)
    if isinstance(error, click.ClickException):
        return Failure("usage", redact(_usage_message(error)), _usage_hint(error), 2)
    return _unforeseen(error)


def _usage_message(error: click.ClickException) -> str:
    if isinstance(error, click.NoSuchOption):
        return f"no such option {error.option_name}"
    return error.format_message()


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "deltastore"
    close = error.possibilities if isinstance(error, click.NoSuchOption) else None
    meant = f"did you mean {close[0]}? " if close else ""
    return f"{meant}see {path} --help"


def _unforeseen(error: BaseException) -> Failure:
    return Failure(
        "internal",
        redact(f"{type(error).__name__}: {error}"),
        "this is a bug: please report it with the lines above and"
        f" deltastore {deltastore.__version__}, Python {platform.python_version()},"
        f" {platform.platform()}",
        1,
        "".join(traceback.format_exception(error)),
    )
