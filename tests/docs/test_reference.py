"""The reference pages say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

import deltastore_cli.main
from deltastore import errors
from scripts import write_cli_reference

ROOT = Path(__file__).resolve().parent.parent.parent
ROW = re.compile(r"^\| (\d+) \| `(\w+)` \| (.+?) \|", re.MULTILINE)


def test_table_of_errors_is_the_tree_of_exceptions() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")
    listed = {
        (name, kind, int(code))
        for code, kind, names in ROW.findall(page)
        for name in re.findall(r"`(\w+)`", names)
    }
    classes = [getattr(errors, name) for name in errors.__all__]
    assert listed == {(found.__name__, found.kind, found.exit_code) for found in classes}


def test_command_reference_is_current() -> None:
    written = write_cli_reference.PAGE.read_text("utf-8")
    assert written == write_cli_reference.page(), "python scripts/write_cli_reference.py"


@pytest.mark.parametrize(
    "name", deltastore_cli.main.cli.list_commands(click.Context(deltastore_cli.main.cli))
)
def test_every_command_has_help_and_two_examples(name: str) -> None:
    group = deltastore_cli.main.cli
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert command.help
    examples = getattr(command, "examples", ())
    assert len(examples) == 2
    assert all("deltastore " in example for example in examples)
