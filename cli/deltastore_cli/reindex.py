"""The command reindex: the catalog, made again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from deltastore_cli.commands import Command
from deltastore_cli.quantities import counted

if TYPE_CHECKING:
    from deltastore.results import Reindexed
    from deltastore_cli.invocation import Invocation

__all__ = ["reindex"]


@click.command(cls=Command, examples=("deltastore reindex", "deltastore reindex --dry-run --json"))
@click.option("--dry-run", is_flag=True, help="Say only what would be read.")
@click.pass_obj
def reindex(call: Invocation, dry_run: bool) -> None:
    """Make this machine's catalog again from the store.

    Never needed for correctness: the catalog is kept up to date by itself, damage to it is noticed,
    and nothing in a store depends on it.
    """
    with call.open() as store:
        call.answer(store.reindex(dry_run=dry_run), _text)


def _text(found: Reindexed) -> str:
    read = f"{counted(found.commits, 'commit')} and {counted(found.packs, 'pack')}"
    if not found.rebuilt:
        return f"would read {read}, up to log entry {found.entry:,}\n"
    lines = [f"made again from {read}, up to log entry {found.entry:,}"]
    if found.unread:
        lines.append(f"{found.unread:,} of them could not be read: deltastore fsck says why")
    return "".join(f"{line}\n" for line in lines)
