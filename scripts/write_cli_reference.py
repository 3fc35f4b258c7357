"""Write docs/reference/cli.md from the commands themselves.

Usage: python scripts/write_cli_reference.py
"""

from __future__ import annotations

from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deltastore_cli.commands import GLOBAL_NAMES
from deltastore_cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "cli.md"

INTRODUCTION = """\
# Command line

Written by `scripts/write_cli_reference.py` from the commands themselves.

A **store** is chosen by `-s URL`, else by `DELTASTORE_STORE`, else by the
[workspace](../how-to/work-in-a-folder.md) one stands in, else by the user's configuration.

A **revision** is `namespace/name[@REV]`: REV is a branch, a tag or a commit id (at least four
digits), then any of `~N`, `^`, `^N`, `@{N}`; without one it is `main`. A bare commit id of at least
seven digits is a revision too. In a workspace `@REV`, `HEAD` and `HEAD~1` are of its model. Where
both a path and a revision are possible, what begins with `.`,
`/`, `~` or `scheme://` is a path.

**Results** go to standard output, progress and warnings to standard error. With `--json` exactly
one document is printed: `{"deltastore": 1, "command": ..., "result": {...}}`, on failure with
`error` {`kind`, `message`, `hint`} instead. Sizes in it are bytes, times RFC 3339 UTC, ids full
hex. What commands exit with: [errors and exit codes](errors.md).

These options are accepted before and after every command:
"""


def page() -> str:
    """The whole page."""
    context = context_of(cli)
    parts = [INTRODUCTION, table(cli, context, shared=True) + "\n"]
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if command is not None:
            parts.append(section(command, context_of(command, context)))
    return "\n".join(parts)


def context_of(command: click.Command, parent: click.Context | None = None) -> click.Context:
    """As the program makes it: click keeps the first help option that a context asks for."""
    name = command.name or "deltastore"
    return click.Context(command, parent, info_name=name, **command.context_settings)


def section(command: click.Command, context: click.Context) -> str:
    """One command: usage, help, options, examples."""
    usage = " ".join(["deltastore", command.name or "", *command.collect_usage_pieces(context)])
    parts = [f"## {command.name}", f"```text\n{usage}\n```", cleandoc(command.help or "")]
    parts.append(table(command, context, shared=False))
    examples = "\n".join(getattr(command, "examples", ()))
    parts.append(f"```sh\n{examples}\n```" if examples else "")
    return "\n\n".join(part for part in parts if part) + "\n"


def table(command: click.Command, context: click.Context, *, shared: bool) -> str:
    """The options of one kind as a Markdown table; empty without any."""
    rows = [
        f"| `{escaped(names)}` | {escaped(text)} |"
        for names, text in records(command, context, shared)
    ]
    return "\n".join(["| option | |", "|---|---|", *rows]) if rows else ""


def records(
    command: click.Command, context: click.Context, shared: bool
) -> Iterator[tuple[str, str]]:
    """Names and help of a command's options, without `--help`."""
    for parameter in command.params:
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None and (parameter.name in GLOBAL_NAMES) == shared:
            yield record


def escaped(text: str) -> str:
    """Text for one cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
