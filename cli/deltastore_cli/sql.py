"""The command sql: questions in SQL, to the catalog's public tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from deltastore.errors import UsageError
from deltastore_cli.commands import Command
from deltastore_cli.found_tables import csv_text, records_text, rows_text
from deltastore_cli.quantities import parse_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltastore.results import Table
    from deltastore_cli.invocation import Invocation

__all__ = ["sql"]

_FORMS: dict[str, Callable[[Table], str]] = {
    "table": rows_text,
    "csv": csv_text,
    "json": records_text,
}


def _size(context: click.Context, parameter: click.Parameter, value: str) -> int:  # noqa: ARG001  # click's signature
    return parse_size(value)


@click.command(
    cls=Command,
    examples=(
        'deltastore sql "SELECT model, branches FROM models ORDER BY branches DESC"',
        "deltastore sql \"FROM metrics WHERE name = 'mmlu'\" --format csv > mmlu.csv",
    ),
)
@click.argument("query", metavar="QUERY")
@click.option(
    "--format",
    "form",
    type=click.Choice(tuple(_FORMS)),
    default="table",
    show_default=True,
    help="How rows are printed; json: an array of objects.",
)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    default=10_000,
    show_default=True,
    help="At most N rows.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    metavar="SECONDS",
    default=30.0,
    show_default=True,
    help="Give up after so long.",
)
@click.option(
    "--memory",
    metavar="SIZE",
    default="1GB",
    show_default=True,
    callback=_size,
    help="What the query may take.",
)
@click.pass_obj
def sql(call: Invocation, query: str, form: str, limit: int, timeout: float, memory: int) -> None:
    """Ask the catalog in SQL, DuckDB's dialect.

    One statement that reads; SHOW TABLES and DESCRIBE commits say what there is. It runs confined:
    it can write nothing, reach no other file and no network.
    """
    if call.json and form == "csv":
        raise UsageError("--json and --format csv: which one?", hint="leave out one of them")
    with call.open() as store:
        found = store.sql(query, limit=limit, timeout=timeout, memory=memory)
        more = (f"only the first {limit:,} rows: -n N for more",) if found.truncated else ()
        call.answer(found, _FORMS[form], warnings=more)
