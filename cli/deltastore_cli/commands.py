"""Commands and groups as this program has them: global options anywhere, examples, suggestions."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from deltastore.config import MAX_THREADS, PROGRESS_MODES
from deltastore.errors import UsageError
from deltastore_cli.candidates import completed_type
from deltastore_cli.invocation import Invocation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["INSTEAD", "Command", "CommandTable", "GroupedCommands", "global_options"]

GLOBAL_NAMES = ("store", "json", "quiet", "verbose", "progress", "threads")
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
INSTEAD = {
    "add": "nothing has to be added: deltastore commit takes a folder as it is",
    "fetch": "a store is shared: what others commit is there at once",
    "gc": "this version frees no space yet",
    "help": "deltastore --help, or deltastore COMMAND --help",
    "merge": "this version does not merge weights yet",
    "pull": "a store is shared: in a workspace, switch BRANCH takes what is new there",
    "push": "a store is shared: a commit is visible to all at once",
}
"""What to do instead, for words that other programs have and this one has not."""
CommandTable = dict[str, dict[str, str]]


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    name = parameter.name or ""
    if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
        context.ensure_object(Invocation).options[name] = value


def global_options() -> list[click.Parameter]:
    """New options that every command has, and the program itself before its command."""

    def option(*names: str, **settings: Any) -> click.Option:
        return click.Option(names, expose_value=False, callback=_remember, **settings)

    return [
        option("-s", "--store", metavar="URL", help="The store: a folder or any fsspec URL."),
        option("--json", is_flag=True, help="Exactly one JSON document on standard output."),
        option("-q", "--quiet", is_flag=True, help="Results and errors only."),
        option("-v", "--verbose", is_flag=True, help="Say more on standard error."),
        option(
            "--progress",
            type=click.Choice(PROGRESS_MODES),
            help="How work under way is shown; auto: bars on a terminal, else a line a minute.",
        ),
        option(
            "-j",
            "--threads",
            metavar="N",
            type=click.IntRange(1, MAX_THREADS),
            help="Threads to work with; all processors unless given.",
        ),
    ]


def _complete(parameters: Sequence[click.Parameter]) -> None:
    for parameter in parameters:
        parameter.type = completed_type(parameter) or parameter.type


def _write_options(self: click.Command, context: click.Context, help_: click.HelpFormatter) -> None:
    """The command's own options, then the global ones."""
    own: list[tuple[str, str]] = []
    shared: list[tuple[str, str]] = []
    for parameter in self.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            (shared if parameter.name in GLOBAL_NAMES else own).append(record)
    for title, records in (
        ("Options", own),
        ("Global options, before or after the command", shared),
    ):
        if records:
            with help_.section(title):
                help_.write_dl(records)


def _show_help(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """As results are written, so that a reader may leave and `--json` holds."""
    del parameter
    if value and not context.resilient_parsing:
        help_ = {"help": context.get_help()}
        context.ensure_object(Invocation).answer(help_, lambda found: f"{found['help']}\n")
        context.exit()


class _Helpful(click.Command):
    """A command whose help is an answer like others."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """The option of click, which would print by itself."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _show_help
        return option


class Command(_Helpful):
    """A command with the global options and two examples at the end of its help."""

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **settings: Any) -> None:
        settings.setdefault("context_settings", HELP)
        super().__init__(*arguments, **settings)
        self.examples = tuple(examples)
        self.params += global_options()
        _complete(self.params)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parse; an error knows by then which command it belongs to."""
        invocation = parent.ensure_object(Invocation) if parent else None
        if invocation:
            invocation.command = self.name
        context = super().make_context(info_name, args, parent, **extra)
        if invocation:
            invocation.parsed = True
        return context

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Own options first, global ones apart."""
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        """The examples."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


class GroupedCommands(_Helpful, click.Group):
    """The program: commands in groups, each loaded when it is asked for."""

    def __init__(
        self, *arguments: Any, table: Mapping[str, Mapping[str, str]], **settings: Any
    ) -> None:
        settings.setdefault("context_settings", HELP)
        super().__init__(*arguments, **settings)
        self.table = table
        self._places = {
            name: place for members in table.values() for name, place in members.items()
        }
        self.params += global_options()
        _complete(self.params)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """All names, in the order of the groups."""
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        """Load one command."""
        from importlib import import_module

        place = self._places.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        loaded: click.Command = getattr(import_module(module), attribute)
        return loaded

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which was probably meant."""
        if not ctx.resilient_parsing and args[0] not in self._places and args[0][:1] != "-":
            close = get_close_matches(args[0], self._places, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "deltastore --help lists them"
            hint = INSTEAD.get(args[0], hint)
            raise UsageError(f"no such command {args[0]!r}", hint=hint)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands, group by group, then the global options."""
        for group, members in self.table.items():
            with formatter.section(group.capitalize()):
                commands = [(name, self.get_command(ctx, name)) for name in members]
                formatter.write_dl(
                    [
                        (name, command.get_short_help_str(80))
                        for name, command in commands
                        if command
                    ]
                )
        _write_options(self, ctx, formatter)
