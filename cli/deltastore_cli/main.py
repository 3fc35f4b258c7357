"""The program `deltastore`: its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

import deltastore
from deltastore.errors import DeltastoreError, StorageError
from deltastore_cli.commands import CommandTable, GroupedCommands
from deltastore_cli.credentials import refuse_credentials
from deltastore_cli.failures import failure_of
from deltastore_cli.invocation import Invocation
from deltastore_cli.terminal import (
    ReaderGoneError,
    folded,
    paint,
    printable,
    text_width,
    tolerate_any_text,
)
from deltastore_cli.whereabouts import workspace_in_force

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = ["cli", "main", "run"]

READER_GONE = 141

_PLACES: dict[str, tuple[str, ...]] = {
    "start": (
        "start:init",
        "importing:import_",
        "workspace:clone",
        "start:config",
        "start:doctor",
        "start:completion",
    ),
    "record": (
        "record:commit",
        "workspace:status",
        "workspace:restore",
        "workspace:switch",
        "record:branch",
        "record:tag",
        "moves:reset",
        "moves:rm",
        "moves:mv",
        "moves:undo",
        "moves:revert",
    ),
    "look": (
        "look:log",
        "look:show",
        "look:diff",
        "look:ls",
        "find:find",
        "sql:sql",
        "look:stats",
        "moves:reflog",
    ),
    "merge": (),
    "share": (
        "share:checkout",
        "share:export",
    ),
    "maintain": (
        "maintain:fsck",
        "reindex:reindex",
        "caching:cache",
    ),
}
"""Module and function of each command, by group, in the order that people read them."""

COMMANDS: CommandTable = {
    group: {place.partition(":")[2].rstrip("_"): f"deltastore_cli.{place}" for place in places}
    for group, places in _PLACES.items()
    if places
}


def _version(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: ARG001  # click's signature
    if value and not context.resilient_parsing:
        context.ensure_object(Invocation).answer(
            {"version": deltastore.__version__}, lambda found: f"deltastore {found['version']}\n"
        )
        context.exit()


@click.group(cls=GroupedCommands, table=COMMANDS, invoke_without_command=True)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
@click.pass_context
def cli(context: click.Context) -> None:
    """Version control for model weights: every fine-tune a small bit-exact delta."""
    call = context.ensure_object(Invocation)
    if context.invoked_subcommand is None:
        call.parsed = True
        result = {
            "version": deltastore.__version__,
            "store": _store_in_force(call),
            "workspace": workspace_in_force(),
            "commands": {group: list(members) for group, members in COMMANDS.items()},
        }
        call.answer(result, _overview)


def _store_in_force(call: Invocation) -> str | None:
    try:
        settings = call.settings()
        call.store_url()
    except DeltastoreError:
        return None
    return settings.store


def _overview(found: dict[str, Any]) -> str:
    store, here = found["store"], found["workspace"]
    title = f"deltastore {deltastore.__version__}: version control for model weights"
    place = f"store: {printable(store)}" if store else "store: none (see deltastore init --help)"
    facts = [place]
    if here:
        name = f"{here['model']}@{here['branch']}" if here["branch"] else here["model"]
        facts.append(f"workspace: {printable(name)}")
    lines = [f"{title:<61}  {facts[0]}", *(f"{'':<61}  {fact}" for fact in facts[1:])]
    if max(map(len, lines)) > text_width():
        lines = [title, *facts]
    lines += [
        f"  {paint(f'{group:<9}', 'faint')} {'  '.join(names)}" for group, names in COMMANDS.items()
    ]
    lines.append("deltastore COMMAND --help explains a command, with examples")
    return "".join(f"{folded(line, indent=12)}\n" for line in lines)


def run(arguments: Sequence[str]) -> int:
    """One run of the program; returns its exit code."""
    call = Invocation(arguments=tuple(arguments))
    try:
        refuse_credentials(arguments)
        with _logs_on_stderr(call):
            context = cli.make_context("deltastore", list(arguments), obj=call)
            with context:
                cli.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    except ReaderGoneError:
        return READER_GONE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # the one place that tells them all
        return _tell(call, error)
    return 0


def _tell(call: Invocation, error: BaseException) -> int:
    failure = failure_of(error)
    try:
        return call.fail(failure)
    except ReaderGoneError:
        return READER_GONE
    except StorageError:  # standard output itself is what fails
        return failure.exit_code


@contextmanager
def _logs_on_stderr(call: Invocation) -> Generator[None]:
    """Show what the library logs: warnings, and with -v its remarks."""

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING or call.options.get("verbose"):
                label = "warning" if record.levelno >= logging.WARNING else "note"
                call.warn(record.getMessage(), label)

    logger, handler = logging.getLogger("deltastore"), Lines()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def main() -> None:
    """The console script."""
    tolerate_any_text()
    if "_DELTASTORE_COMPLETE" in os.environ:
        from deltastore_cli.completion import answer_shell

        answer_shell(cli)
    code = run(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is said; what is left is Python's own exit
    sys.exit(code)
