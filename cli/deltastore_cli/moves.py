"""Commands that move refs and take things back: reset, rm, mv, undo, revert, and reflog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from deltastore.errors import UsageError
from deltastore_cli.commands import Command
from deltastore_cli.move_reports import (
    ref_move_text,
    reflog_text,
    remove_text,
    rename_text,
    revert_text,
    taken_back_text,
    taking_back_text,
    undo_text,
)
from deltastore_cli.terminal import write_output
from deltastore_cli.whereabouts import head_or

if TYPE_CHECKING:
    from deltastore_cli.invocation import Invocation

__all__ = ["mv", "reflog", "reset", "revert", "rm", "undo"]

MAX_DIGITS = 20
"""Of an entry's number, as keys of the log have them."""
_MESSAGE = click.option("-m", "--message", default="", metavar="MSG", help="Why, for the reflog.")


@click.command(
    cls=Command,
    examples=(
        "deltastore reset team/chat@main team/chat@main~1",
        "deltastore reset team/chat@prod 4c1f09ab23de --expect 9d20b7711c3e",
    ),
)
@click.argument("name", metavar="NS/NAME@BRANCH")
@click.argument("revision", metavar="REV")
@click.option("--expect", metavar="REV", help="Fail unless the branch still stands there.")
@_MESSAGE
@click.pass_obj
def reset(call: Invocation, name: str, revision: str, expect: str | None, message: str) -> None:
    """Move a branch to any commit.

    Nothing is deleted: the commits that leave the branch stay in the reflog.
    """
    with call.open() as store:
        moved = store.reset(name, revision, expect=expect, message=message)
        call.answer(moved, ref_move_text, warnings=moved.warnings)


@click.command(
    cls=Command,
    examples=(
        "deltastore rm team/ft-0001 team/ft-0002",
        "deltastore rm me/mahth -m 'a typing error'",
    ),
)
@click.argument("models", nargs=-1, required=True, metavar="NS/NAME...")
@_MESSAGE
@click.pass_obj
def rm(call: Invocation, models: tuple[str, ...], message: str) -> None:
    """Remove models: all their branches and tags.

    All are removed or none. Nothing is freed yet, and undo brings them back.
    """
    with call.open() as store:
        call.answer(store.rm(models, message=message), remove_text)


@click.command(
    cls=Command,
    examples=(
        "deltastore mv me/mahth me/math",
        "deltastore mv me/ft-7 team/chat -m 'adopted by the team'",
    ),
)
@click.argument("old", metavar="NS/NAME")
@click.argument("new", metavar="NS/NAME")
@_MESSAGE
@click.pass_obj
def mv(call: Invocation, old: str, new: str, message: str) -> None:
    """Rename a model, with all its branches and tags."""
    with call.open() as store:
        call.answer(store.mv(old, new, message=message), rename_text)


def _entry_number(
    context: click.Context,  # noqa: ARG001  # click's signature
    parameter: click.Parameter,  # noqa: ARG001  # click's signature
    value: str | None,
) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS):
        raise UsageError(
            f"{value!r} is no number of an entry", hint="deltastore reflog shows the numbers"
        )
    return int(value)


@click.command(cls=Command, examples=("deltastore undo", "deltastore undo 4211 --dry-run"))
@click.argument("seq", required=False, callback=_entry_number, metavar="[SEQ]")
@click.option("--dry-run", is_flag=True, help="Show what would be taken back, and change nothing.")
@click.pass_obj
def undo(call: Invocation, seq: int | None, dry_run: bool) -> None:
    """Take back what you did last, or the entry SEQ of the reflog.

    Branches and tags go back to where they stood before; again does it again. What others have
    done, or built on, is a conflict.
    """
    with call.open() as store:
        shown = store.undo(seq, dry_run=True)
        if dry_run or shown.unchanged:
            call.answer(shown, undo_text)
            return
        if not call.json:
            write_output(taking_back_text(shown))
        call.answer(store.undo(shown.seq), taken_back_text)


@click.command(
    cls=Command,
    examples=(
        "deltastore revert team/chat",
        "deltastore revert team/chat~3 -m 'without dpo'",
    ),
)
@click.argument("revision", metavar="REV")
@click.option("--to", metavar="NS/NAME[@BRANCH]", help="The branch; that of REV unless given.")
@click.option("-m", "--message", metavar="MSG", help="What it is; as git says it unless given.")
@click.pass_obj
def revert(call: Invocation, revision: str, to: str | None, message: str | None) -> None:
    """Make a new commit that takes one commit's change back.

    Of a branch's tip: its parent's files, byte for byte. Of an older commit: its change is
    subtracted from the weights that have changed since, and the answer says so.
    """
    with call.open() as store:
        with call.progress() as progress:
            result = store.revert(revision, to=to, message=message, progress=progress)
        call.answer(result, revert_text, warnings=result.warnings)


@click.command(
    cls=Command,
    examples=("deltastore reflog team/chat@prod -n 2", "deltastore reflog --json"),
)
@click.argument("revision", required=False, metavar="[NS/NAME[@NAME]]")
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most N.")
@click.pass_obj
def reflog(call: Invocation, revision: str | None, limit: int | None) -> None:
    """Show where branches and tags stood, who moved them, and why.

    Newest first; of one branch or tag, of all of a model, or of all there are; in a workspace of
    its branch. A model that was removed or renamed still has one.
    """
    with call.open() as store:
        call.answer(store.reflog(head_or(revision), limit=limit), reflog_text)
