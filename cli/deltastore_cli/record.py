"""Commands that record: commit, branch, tag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from deltastore.errors import DeltastoreError, UsageError
from deltastore_cli.assignments import assignments, density, metric_values
from deltastore_cli.commands import Command
from deltastore_cli.listings import RefList, refs_text
from deltastore_cli.move_reports import ref_move_text
from deltastore_cli.summaries import commit_text
from deltastore_cli.whereabouts import workspace_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltastore import Store
    from deltastore.results import Commit
    from deltastore_cli.invocation import Invocation

__all__ = ["branch", "commit", "tag"]


@click.command(
    cls=Command,
    examples=(
        'deltastore commit llama-8b --to meta/llama -m "as released"',
        "deltastore commit ft --to me/ft --base meta/llama -m sft --metric gsm8k=0.71",
    ),
)
@click.argument("path", required=False, metavar="[PATH]")
@click.option("--to", metavar="NS/NAME[@BRANCH]", help="Where it goes; @BRANCH in a workspace.")
@click.option("-m", "--message", required=True, metavar="MSG", help="What it is.")
@click.option("--base", metavar="REV|auto|none", help="What it was fine-tuned from.")
@click.option("--parent", metavar="REV", help="Where a new branch grows from.")
@click.option("--expect", metavar="REV|none", help="Fail unless the branch still stands there.")
@click.option(
    "--include",
    multiple=True,
    metavar="GLOB",
    help="Also these of the files left out by default. Repeatable.",
)
@click.option("--exclude", multiple=True, metavar="GLOB", help="Not these files. Repeatable.")
@click.option(
    "--meta",
    "metadata",
    multiple=True,
    metavar="K=V",
    callback=assignments,
    help="A remark to keep.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME=NUMBER",
    callback=metric_values,
    help="A measurement to keep.",
)
@click.option(
    "--preview",
    default="0.05",
    metavar="DENSITY|off",
    show_default=True,
    callback=density,
    help="Fraction of each delta that a preview keeps.",
)
@click.option(
    "--reference",
    metavar="DIR",
    help="A checkpoint at hand, such as the base's folder: what is in it is not fetched.",
)
@click.option("--lossy", is_flag=True, help="Take files that are marked as previews.")
@click.pass_obj
def commit(
    call: Invocation, /, path: str | None, to: str | None, message: str, **options: Any
) -> None:
    """Store a checkpoint as a whole version.

    PATH is a folder or one file, here or at a URL such as s3://runs/ft-7. A branch that exists is
    appended to; the same files as its tip record nothing. Without --base the parent's base is kept;
    of a new branch, or with --base auto, the nearest version in the store is found.

    Left out unless included: .git .cache .deltastore __pycache__ *.lock .DS_Store and what
    .deltastoreignore names.

    In a workspace PATH is its folder, --to its branch and --expect its HEAD unless given, and HEAD
    moves on; --to @NAME is a branch of its model, which it follows from then on.
    """
    with call.open() as store:
        with call.progress() as progress:
            record = _committing(store, path, to)
            result = record(path, to=to, message=message, progress=progress, **options)
        call.answer(result, commit_text, warnings=result.warnings)


def _committing(store: Store, path: str | None, to: str | None) -> Callable[..., Commit]:
    """The workspace's way to commit where one stands in one, else the store's."""
    explicit = path is not None and to is not None and not to.startswith("@")
    if workspace_folder() is None:
        if explicit:
            return store.commit
        missing = "PATH and --to" if path is None and to is None else "PATH" if to else "--to"
        raise UsageError(
            f"no {missing} given and this is not a workspace",
            hint="deltastore commit FOLDER --to NAMESPACE/NAME -m MESSAGE",
        )
    try:
        return store.workspace().commit
    except DeltastoreError:
        if explicit:  # a workspace of another store, or damaged, is not what this is about
            return store.commit
        raise


@click.command(
    cls=Command,
    examples=(
        "deltastore branch team/chat@prod 4c1f09ab23de -f -m 'ticket 812'",
        "deltastore branch team/chat@old -d",
    ),
)
@click.argument("name", required=False, metavar="[NS/NAME[@BRANCH]]")
@click.argument("revision", required=False, metavar="[REV]")
@click.option("-d", "--delete", is_flag=True, help="Delete the branch.")
@click.option("-f", "--force", is_flag=True, help="Move a branch that exists.")
@click.option("-m", "--message", default="", metavar="MSG", help="Why, for the reflog.")
@click.pass_obj
def branch(
    call: Invocation,
    name: str | None,
    revision: str | None,
    delete: bool,
    force: bool,
    message: str,
) -> None:
    """List, make, move or delete branches.

    Without a branch name: list all, or those of NS/NAME. A new branch stands at REV.
    """
    with call.open() as store:
        if name is None or "@" not in name:
            _only_listing(name, "branch", revision, delete or force)
            call.answer(RefList(store.branches(name)), refs_text)
        else:
            moved = store.branch(name, revision, delete=delete, force=force, message=message)
            call.answer(moved, ref_move_text, warnings=moved.warnings)


@click.command(
    cls=Command,
    examples=(
        "deltastore tag me/math@v1",
        "deltastore tag me/math@v2 4c1f09ab23de -m 'to customers'",
    ),
)
@click.argument("name", required=False, metavar="[NS/NAME[@TAG]]")
@click.argument("revision", required=False, metavar="[REV]")
@click.option("-d", "--delete", is_flag=True, help="Delete the tag.")
@click.option("-m", "--message", default="", metavar="MSG", help="Why, for the reflog.")
@click.pass_obj
def tag(
    call: Invocation, name: str | None, revision: str | None, delete: bool, message: str
) -> None:
    """List, make or delete tags, which never move.

    Without a tag name: list all, or those of NS/NAME. A new tag stands at REV.
    """
    with call.open() as store:
        if name is None or "@" not in name:
            _only_listing(name, "tag", revision, delete)
            call.answer(RefList(store.tags(name)), refs_text)
        else:
            moved = store.tag(name, revision, delete=delete, message=message)
            call.answer(moved, ref_move_text, warnings=moved.warnings)


def _only_listing(name: str | None, kind: str, revision: str | None, changes: bool) -> None:
    if name is not None and "/" not in name and name != "HEAD":
        example = f"@{name}" if workspace_folder() is not None else f"NAMESPACE/NAME@{name}"
        raise UsageError(
            f"{name!r} is no model; a {kind} is written with @ before it",
            hint=f"deltastore {kind} {example}",
        )
    if revision is not None or changes:
        raise UsageError(
            f"which {kind}? {name or 'nothing'} names no {kind}",
            hint=f"write {name or 'NS/NAME'}@{kind.upper()}",
        )
