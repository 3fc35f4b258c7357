"""The session runner itself: it reads what people write, and it can fail."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.docs.sessions import mismatches, normalized, parse, run, stray_prompts

if TYPE_CHECKING:
    from pathlib import Path


def page(*lines: str) -> str:
    return "\n".join(["# A page", "", "```console", *lines, "```", ""])


def failures(text: str, folder: Path) -> list[str]:
    parsed = parse(text)
    return mismatches(parsed, run(parsed, folder, {"PATH": os.environ["PATH"]}))


@pytest.mark.parametrize(
    "lines",
    [
        ("$ echo one", "one"),
        ("$ true",),
        ("$ printf 'a\\nb\\nc\\n'", "a", "...", "c"),
        ("$ printf 'a\\n'", "a", "..."),
        ("$ echo kept in 12.5 MB", "kept in ..."),
        ("$ echo kept in 12.5 MB, 3.1x", "kept in 7 kB, 9x"),
        ("$ echo 4c1f09ab23de at 2026-11-21T04:05:34Z", "a81c03f29d11 at 2025-01-01T00:00:00Z"),
        ("$ export A=5", "$ echo $A", "5"),
        ("$ mkdir x", "$ cd x", '$ basename "$PWD"', "x"),
        ("$ echo one \\", "> two", "one two"),
        ("$ (exit 5)", "$ echo $?", "5"),
        ("$ (exit 5)   # exit 5",),
        ("$ echo to stderr >&2", "to stderr"),
    ],
)
def test_sessions_that_hold(lines: tuple[str, ...], tmp_path: Path) -> None:
    assert failures(page(*lines), tmp_path) == []


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("$ echo one", "two"), "the page says\ntwo"),
        (("$ echo one",), "the terminal says\none"),
        (("$ true", "one"), "the page says\none"),
        (("$ printf 'a\\nb\\n'", "a"), "the terminal says\na\nb"),
        (("$ printf 'a\\nb\\n'", "b", "a"), "the page says\nb\na"),
        (("$ (exit 4)",), "exit 4, the page says 0"),
        (("$ true   # exit 4",), "exit 0, the page says 4"),
        (("$ (exit 5)", "$ echo $?", "4"), "exit 5, the page says 4"),
        (("$ no-such-program",), "exit 127, the page says 0"),
        (("$ exit 0",), "did not run to its end"),
        (("$ echo 7 tensors", "8 tensors"), "the terminal says\n7 tensors"),
        (("$ echo 42.7 %", "42.8 %"), "the terminal says\n42.7 %"),
        (("$ echo kept", "...dropped"), "the terminal says\nkept"),
    ],
)
def test_sessions_that_do_not_hold(lines: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    found = failures(page(*lines), tmp_path)
    assert found
    assert reason in found[0]
    assert found[0].startswith("line 4: ")


def test_commands_after_one_that_ends_the_shell_are_reported(tmp_path: Path) -> None:
    assert len(failures(page("$ exit 0", "$ true", "$ true"), tmp_path)) == 3


def test_pages_share_one_shell_across_blocks(tmp_path: Path) -> None:
    text = page("$ export A=5") + "\ntext\n" + page("$ echo $A", "5")
    assert failures(text, tmp_path) == []


def test_only_console_blocks_are_sessions() -> None:
    text = "```python\n$ deltastore log\n```\n"
    assert parse(text).steps == ()
    assert stray_prompts(text) == [2]
    assert stray_prompts("    $ deltastore log\n") == [1]
    assert stray_prompts("```console\n$ deltastore log\n") == [2]
    assert stray_prompts(page("$ deltastore log")) == []


def test_fixtures_are_named_by_comments() -> None:
    assert parse("<!-- session: small-models -->\n").fixtures == ("small-models",)


def test_indented_blocks_lose_their_indentation() -> None:
    steps = parse("1. First:\n\n    ```console\n    $ echo x\n    x\n    ```\n").steps
    assert [(step.line, step.command, step.expected) for step in steps] == [(4, "echo x", ("x",))]


def test_output_without_a_command_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 4: output before the first command"):
        parse(page("output"))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("16.06 GB kept in 2.14 GB (7.5x)", "SIZE kept in SIZE (RATIO)"),
        ("395 MB/s for 22 min", "SIZE for TIME"),
        ("a81c03f29d11  new model", "ID new model"),
        ("226 deltas, 65 unchanged", "226 deltas, 65 unchanged"),
        ("3 minutes ago, just now", "TIME, TIME"),
        ("Date:    Sat Nov 21 04:32:24 2026 +0000", "Date: TIME"),
        ("deadbee is hex, defaced is too", "ID is hex, ID is too"),
        ("model-00001-of-00004.safetensors", "model-00001-of-00004.safetensors"),
        ("\x1b[1mbold\x1b[0m   text  ", "bold text"),
    ],
)
def test_normal_forms(text: str, form: str) -> None:
    assert normalized(text) == form
