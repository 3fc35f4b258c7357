"""Python sessions in Markdown pages: blocks of the language `pycon`, with `>>> ` and `... ` lines.

All blocks of one page are one interpreter, in the folder of the page's terminal sessions and after
them. Output is compared as that of terminal sessions is: `...` stands for any text.

Run as a program, `python -m tests.docs.python_sessions PAGE` types a page's blocks and prints what
went otherwise.
"""

from __future__ import annotations

import doctest
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.docs.sessions import blocks, matches

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LANGUAGE", "failures", "python_blocks"]

LANGUAGE = "pycon"


def python_blocks(text: str) -> list[tuple[int, str]]:
    """The line each `pycon` block of a page begins at, counted from 1, and its text."""
    return [
        (block[0][0], "".join(f"{line}\n" for _, line in block))
        for block in blocks(text, LANGUAGE)
        if block
    ]


class _Checker(doctest.OutputChecker):
    """Compares as terminal sessions are compared; the folder is `~` there, too."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        """Whether the page shows what came out."""
        del optionflags
        return matches(want.splitlines(), got.replace(str(Path.cwd()), "~"))


class _Runner(doctest.DocTestRunner):
    """Keeps what went wrong instead of printing it."""

    def __init__(self) -> None:
        super().__init__(checker=_Checker(), verbose=False)
        self.found: list[str] = []

    def report_failure(
        self, out: object, test: doctest.DocTest, example: doctest.Example, got: str
    ) -> None:
        """Another output than the page shows."""
        del out
        self.found.append(
            f"{_place(test, example)}--- the page says\n{example.want}--- Python says\n{got}"
        )

    def report_unexpected_exception(
        self, out: object, test: doctest.DocTest, example: doctest.Example, exc_info: object
    ) -> None:
        """An exception where the page shows none."""
        del out
        error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
        self.found.append(f"{_place(test, example)}{type(error).__name__}: {error}\n")


def _place(test: doctest.DocTest, example: doctest.Example) -> str:
    return f"line {(test.lineno or 0) + example.lineno + 1}: >>> {example.source}"


def failures(text: str) -> list[str]:
    """What the page's blocks, typed into one interpreter, do otherwise than the page says."""
    runner = _Runner()
    known: dict[str, object] = {"__name__": "__main__"}
    for test in _tests(text, known):
        runner.run(test, clear_globs=False, out=lambda _: None)
        known.update(test.globs)
    return runner.found


def _tests(text: str, known: dict[str, object]) -> Iterable[doctest.DocTest]:
    parser = doctest.DocTestParser()
    for line, block in python_blocks(text):
        yield parser.get_doctest(block, known, "page", "page", line - 1)


if __name__ == "__main__":
    wrong = failures(Path(sys.argv[1]).read_text("utf-8"))
    sys.stdout.write("\n".join(wrong))
    sys.exit(1 if wrong else 0)
