"""Light commands stay light: what a fresh interpreter has loaded when a command is done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import numpy as np
import pytest
from safetensors.numpy import save_file

import deltastore
import deltastore_cli.main

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

HEAVY = ("torch", "numba", "duckdb")

RUN_MAIN = """
import sys
from deltastore_cli.main import main
sys.argv = ["deltastore", *sys.argv[1:]]
try:
    code = main()
except SystemExit as stop:
    code = stop.code
"""

REPORT = """
import json, sys
loaded = [name for name in {heavy!r} if name in sys.modules]
sys.stderr.write("\\nLOADED " + json.dumps([code or 0, loaded]) + "\\n")
"""


def loaded_by(program: str, arguments: Sequence[str], folder: Path) -> tuple[int, set[str]]:
    """Run a program in a fresh interpreter: its exit status, and which heavy modules it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", program + REPORT.format(heavy=HEAVY), *arguments],
        cwd=folder,
        env={**os.environ, "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("LOADED ")]
    assert len(lines) == 1, done.stdout + done.stderr
    code, modules = json.loads(lines[0].removeprefix("LOADED "))
    return code, set(modules)


def command(arguments: str, folder: Path) -> set[str]:
    """Heavy modules that a command line loads; the command has to succeed."""
    code, modules = loaded_by(RUN_MAIN, arguments.split(), folder)
    assert code == 0
    return modules


def command_paths(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The names of all commands of a click program, as they are typed."""
    context = click.Context(group)
    yield path
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from command_paths(found, (*path, name))
        else:
            yield (*path, name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one model of two commits, and the checkpoint it came from."""
    folder = tmp_path_factory.mktemp("light")
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir()
    store = deltastore.init(str(folder / "models.ds"))
    for seed in range(2):
        weights = np.random.default_rng(seed).standard_normal((16, 16)).astype(np.float32)
        save_file({"weight": weights}, checkpoint / "model.safetensors")
        store.commit(checkpoint, to="me/x", message=f"version {seed}")
    return folder


def test_the_probe_sees_what_is_loaded(tmp_path: Path) -> None:
    assert loaded_by("import numba\ncode = 3", [], tmp_path) == (3, {"numba"})


def test_the_library_loads_nothing_heavy(tmp_path: Path) -> None:
    assert loaded_by("import deltastore\ncode = 0", [], tmp_path) == (0, set())


@pytest.mark.parametrize("path", list(command_paths(deltastore_cli.main.cli)), ids=" ".join)
def test_help_loads_nothing_heavy(path: tuple[str, ...], tmp_path: Path) -> None:
    assert command(" ".join([*path, "--help"]), tmp_path) == set()


@pytest.mark.parametrize(
    "arguments",
    [
        "log me/x",
        "log me/x --graph --json",
        "show me/x",
        "branch",
        "branch me/x@prod me/x~1",
        "reflog me/x",
        "reset me/x@prod me/x",
        "undo",
        "mv me/x me/x2",
        "mv me/x2 me/x",
    ],
)
def test_looking_at_history_loads_nothing_heavy(arguments: str, folder: Path) -> None:
    assert command(f"-s models.ds {arguments}", folder) == set()


@pytest.mark.parametrize("arguments", ["status", "log", "show", "reflog", "restore", "ls", ""])
def test_looking_around_in_a_workspace_loads_nothing_heavy(arguments: str, folder: Path) -> None:
    deltastore.open(folder / "models.ds").clone("me/x", folder / "work")
    assert command(arguments, folder / "work") == set()


@pytest.mark.parametrize(
    "arguments",
    [
        "ls",
        "ls me/x",
        "ls me/x --tensors",
        "commit checkpoint --to me/copy -m again",
        "checkout me/x out",
    ],
)
def test_moving_files_loads_no_torch(arguments: str, folder: Path) -> None:
    assert "torch" not in command(f"-s models.ds {arguments}", folder)
