"""Every terminal session of the README and the documentation does what the page shows."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.fixtures import FIXTURES
from tests.docs.python_sessions import python_blocks
from tests.docs.sessions import mismatches, parse, run, stray_prompts

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
}
WITH_SESSIONS = [name for name, path in PAGES.items() if parse(path.read_text("utf-8")).steps]
IN_PYTHON = [name for name, path in PAGES.items() if python_blocks(path.read_text("utf-8"))]


def environment(home: Path) -> dict[str, str]:
    """What a reader's shell has; nothing of this process but the way to the programs."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "COLUMNS": "100",
        "DELTASTORE_AUTHOR": "Ada <ada@example.org>",
    }


def test_the_first_pages_have_sessions() -> None:
    assert {"README.md", "docs/tutorial.md"} <= set(WITH_SESSIONS)


@pytest.mark.parametrize("name", PAGES)
def test_no_session_stands_outside_a_console_block(name: str) -> None:
    assert stray_prompts(PAGES[name].read_text("utf-8")) == []


@pytest.mark.parametrize("name", [name for name in PAGES if name in {*WITH_SESSIONS, *IN_PYTHON}])
def test_sessions(name: str, tmp_path: Path) -> None:
    page = parse(PAGES[name].read_text("utf-8"))
    folder = tmp_path / "home"
    folder.mkdir()
    with ExitStack() as stack:
        variables = environment(folder)
        for fixture in page.fixtures:
            variables |= stack.enter_context(FIXTURES[fixture](folder))
        found = mismatches(page, run(page, folder, variables))
        if name in IN_PYTHON:
            found += python_failures(PAGES[name], folder, variables)
    assert not found, "\n\n".join(found)


def python_failures(page: Path, folder: Path, variables: dict[str, str]) -> list[str]:
    """What the Python sessions of a page do otherwise, in an interpreter of their own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs.python_sessions", str(page)],
        cwd=folder,
        env={**variables, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return [f"{done.stdout}{done.stderr}"] if done.returncode else []
