"""Every example of every help is a command line that the program takes."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import click
import pytest

import deltastore
from deltastore_cli import commands
from deltastore_cli.main import COMMANDS, cli
from tests.cli.weights import small_model, write_model
from tests.imports.test_light_imports import command_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Ran

INSIDE = re.compile(r"\$\((.*)\)")


def examples() -> Iterator[tuple[str, str]]:
    """Each command's path and one of its examples."""
    for path in command_paths(cli):
        command: click.Command | None = cli
        for name in path:
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), name)
        yield from ((" ".join(path), text) for text in getattr(command, "examples", ()))


def typed(example: str) -> list[list[str]]:
    """The arguments of each `deltastore` in a line of shell, without what is redirected."""
    inside = INSIDE.search(example)
    words = shlex.shlex(inside[1] if inside else example, posix=True, punctuation_chars="|>&;")
    words.whitespace_split = True
    calls: list[list[str]] = [[]]
    skip = False
    for word in words:
        if set(word) <= set("|&;"):
            calls.append([])
        elif skip or word == ">":
            skip = not skip
        else:
            calls[-1].append(word)
    return [call[1:] for call in calls if call and call[0] == "deltastore"]


def test_lines_of_shell_are_taken_apart() -> None:
    assert typed("deltastore log me/x > out") == [["log", "me/x"]]
    assert typed('eval "$(deltastore completion bash)"') == [["completion", "bash"]]
    assert typed("deltastore find 'a<1' | xargs deltastore rm") == [["find", "a<1"]]
    assert typed("cd x && deltastore commit -m 'a b'") == [["commit", "-m", "a b"]]


@pytest.mark.parametrize(("path", "example"), list(examples()))
def test_examples_parse(
    path: str, example: str, program: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def note(self: click.Command, context: click.Context) -> None:
        ran.append(context.command_path)

    monkeypatch.setattr(click.Command, "invoke", note)
    calls = typed(example)
    assert calls, example
    for call in calls:
        answer = program(*call)
        assert (answer.code, answer.err) == (0, "")
    assert any(name == f"deltastore {path}" for name in ran)


def test_a_wrong_example_would_be_noticed(program: Callable[..., Ran]) -> None:
    assert program("log", "--grap").code == 2


def test_groups_without_commands_are_left_out(program: Callable[..., Ran]) -> None:
    groups = [line.split()[0] for line in program().out.splitlines()[1:-1]]
    assert groups == list(COMMANDS)
    assert set(groups) <= {"start", "record", "look", "merge", "share", "maintain"}
    assert all(COMMANDS.values())


def test_the_workspace_in_force_is_named(
    program: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "base", small_model())
    with deltastore.init("models.ds") as store:
        store.commit("base", to="me/base", message="m", preview=None)
        store.clone("me/base", "work")
    assert json.loads(program("--json").out)["result"]["workspace"] is None
    assert "workspace:" not in program().out
    monkeypatch.chdir(tmp_path / "work")
    lines = program().out.splitlines()
    assert lines[0].endswith(f"store: {tmp_path}/models.ds")
    assert lines[1].strip() == "workspace: me/base@main"
    assert json.loads(program("--json").out)["result"]["workspace"] == {
        "folder": str(tmp_path / "work"),
        "model": "me/base",
        "branch": "main",
    }
    (tmp_path / "work" / ".deltastore" / "workspace.toml").write_text("nonsense")
    assert program().code == 0


@pytest.mark.parametrize("name", [name for members in COMMANDS.values() for name in members])
def test_help_is_a_document_too(name: str, program: Callable[..., Ran]) -> None:
    ran = program(name, "--help", "--json")
    assert ran.code == 0
    assert '"result": {"help": "Usage: deltastore' in ran.out


def parameters() -> Iterator[Any]:
    for members in COMMANDS.values():
        for name in members:
            command = cli.get_command(click.Context(cli), name)
            assert isinstance(command, commands.Command)
            yield from command.params


def test_what_takes_a_revision_completes_it() -> None:
    found = [parameter for parameter in parameters() if "REV" in (parameter.metavar or "")]
    assert len(found) > 10
    assert {type(parameter.type).__name__ for parameter in found} == {"Revisions"}
