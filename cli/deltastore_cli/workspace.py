"""Commands of workspaces: clone, status, switch, restore."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from deltastore_cli.commands import Command
from deltastore_cli.workspace_report import clone_text, restore_text, status_text, switch_text

if TYPE_CHECKING:
    from deltastore_cli.invocation import Invocation

__all__ = ["clone", "restore", "status", "switch"]


@click.command(
    cls=Command,
    examples=("deltastore clone team/chat", "deltastore clone team/chat@dev work/chat-dev"),
)
@click.argument("revision", metavar="REV")
@click.argument("folder", required=False, metavar="[DIR]")
@click.option(
    "--reference",
    metavar="DIR",
    help="A checkpoint at hand, such as the base's folder: what is in it is not fetched.",
)
@click.pass_obj
def clone(call: Invocation, revision: str, folder: str | None, reference: str | None) -> None:
    """Check a version out into a folder to work in.

    DIR, the last part of the model's name unless given, becomes a workspace: it remembers store,
    model, branch and commit, and in it commit, status, switch, restore, log and diff need no names.
    DIR must be new or empty. The same command again finishes what was interrupted.
    """
    with call.open() as store:
        with call.progress() as progress:
            result = store.clone(revision, folder, reference=reference, progress=progress)
        call.answer(result, clone_text)


@click.command(cls=Command, examples=("deltastore status", "deltastore status --json"))
@click.pass_obj
def status(call: Invocation) -> None:
    """Show where a workspace stands and which files changed.

    Only files that were touched since they were last read are read again.
    """
    with call.open() as store:
        with call.progress() as progress:
            result = store.workspace().status(progress=progress)
        call.answer(result, status_text)


@click.command(cls=Command, examples=("deltastore switch main", "deltastore switch -c try-lora"))
@click.argument("branch", metavar="BRANCH")
@click.option("-c", "--create", is_flag=True, help="Make the branch, at HEAD.")
@click.pass_obj
def switch(call: Invocation, branch: str, create: bool) -> None:
    """Change the workspace's files to those of another branch.

    Of the branch it follows, to where that stands by now. Files that are the same in both versions
    keep what was changed in them; where a change would be overwritten, nothing is done (exit 4,
    dirty). The same command again finishes what was interrupted.
    """
    with call.open() as store:
        with call.progress() as progress:
            result = store.workspace().switch(branch, create=create, progress=progress)
        call.answer(result, switch_text)


@click.command(
    cls=Command,
    examples=("deltastore restore config.json", "deltastore restore --source HEAD~1 tokenizer"),
)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--source", metavar="REV", help="The version to take them from; HEAD unless given.")
@click.pass_obj
def restore(call: Invocation, paths: tuple[str, ...], source: str | None) -> None:
    """Bring a workspace's files back as they were committed.

    PATHs are files, folders or globs; without any, all files. What was changed in them is lost;
    files that the version does not have are not touched.
    """
    with call.open() as store:
        with call.progress() as progress:
            result = store.workspace().restore(paths, source=source, progress=progress)
        call.answer(result, restore_text)
