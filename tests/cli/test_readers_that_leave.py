"""Whatever writes to a pipe that nobody reads ends with 141 and says nothing."""

from __future__ import annotations

import os
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import pytest

from deltastore_cli.main import COMMANDS, run
from tests.cli.weights import small_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran

LOOKING = (
    ("log", "me/base"),
    ("log", "me/base", "--graph"),
    ("show", "me/base"),
    ("show", "me/base:model.safetensors"),
    ("diff", "./base", "me/base", "--all"),
    ("ls",),
    ("ls", "me/base"),
    ("ls", "me/base", "--tensors"),
    ("stats",),
    ("stats", "me/base"),
    ("branch",),
    ("tag",),
    ("fsck",),
    ("doctor",),
    ("config",),
    ("completion", "bash"),
    (),
    ("--help",),
    ("--version",),
)
HELP = tuple((name, "--help") for members in COMMANDS.values() for name in members)


@pytest.fixture
def here(tmp_path: Path, program: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    """A store with me/base is in force."""
    monkeypatch.setenv("DELTASTORE_STORE", "models.ds")
    write_model(tmp_path / "base", small_model())
    assert program("init").code == 0
    assert program("commit", "base", "--to", "me/base", "-m", "m", "--preview", "off").code == 0


def unread(*arguments: str) -> int:
    """The exit code of a run whose reader has left before it began."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream, redirect_stdout(stream):
        return run(arguments)


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_every_command_that_looks(
    form: tuple[str, ...], here: None, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    asked = [call for call in (*LOOKING, *HELP) if not (form and ":" in "".join(call))]
    codes = {call: unread(*call, *form) for call in asked}
    assert codes == dict.fromkeys(asked, 141)
    assert capsys.readouterr() == ("", "")


def test_a_failure_keeps_its_exit_code(here: None, capsys: pytest.CaptureFixture[str]) -> None:
    """What happened can be told where the document cannot."""
    assert unread("log", "me/nope") == 3
    assert "me/nope: no such model" in capsys.readouterr().err
    assert unread("log", "me/nope", "--json") == 141
