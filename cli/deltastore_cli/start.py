"""The first commands: init, config, doctor, completion."""

from __future__ import annotations

import click

from deltastore.config import SETTING_KEYS
from deltastore.errors import UsageError
from deltastore_cli import examination, settings_table
from deltastore_cli.commands import Command
from deltastore_cli.invocation import Invocation
from deltastore_cli.summaries import init_text
from deltastore_cli.user_settings import remove_setting, write_setting

__all__ = ["completion", "config", "doctor", "init"]


@click.command(
    cls=Command,
    examples=("deltastore init models.ds", "deltastore init s3://ml/models.ds --json"),
)
@click.argument("url", required=False)
@click.option(
    "--unsafe-single-writer",
    is_flag=True,
    help="Take a place where two writers could overwrite each other: only one process may write.",
)
@click.pass_obj
def init(call: Invocation, url: str | None, unsafe_single_writer: bool) -> None:
    """Make a store and probe whether many may write to it at once.

    URL is a folder or any fsspec URL, such as s3://bucket/prefix; without it, the store in force.
    On a store that exists nothing is changed.
    """
    import deltastore

    place, options = call.store_url(url), call.store_options()
    with deltastore.init(place, unsafe_single_writer=unsafe_single_writer, **options) as store:
        made = store.initialized
        if made is not None:
            call.answer(made, lambda found: init_text(found, place))


@click.command(
    cls=Command,
    examples=("deltastore config", "deltastore config store s3://ml/models.ds"),
)
@click.argument("key", required=False, metavar="[KEY")
@click.argument("value", required=False, metavar="[VALUE]]")
@click.option("--unset", is_flag=True, help="Take KEY out of the user's file.")
@click.pass_obj
def config(call: Invocation, key: str | None, value: str | None, unset: bool) -> None:
    """Show settings and where each comes from, or keep one.

    With VALUE the setting is kept in the user's file; a relative path is made absolute. An option
    wins over the environment, that over the workspace one stands in, and that over the file.
    """
    if unset and (key is None or value is not None):
        raise UsageError("--unset takes one KEY", hint=f"settings: {', '.join(SETTING_KEYS)}")
    if unset and key:
        remove_setting(key)
    elif key and value is not None:
        write_setting(key, value)
    call.answer(settings_table.collect(call.settings(), key), settings_table.text)


@click.command(
    cls=Command, examples=("deltastore doctor", "deltastore -s s3://ml/models.ds doctor")
)
@click.pass_context
def doctor(context: click.Context) -> None:
    """Look at machine, settings and store, and say what is wrong.

    Exits with 0 when all is well, with the store's error when it cannot be opened, else with 7.
    """
    call = context.ensure_object(Invocation)
    result, exit_code = examination.examine(call)
    call.answer(result, examination.text)
    context.exit(exit_code)


@click.command(
    cls=Command,
    examples=(
        'eval "$(deltastore completion bash)"',
        "deltastore completion fish > ~/.config/fish/completions/deltastore.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a shell's completion script.

    Commands, options, models, branches and tags are completed; a distant store has a second to
    answer. For bash and zsh put the first example into ~/.bashrc or ~/.zshrc.
    """
    from deltastore_cli.completion import script

    written = script(context.find_root().command, shell)
    context.ensure_object(Invocation).answer(
        {"shell": shell, "script": written}, lambda found: found["script"] + "\n"
    )
