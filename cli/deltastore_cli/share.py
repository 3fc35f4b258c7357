"""Commands that give weights back: checkout, export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from deltastore_cli.commands import Command
from deltastore_cli.quantities import parse_size
from deltastore_cli.summaries import checkout_text, export_text

if TYPE_CHECKING:
    from deltastore_cli.invocation import Invocation

__all__ = ["checkout", "export"]

_FIDELITY = click.option(
    "--fidelity",
    type=click.Choice(["exact", "preview"]),
    default="exact",
    show_default=True,
    help="preview: a small lossy reading, marked as such in the files.",
)


def _bytes(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:  # noqa: ARG001  # click's signature
    return None if value is None else parse_size(value)


@click.command(
    cls=Command,
    examples=(
        "deltastore checkout me/math@v1 out/",
        "deltastore checkout team/chat@prod /models/chat --exclude 'optimizer.*'",
    ),
)
@click.argument("revision", metavar="REV")
@click.argument("folder", metavar="DIR")
@click.option("--include", multiple=True, metavar="GLOB", help="Only these files. Repeatable.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Not these files. Repeatable.")
@_FIDELITY
@click.option("--overwrite", is_flag=True, help="Replace files that differ.")
@click.option(
    "--reference",
    metavar="DIR",
    help="A checkpoint at hand, such as the base's folder: what is in it is not fetched.",
)
@click.pass_obj
def checkout(call: Invocation, /, revision: str, folder: str, **options: Any) -> None:
    """Write a version's files exactly as they were committed.

    DIR may be a URL. Files in it that match already are kept, files of other names never touched. A
    file that differs stops the command before anything is written, unless --overwrite. The same
    command again continues where it was stopped.
    """
    with call.open() as store:
        with call.progress() as progress:
            result = store.checkout(revision, folder, progress=progress, **options)
        call.answer(result, lambda done: checkout_text(done, revision))


@click.command(
    cls=Command,
    examples=(
        "deltastore export me/math fp16/ --dtype float16",
        "deltastore export me/math sharded/ --max-shard-size 5GB",
    ),
)
@click.argument("revision", metavar="REV")
@click.argument("path", metavar="PATH")
@click.option("--tensors", metavar="GLOB", help="Only these tensors.")
@click.option("--dtype", metavar="DTYPE", help="Convert floating-point tensors, such as float16.")
@click.option(
    "--max-shard-size", metavar="SIZE", callback=_bytes, help="Split the weights, such as 5GB."
)
@_FIDELITY
@click.pass_obj
def export(call: Invocation, /, revision: str, path: str, **options: Any) -> None:
    """Write a version's weights changed on the way out.

    Fewer tensors, another dtype, other shards. PATH is a new .safetensors file, or a folder, which
    gets the version's other files too; here or at a URL. For files exactly as committed use
    checkout.
    """
    with call.open() as store:
        with call.progress() as progress:
            result = store.export(revision, path, progress=progress, **options)
        call.answer(result, lambda done: export_text(done, revision, path))
