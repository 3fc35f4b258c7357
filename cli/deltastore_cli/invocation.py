"""One run of the program: its global options, the store in force, and its one answer."""

from __future__ import annotations

import re
import signal
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltastore.errors import NotAStoreError, UsageError
from deltastore_cli.credentials import redact, refuse_credentials
from deltastore_cli.documents import error_document, partial_document, result_document
from deltastore_cli.progress import progress_report
from deltastore_cli.terminal import paint, printable, write_error, write_output
from deltastore_cli.user_settings import read_settings
from deltastore_cli.whereabouts import with_workspaces_store, workspace_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from contextlib import AbstractContextManager
    from typing import TypeVar

    from deltastore import Store
    from deltastore.config import Settings
    from deltastore_cli.failures import Failure
    from deltastore_cli.progress import Bars, PlainLines

    R = TypeVar("R")

__all__ = ["Invocation"]

_RECORDING = frozenset(
    {
        "branch",
        "commit",
        "import",
        "init",
        "mv",
        "reset",
        "revert",
        "rm",
        "switch",
        "tag",
        "undo",
    }
)
_MEMORY = re.compile(r"(?:^|::)memory:", re.IGNORECASE)

NO_STORE_HINT = """\
say it each time:    deltastore -s URL ...
for this shell:      export DELTASTORE_STORE=URL
for good:            deltastore config store URL
a new one:           deltastore init models.ds"""


HERE_HINT = "this folder is one:  deltastore -s . ...\n"


@dataclass(slots=True)
class Invocation:
    """What one run knows of itself.

    Attributes:
        arguments: of the process, without its name.
        command: the command's name, once it is known.
        options: global options that were given, by name.
        parsed: all options have been read.
        answered: the result has been written.
        warned: what was said on standard error, each thing once: results carry warnings that the
            library also logs.
    """

    arguments: Sequence[str] = ()
    command: str | None = None
    options: dict[str, object] = field(default_factory=dict)
    parsed: bool = False
    answered: bool = False
    warned: set[str] = field(default_factory=set)

    @property
    def json(self) -> bool:
        """Whether a document is wanted, also where the arguments could not be parsed."""
        if self.parsed:
            return bool(self.options.get("json"))
        arguments = list(self.arguments)
        end = arguments.index("--") if "--" in arguments else len(arguments)
        return "--json" in arguments[:end]

    @property
    def quiet(self) -> bool:
        """Whether only results and errors are wanted."""
        return bool(self.options.get("quiet"))

    def settings(self) -> Settings:
        """The settings in force."""
        return read_settings(self.options)

    def store_url(self, argument: str | None = None) -> str:
        """The store's URL: the command's own argument, else the setting.

        Raises:
            UsageError: there is none, it holds a credential, or lives in memory.
        """
        settings = self.settings()
        url = argument or settings.store
        if url is None:
            here = HERE_HINT if Path("FORMAT").is_file() and Path("log").is_dir() else ""
            raise UsageError("no store chosen", hint=here + NO_STORE_HINT)
        refuse_credentials([url], where=settings.origins.get("store", "the command line"))
        if _MEMORY.search(url):
            raise UsageError(
                f"{url}: a memory:// store lives in one process and would end with this command",
                hint="use a folder or a bucket, or memory:// from Python",
            )
        return str(Path(url).expanduser()) if url.startswith("~") else url

    def open(self) -> Store:
        """Open the store in force."""
        import deltastore

        url, options, folder = self.store_url(), self.store_options(), workspace_folder()
        if folder is None:
            return deltastore.open(url, **options)
        try:
            return deltastore.open(url, here=folder, **options)
        except NotAStoreError as error:
            raise with_workspaces_store(error, url) from None

    def store_options(self) -> dict[str, Any]:
        """What the settings say of opening a store; of commands that record also who does."""
        settings = self.settings()
        options: dict[str, Any] = {
            "threads": settings.threads,
            "cache": settings.cache,
            "cache_size": settings.cache_size,
        }
        if self.command in _RECORDING:
            from deltastore_cli.authors import find_author

            options["author"] = settings.author or find_author()[0]
        return {name: value for name, value in options.items() if value is not None}

    def progress(self) -> AbstractContextManager[Bars | PlainLines | None]:
        """What shows a long call's progress."""
        mode = "none" if self.quiet else self.settings().progress
        return progress_report(self.command or "deltastore", mode)

    def answer(self, result: R, text: Callable[[R], str], *, warnings: Iterable[str] = ()) -> None:
        """Write the result, once and whole: a document, or text for people."""
        self._answer(lambda: self._told(result, text), warnings)

    def answer_partly(
        self,
        result: R,
        text: Callable[[R], str],
        failure: Failure,
        *,
        warnings: Iterable[str] = (),
    ) -> int:
        """Write the result of which some items failed, and that they did; returns the exit code."""

        def told() -> str:
            if not self.json:
                return text(result)
            error = {"kind": failure.kind, "message": failure.message, "hint": failure.hint}
            return partial_document(self.command, result, error)

        self._answer(told, warnings)
        write_error(failure.text())
        return failure.exit_code

    def _told(self, result: R, text: Callable[[R], str]) -> str:
        return result_document(self.command, result) if self.json else text(result)

    def _answer(self, told: Callable[[], str], warnings: Iterable[str]) -> None:
        with _uninterrupted() if self.command in _RECORDING else nullcontext():
            document = told()
            for warning in warnings:
                self.warn(warning)
            write_output(document)
            self.answered = True

    def fail(self, failure: Failure) -> int:
        """Tell a failure on the streams it belongs to; returns the exit code."""
        if self.answered and failure.kind == "interrupted":
            failure = replace(failure, message="interrupted, after all was done")
        write_error(failure.text())
        if self.json and not self.answered:
            write_output(
                error_document(
                    self.command, kind=failure.kind, message=failure.message, hint=failure.hint
                )
            )
        return failure.exit_code

    def warn(self, message: str, label: str = "warning") -> None:
        """Say something worth reading on standard error, once, unless quiet."""
        message = redact(message)
        if not self.quiet and message not in self.warned:
            self.warned.add(message)
            write_error(
                f"{paint(label + ':', 'warn', sys.stderr)} {printable(message, lines=True)}\n"
            )


@contextmanager
def _uninterrupted() -> Generator[None]:
    """What is recorded is also told: an interrupt waits until the answer is out."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread, which alone is interrupted
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
