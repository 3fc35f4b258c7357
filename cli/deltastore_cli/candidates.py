"""What the Tab key offers where a name is wanted: models, branches, tags, settings, files.

What a parameter calls its value in the help (`REV`, `NS/NAME[@BRANCH]`, `PATH`) decides, so that
every command has it without saying so.
"""

from __future__ import annotations

import re
from threading import Thread
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType

from deltastore.config import PROGRESS_MODES, SETTING_KEYS
from deltastore_cli.invocation import Invocation
from deltastore_cli.whereabouts import workspace_in_force

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeVar

    from deltastore import Store
    from deltastore.results import ModelInfo

    Items = list[CompletionItem[str]]
    T = TypeVar("T")

__all__ = ["completed_type"]

DEADLINE_SECONDS = 1.0
_PATH = re.compile(r"[./~\\]|[A-Za-z][A-Za-z0-9+.-]*://")
# a branch may be called `x;reboot`: nothing a shell would act on is put into a command line
_HARMLESS = re.compile(r"[\w./@:+,%=-]+")


class Revisions(StringParamType):
    """Models and, after the `@`, their branches and tags; what looks like a path is a file.

    Args:
        kinds: of names that may follow the `@`.
        files: after a `:` come the files of the version.
    """

    def __init__(self, *kinds: str, files: bool = False) -> None:
        self._kinds = kinds
        self._files = files

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
        """What begins so."""
        del param
        if _PATH.match(incomplete):
            return [CompletionItem(incomplete, type="file")]
        revision, colon, _ = incomplete.partition(":")
        if colon:
            return _items(incomplete, _files_of(ctx, revision) if self._files else ())
        models = _in_time(ctx, lambda store: store.ls().models or ())
        return _items(incomplete, self._names(models, incomplete))

    def _names(self, models: Sequence[ModelInfo], incomplete: str) -> Iterable[str]:
        """Models; where only one is left, and it is not just `main`, also what stands in it."""
        wanted, at, _ = incomplete.partition("@")
        here = workspace_in_force() if at and not wanted else None
        if here is not None:
            mine = [found for found in models if found.model == here["model"]]
            yield from (f"@{name}" for found in mine for name in self._names_in(found))
            return
        fitting = [found for found in models if found.model.startswith(wanted)]
        if at:
            fitting = [found for found in fitting if found.model == wanted]
        else:
            yield from (found.model for found in fitting)
        for found in fitting if len(fitting) == 1 else ():
            names = self._names_in(found)
            if at or names != ["main"]:
                yield from (f"{found.model}@{name}" for name in names)

    def _names_in(self, found: ModelInfo) -> list[str]:
        names = [*(found.branches if "branch" in self._kinds else ())]
        return [*names, *(found.tags if "tag" in self._kinds else ())]


class Branches(StringParamType):
    """Branches of the workspace's model."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
        """What begins so."""
        del param
        here = workspace_in_force()
        model = here["model"] if here else None
        branches = _in_time(ctx, lambda store: store.branches(model) if model else ())
        return _items(incomplete, (found.name for found in branches))


class Files(StringParamType):
    """Whatever the shell offers for files."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
        """Left to the shell."""
        del ctx, param
        return [CompletionItem(incomplete, type="file")]


class Keys(StringParamType):
    """Names of settings."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
        """What begins so."""
        del ctx, param
        return _items(incomplete, SETTING_KEYS)


class Values(StringParamType):
    """What the setting may hold that was named before."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
        """Modes of progress, or places for a store or cache."""
        del param
        key = ctx.params.get("key")
        if key in ("store", "cache"):
            return [CompletionItem(incomplete, type="dir")]
        return _items(incomplete, PROGRESS_MODES if key == "progress" else ())


_BY_LABEL: tuple[tuple[re.Pattern[str], click.ParamType[str]], ...] = (
    (re.compile(r"REV\[?:PATH"), Revisions("branch", "tag", files=True)),
    (re.compile(r"\bREV|^\[?[AB]\]?$"), Revisions("branch", "tag")),
    (re.compile(r"@TAG"), Revisions("tag")),
    (re.compile(r"^BRANCH$"), Branches()),
    (re.compile(r"@(BRANCH|NAME)"), Revisions("branch")),
    (re.compile(r"NS/NAME"), Revisions()),
    (re.compile(r"\bKEY\b"), Keys()),
    (re.compile(r"\bVALUE\b"), Values()),
    (re.compile(r"\b(PATH|FILE|DIR|FOLDER|SRC|URL)\b"), Files()),
)


def completed_type(parameter: click.Parameter) -> click.ParamType[str] | None:
    """The type that completes a parameter, by what the help calls its value; None for others."""
    if parameter.type is not click.STRING:
        return None
    label = parameter.metavar or (parameter.name or "").upper()
    return next((kind for pattern, kind in _BY_LABEL if pattern.search(label)), None)


def _items(incomplete: str, names: Iterable[str]) -> Items:
    return [
        CompletionItem(name)
        for name in names
        if name.startswith(incomplete) and _HARMLESS.fullmatch(name)
    ]


def _files_of(context: click.Context, revision: str) -> list[str]:
    files = _in_time(context, lambda store: store.ls(revision).files or ())
    return [f"{revision}:{file.path}" for file in files]


def _in_time(context: click.Context, find: Callable[[Store], Sequence[T]]) -> Sequence[T]:
    """What the store in force answers within a second; nothing if it does not, or fails."""
    found: list[Sequence[T]] = []

    def ask() -> None:
        try:
            with context.ensure_object(Invocation).open() as store:
                found.append(find(store))
        except Exception:  # noqa: BLE001, S110  # whatever it is, a prompt is no place to tell it
            pass

    asking = Thread(target=ask, daemon=True)
    asking.start()
    asking.join(DEADLINE_SECONDS)
    return found[0] if found else ()
