"""Completion for bash, zsh and fish: the scripts they load, and the answers they get.

Bash takes `@`, `:` and `=` for ends of words, click's own script does not know. Words are taken
from the line instead, and answers begin where bash thinks that the word begins.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, ClassVar, NoReturn

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    shell_complete,
    split_arg_string,
)

from deltastore.errors import UsageError

if TYPE_CHECKING:
    import click

__all__ = ["VARIABLE", "answer_shell", "script"]

VARIABLE = "_DELTASTORE_COMPLETE"

_BASH = """\
%(complete_func)s() {
    local kind value
    COMPREPLY=()
    while IFS=',' read -r kind value; do
        case $kind in
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "${1/#\\~/$HOME}" 2>/dev/null)
}

complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null ||
    complete -F %(complete_func)s %(prog_name)s
"""
_END = "x"
_KEPT = "$@"
"""Where bash begins a word with the character that ends the one before: readline's
`rl_special_prefixes`."""


@add_completion_class
class Bash(BashComplete):
    """Bash from 3.2 on; before 4.4 it sorts, before 4.0 it completes no files."""

    source_template: ClassVar[str] = _BASH

    def source(self) -> str:
        """The script, which finds out by itself what this bash can do."""
        return self.source_template % self.source_vars()

    def get_completion_args(self) -> tuple[list[str], str]:
        """The finished words, and the one the cursor stands behind."""
        words = split_arg_string(os.environ["COMP_LINE"] + _END)
        return words[1:-1], words[-1].removesuffix(_END)

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Without what bash takes for an earlier word."""
        line, breaks = os.environ["COMP_LINE"], os.environ.get("COMP_WORDBREAKS", "")
        return f"{item.type},{item.value[_before(line, breaks) :]}"


def _before(line: str, breaks: str) -> int:
    """How many characters of the value under the cursor stand before where bash begins a word."""
    word = split_arg_string(line + _END)[-1].removesuffix(_END)
    word = word.partition("=")[2] if word.startswith("--") else word
    start = len(line) - len(word)
    if not line.endswith(word) or line[start - 1 : start] in ("'", '"'):
        return 0
    inner = "".join(letter for letter in breaks if not letter.isspace())
    found = [*re.finditer(f"[{re.escape(inner)}]", word)] if inner else []
    if not found:
        return 0
    return found[-1].start() if found[-1][0] in _KEPT else found[-1].end()


def script(program: click.Command, shell: str) -> str:
    """What a shell evaluates to know the program's words.

    Raises:
        UsageError: a shell that is not known.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"no completion for {shell}", hint="bash, zsh or fish")
    return kind(program, {}, "deltastore", VARIABLE).source()


def answer_shell(program: click.Command) -> NoReturn:
    """Answer the Tab key and end the process, without a word on standard error.

    The process ends at once: a store that has not answered in time is still being asked.
    """
    code = 1
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        code = shell_complete(program, {}, "deltastore", VARIABLE, os.environ[VARIABLE])
        sys.stdout.flush()
    except Exception:  # noqa: BLE001, S110  # a prompt is no place for it
        pass
    os._exit(code)
