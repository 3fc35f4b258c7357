"""The command cache: what was fetched from stores that are not local."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from deltastore_cli.commands import Command
from deltastore_cli.quantities import counted, size_text
from deltastore_cli.terminal import printable

if TYPE_CHECKING:
    from deltastore.results import CacheInfo
    from deltastore_cli.invocation import Invocation

__all__ = ["cache"]


@click.command(cls=Command, examples=("deltastore cache", "deltastore cache --clear"))
@click.option("--clear", is_flag=True, help="Empty it; what is needed again is fetched again.")
@click.pass_obj
def cache(call: Invocation, clear: bool) -> None:
    """Show how large the cache is, or empty it.

    It keeps what was fetched from stores that are not local, so that a base crosses the network
    once. What was used least recently goes when it is full. The settings cache and cache_size say
    where it is and how large it may be; 0 is no cache.
    """
    import deltastore

    settings = call.settings()
    look = deltastore.clear_cache if clear else deltastore.cache_info
    call.answer(look(cache=settings.cache, cache_size=settings.cache_size), _text)


def _text(found: CacheInfo) -> str:
    limit = f"at most {size_text(found.limit)}" if found.limit else "not used: cache_size is 0"
    freed = f"freed {size_text(found.freed_bytes)}\n" if found.freed_bytes else ""
    held = f"{size_text(found.bytes)} in {counted(found.entries, 'piece')}"
    return f"{freed}cache    {printable(found.folder)}\nholds    {held}, {limit}\n"
