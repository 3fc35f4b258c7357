"""Commands that only look: log, show, diff, ls, stats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from deltastore.errors import UsageError
from deltastore_cli.commands import Command
from deltastore_cli.diff_report import diff_text
from deltastore_cli.invocation import Invocation
from deltastore_cli.listings import listing_text, stats_text
from deltastore_cli.log_entries import commit_page, log_text
from deltastore_cli.terminal import write_raw
from deltastore_cli.whereabouts import head_or, required_revision, workspace_folder

if TYPE_CHECKING:
    from deltastore import Store
    from deltastore.progress import Progress
    from deltastore.results import Diff

__all__ = ["diff", "log", "ls", "show", "stats"]

DIFFERENT = 8
_LIMIT = click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most N.")


@click.command(
    cls=Command, examples=("deltastore log me/math -n 5", "deltastore log team/chat@prod --graph")
)
@click.argument("revision", required=False, metavar="[REV]")
@click.option("--graph", is_flag=True, help="Draw how histories join, a line per commit.")
@click.option("--oneline", is_flag=True, help="A line per commit.")
@_LIMIT
@click.pass_obj
def log(
    call: Invocation, revision: str | None, graph: bool, oneline: bool, limit: int | None
) -> None:
    """List a revision's history, newest first."""
    with call.open() as store:
        wanted = required_revision(store, "log", revision)
        result = store.log(wanted, limit=limit, graph=graph)
        call.answer(result, lambda found: log_text(found, oneline=oneline))


@click.command(
    cls=Command,
    examples=("deltastore show me/math@v1", "deltastore show me/math@v1:config.json"),
)
@click.argument("revision", required=False, metavar="REV[:PATH]")
@click.pass_obj
def show(call: Invocation, revision: str | None) -> None:
    """Show one commit and its files.

    With :PATH print that file, byte for byte as it was committed.
    """
    with call.open() as store:
        wanted, colon, path = required_revision(store, "show", revision).partition(":")
        wanted = wanted or "HEAD"
        if not colon:
            call.answer(store.show(wanted), commit_page)
        elif not path:
            raise UsageError("no file named behind the colon", hint=f"deltastore ls {wanted}")
        elif call.json:
            raise UsageError("a file's bytes are no JSON document", hint="leave out --json")
        else:
            write_raw(store.read_file(wanted, path))


@click.command(
    cls=Command,
    examples=("deltastore diff meta/llama me/math", "deltastore diff me/math ./out --exit-code"),
)
@click.argument("first", required=False, metavar="[A]")
@click.argument("second", required=False, metavar="[B]")
@click.option("--all", "everything", is_flag=True, help="Every tensor, not the 20 most changed.")
@click.option("--exit-code", is_flag=True, help="Exit with 8 when they differ.")
@click.pass_context
def diff(
    context: click.Context,
    first: str | None,
    second: str | None,
    everything: bool,
    exit_code: bool,
) -> None:
    """Compare files and tensors of two revisions or folders.

    In a workspace: HEAD, or A, and the files. Elsewhere A alone is compared with its parent. What
    begins with ./ or / is a folder, with scheme:// a URL, anything else a revision.
    """
    call = context.ensure_object(Invocation)
    with call.open() as store:
        with call.progress() as progress:
            result = _diff(store, first, second, progress)
        call.answer(result, lambda found: diff_text(found, everything=everything))
    context.exit(DIFFERENT if exit_code and not result.same else 0)


def _diff(store: Store, first: str | None, second: str | None, progress: Progress | None) -> Diff:
    if second is None and workspace_folder() is not None:
        return store.workspace().diff(first, progress=progress)
    if first is None:
        raise UsageError(
            "nothing to compare: no revision given and this is not a workspace",
            hint="deltastore diff A [B]",
        )
    return store.diff(first, second, progress=progress)


@click.command(
    cls=Command,
    examples=("deltastore ls 'team/*'", "deltastore ls me/math@v1 --tensors"),
)
@click.argument("pattern", required=False, metavar="[PATTERN|REV]")
@click.option("--tensors", is_flag=True, help="The tensors of REV.")
@_LIMIT
@click.pass_obj
def ls(call: Invocation, pattern: str | None, tensors: bool, limit: int | None) -> None:
    """List models, or the files or tensors of one version.

    A PATTERN with * or ending in / lists models, anything else is a revision. Without one: all
    models, in a workspace the files of HEAD.
    """
    pattern = head_or(pattern)
    if tensors and pattern is None:
        raise UsageError("--tensors needs a revision", hint="deltastore ls NS/NAME --tensors")
    with call.open() as store:
        call.answer(store.ls(pattern, tensors=tensors, limit=limit), listing_text)


@click.command(cls=Command, examples=("deltastore stats", "deltastore stats me/math --json"))
@click.argument("revision", required=False, metavar="[REV]")
@click.option("--all", "everything", is_flag=True, help="The whole store, in a workspace too.")
@click.pass_obj
def stats(call: Invocation, revision: str | None, everything: bool) -> None:
    """Show what a store or version holds, and what it takes.

    Without REV: the whole store, in a workspace HEAD.
    """
    if everything and revision is not None:
        raise UsageError("--all is the whole store", hint="leave out the revision, or --all")
    with call.open() as store:
        call.answer(store.stats(None if everything else head_or(revision)), stats_text)
