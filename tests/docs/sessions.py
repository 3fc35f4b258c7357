"""Terminal sessions in Markdown pages: find them, run them, compare what comes out.

A session is a fenced block of the language `console`. A line that begins with `$ ` is typed, a line
that begins with `> ` goes on with it, the rest is what the terminal shows. All sessions of one page
are one shell in one folder, so `cd` and `export` hold from block to block.

A command is expected to exit with 0, unless it ends in a comment `# exit 5`, or `$ echo $?` is the
next command, and then with the number shown there. Output is compared after ids, sizes, ratios,
times and runs of blanks are made equal. `...` stands for any text, as a whole line for any lines.

A page may name the folders it starts with: `<!-- session: small-models -->`.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = [
    "Page",
    "Step",
    "blocks",
    "matches",
    "mismatches",
    "normalized",
    "parse",
    "run",
    "stray_prompts",
]

_FENCE = re.compile(r"^ *(`{3,}|~{3,})(.*)$")
_FIXTURE = re.compile(r"^<!-- session: ([a-z0-9-]+) -->$")
_EXIT = re.compile(r"\s#\s*exit (\d+)$")
_MARK = "\x01"
_TIMEOUT_SECONDS = 600

_NORMAL_FORMS = (
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (
        re.compile(r"\b\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z| ?UTC|[+-]\d\d:?\d\d)?)?"),
        "TIME",
    ),
    (re.compile(r"\b[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} [+-]\d{4}"), "TIME"),
    (re.compile(r"\b(just now|\d+ (second|minute|hour|day)s? ago)"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? ?(ms|s|min|h)\b"), "TIME"),
    (re.compile(r"\b[\d,]+(\.\d+)? ?([kMGT]i?B|B|bytes?)\b(/s)?"), "SIZE"),
    (re.compile(r"\b\d+(\.\d+)?x(?=\W|$)"), "RATIO"),
    (re.compile(r"\bpacks/[0-9a-f]{2}/"), "packs/"),
    (re.compile(r"\b([0-9a-f]{7,64}\b|[0-9a-f]{6}\.\.\.)"), "ID"),
    (re.compile(r"[ \t]+"), " "),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One command.

    Attributes:
        line: where the page types it, counted from 1.
        command: for the shell.
        expected: lines the terminal shows.
        exit_code: what it has to exit with.
    """

    line: int
    command: str
    expected: tuple[str, ...]
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """All sessions of a page.

    Attributes:
        fixtures: names of what has to be there before.
        steps: the commands, in order.
    """

    fixtures: tuple[str, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did; `exit_code` is None when it never ran to its end."""

    exit_code: int | None
    output: str


def parse(text: str) -> Page:
    """The sessions of a Markdown page.

    Raises:
        ValueError: output before the first command of a block.
    """
    fixtures = [match[1] for line in text.splitlines() if (match := _FIXTURE.match(line))]
    steps = [step for block in blocks(text) for step in _steps(block)]
    return Page(tuple(fixtures), tuple(_with_echoed_codes(steps)))


def blocks(text: str, wanted: str = "console") -> Iterable[list[tuple[int, str]]]:
    """Numbered lines of each block of a language, without the block's own indentation."""
    block: list[tuple[int, str]] = []
    fence, language, indent = "", "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        match = _FENCE.match(line)
        if not fence and match:
            fence, language = match[1], match[2].strip()
            indent, block = len(line) - len(line.lstrip()), []
        elif fence and line.strip() == fence:
            if language == wanted:
                yield block
            fence = ""
        elif fence:
            block.append((number, line[indent:]))


def _steps(block: Sequence[tuple[int, str]]) -> Iterable[Step]:
    current: Step | None = None
    for number, line in block:
        if line.startswith("$ "):
            if current:
                yield current
            code = _EXIT.search(line)
            current = Step(number, line[2:], (), int(code[1]) if code else 0)
        elif current is None:
            msg = f"line {number}: output before the first command of its block: {line!r}"
            raise ValueError(msg)
        elif line.startswith("> ") and not current.expected and current.command.endswith("\\"):
            current = replace(current, command=f"{current.command}\n{line[2:]}")
        else:
            current = replace(current, expected=(*current.expected, line))
    if current:
        yield current


def _with_echoed_codes(steps: Sequence[Step]) -> Iterable[Step]:
    for step, following in zip_longest(steps, steps[1:]):
        shown = following.expected if following and following.command == "echo $?" else ()
        yield replace(step, exit_code=int(shown[0])) if shown else step


def stray_prompts(text: str) -> list[int]:
    """Lines that look like a session (`$ deltastore`) outside every `console` block."""
    inside = {number for block in blocks(text) for number, _ in block}
    lines = enumerate(text.splitlines(), start=1)
    prompt = re.compile(r"^[\s>]*\$ deltastore\b")
    return [number for number, line in lines if prompt.match(line) and number not in inside]


def run(page: Page, folder: Path, environment: Mapping[str, str]) -> list[Outcome]:
    """Type the page's commands into one shell that stands in `folder`."""
    try:
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-c", _script(page.steps)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        raw = done.stdout
    except subprocess.TimeoutExpired as late:
        raw = late.stdout or b""
    return _outcomes(raw.decode("utf-8", "replace").replace(str(folder), "~"), len(page.steps))


def _script(steps: Sequence[Step]) -> str:
    """The commands, each followed by a mark with its exit status; `$?` is the previous one's."""
    lines = ["status=0"]
    for step in steps:
        lines += ["(exit $status)", step.command, "status=$?", f"printf '{_MARK}%d{_MARK}' $status"]
    return "\n".join(lines)


def _outcomes(output: str, count: int) -> list[Outcome]:
    parts = output.split(_MARK)
    pairs = list(zip(parts[0::2], parts[1::2], strict=False))
    outcomes = [Outcome(int(code), text) for text, code in pairs]
    if len(outcomes) < count:
        outcomes.append(Outcome(None, parts[-1]))
    return outcomes + [Outcome(None, "")] * (count - len(outcomes))


def normalized(text: str) -> str:
    """Text with ids, sizes, ratios, times and runs of blanks made equal, no blank line ends."""
    for pattern, name in _NORMAL_FORMS:
        text = pattern.sub(name, text)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def matches(expected: Sequence[str], output: str) -> bool:
    """Whether output is what a page expects, in normal form; `...` stands for any text."""
    pattern = ""
    for line in normalized("\n".join(expected)).splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*"
        else:
            parts = (re.escape(part) for part in line.split("..."))
            pattern += r"[^\n]*".join(parts) + r"\n"
    actual = normalized(output)
    return re.fullmatch(pattern, f"{actual}\n" if actual else "") is not None


def mismatches(page: Page, outcomes: Sequence[Outcome]) -> list[str]:
    """What went otherwise than the page says, one text per command; empty when nothing did."""
    found = []
    for step, outcome in zip(page.steps, outcomes, strict=True):
        reason = _difference(step, outcome)
        if reason:
            found.append(f"line {step.line}: $ {step.command}\n{reason}")
    return found


def _difference(step: Step, outcome: Outcome) -> str:
    if outcome.exit_code is None:
        return f"did not run to its end\n{outcome.output}"
    if outcome.exit_code != step.exit_code:
        return f"exit {outcome.exit_code}, the page says {step.exit_code}\n{outcome.output}"
    if not matches(step.expected, outcome.output):
        shown = "\n".join(step.expected)
        return f"--- the page says\n{shown}\n--- the terminal says\n{outcome.output}"
    return ""
