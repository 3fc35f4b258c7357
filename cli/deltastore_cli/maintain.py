"""Commands that maintain a store: fsck."""

from __future__ import annotations

import click

from deltastore_cli.commands import Command
from deltastore_cli.invocation import Invocation
from deltastore_cli.listings import fsck_text

__all__ = ["fsck"]

DAMAGED = 6


@click.command(
    cls=Command, examples=("deltastore fsck", "deltastore fsck --tensors me/math@v1 --json")
)
@click.argument("revisions", nargs=-1, metavar="[REV]...")
@click.option("--log", "log_only", is_flag=True, help="The log chain only, not the packs.")
@click.option("--tensors", is_flag=True, help="Also decode every tensor and compare its digest.")
@click.pass_context
def fsck(context: click.Context, revisions: tuple[str, ...], log_only: bool, tensors: bool) -> None:
    """Check that a store holds what it promised.

    Exits with 6 and the findings where it does not. Checks the log chain and every pack; with REV
    what those versions need.
    """
    call = context.ensure_object(Invocation)
    with call.open() as store:
        with call.progress() as progress:
            result = store.fsck(
                log=True,
                packs=not log_only,
                tensors=tensors,
                revisions=revisions,
                progress=progress,
            )
        call.answer(result, fsck_text)
    context.exit(0 if result.ok else DAMAGED)
