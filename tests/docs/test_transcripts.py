"""The transcripts are there, run, and compare what they show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.python_sessions import python_blocks
from tests.docs.sessions import parse

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "transcripts"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
WIDE = re.compile(r"^\s*\.\.\.\s*$")


def test_there_are_twelve_in_the_index_and_the_navigation() -> None:
    assert [page.name[:2] for page in PAGES] == [f"{number:02}" for number in range(1, 13)]
    index = (FOLDER / "README.md").read_text("utf-8")
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert re.findall(r"\]\((.+?\.md)\)", index) == [page.name for page in PAGES]
    assert re.findall(r": transcripts/(\d.+?\.md)", navigation) == [page.name for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_output_is_compared_and_not_waved_through(page: Path) -> None:
    """No line of output stands for any lines; at most four contain something that may vary."""
    text = page.read_text("utf-8")
    shown = [line for step in parse(text).steps for line in step.expected]
    assert shown or python_blocks(text)
    assert not [line for line in shown if WIDE.match(line)]
    assert sum("..." in line for line in shown) <= 4
