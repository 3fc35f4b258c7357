"""The command that commits many checkpoints at once: import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from deltastore_cli.commands import Command
from deltastore_cli.import_report import import_failure, import_text, plan_line, plan_text
from deltastore_cli.invocation import Invocation
from deltastore_cli.terminal import write_error

if TYPE_CHECKING:
    from deltastore.results import ImportResult

__all__ = ["import_"]


@click.command(
    "import",
    cls=Command,
    examples=(
        "deltastore import s3://ml/ft/ --to 'team/{name}' --base meta/llama --dry-run",
        "deltastore import ~/.cache/huggingface/hub --to 'hub/{name}'",
    ),
)
@click.argument("sources", nargs=-1, required=True, metavar="SRC...")
@click.option(
    "--to",
    required=True,
    metavar="'NS/{name}[@BRANCH]'",
    help="Where they go; {name} is the last part of each one's path, {path} all of it.",
)
@click.option(
    "--base",
    default="auto",
    show_default=True,
    metavar="REV|auto|none",
    help="What they were fine-tuned from.",
)
@click.option(
    "--include",
    multiple=True,
    metavar="GLOB",
    help="Also these of the files left out by default. Repeatable.",
)
@click.option(
    "--exclude", multiple=True, metavar="GLOB", help="Not these files or folders. Repeatable."
)
@click.option("-m", "--message", metavar="MSG", help="Of the commits; unless given, the source.")
@click.option("--dry-run", is_flag=True, help="Show the plan and commit nothing.")
@click.option("--retry", is_flag=True, help="Read again what failed last time.")
@click.pass_context
def import_(context: click.Context, /, sources: tuple[str, ...], to: str, **options: Any) -> None:
    """Commit every checkpoint below folders or URLs.

    Each becomes a model of its own. The plan is shown first. The same command again skips what is
    stored and goes on with the rest; what failed is reported again without reading it, unless it
    changed. A failure stops no other.
    """
    call = context.ensure_object(Invocation)

    def planned(plan: ImportResult) -> None:
        if not options["dry_run"] and not call.quiet:
            write_error(plan_line(plan))

    with call.open() as store:
        with call.progress() as progress:
            result = store.import_(*sources, to=to, planned=planned, progress=progress, **options)
        if result.failed and not result.dry_run:
            failure = import_failure(result)
            context.exit(call.answer_partly(result, import_text, failure, warnings=result.warnings))
        call.answer(result, plan_text if result.dry_run else import_text, warnings=result.warnings)
