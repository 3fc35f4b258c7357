"""The command find: versions that fit a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from deltastore.errors import UsageError
from deltastore_cli.commands import Command
from deltastore_cli.found_tables import csv_text, found_text, records_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltastore.results import Table
    from deltastore_cli.invocation import Invocation

__all__ = ["find"]

_FORMS: dict[str, Callable[[Table], str]] = {
    "table": found_text,
    "csv": csv_text,
    "json": records_text,
}


@click.command(
    cls=Command,
    examples=(
        "deltastore find 'metric.mmlu>0.6 base:meta/llama' --sort metric.mmlu",
        "deltastore find 'model:team/* time>=2026-01 message~sft' --tips -n 20",
    ),
)
@click.argument("query", nargs=-1, metavar="QUERY")
@click.option(
    "--sort", metavar="FIELD", help="By time, files, bytes or metric.NAME; largest first."
)
@click.option("--ascending", is_flag=True, help="Smallest or oldest first.")
@click.option("--tips", is_flag=True, help="Only what a branch or tag stands on.")
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most N.")
@click.option(
    "--format",
    "form",
    type=click.Choice(tuple(_FORMS)),
    default="table",
    show_default=True,
    help="How versions are printed; csv and json: whole ids, for programs.",
)
@click.pass_obj
def find(
    call: Invocation,
    query: tuple[str, ...],
    sort: str | None,
    ascending: bool,
    tips: bool,
    limit: int | None,
    form: str,
) -> None:
    """Find versions by what was recorded of them, newest first.

    QUERY is terms that all have to fit: metric.mmlu>0.6, base:meta/llama, author:ada, run=42,
    message~sft, time>2026-01, model:team/*, branch:main, tensor:lm_head.*, file:optimizer.pt. A
    minus before a term turns it round, `or` begins another set of terms. Quote the whole: shells
    read > and * themselves.
    """
    if call.json and form == "csv":
        raise UsageError("--json and --format csv: which one?", hint="leave out one of them")
    with call.open() as store:
        found = store.find(" ".join(query), sort=sort, ascending=ascending, tips=tips, limit=limit)
        call.answer(found, _FORMS[form])
