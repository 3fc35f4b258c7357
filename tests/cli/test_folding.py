"""What is wider than a terminal is broken between words, and never inside an id."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastore_cli import tables, terminal
from deltastore_cli.tables import table_text
from deltastore_cli.terminal import folded

ID = "4c1f09ab23de"


@pytest.fixture(params=[40, 80, 100])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    def given_width(_: object = None) -> int:
        return int(request.param)

    monkeypatch.setattr(terminal, "text_width", given_width)
    monkeypatch.setattr(tables, "text_width", given_width)
    return int(request.param)


def test_a_pipe_gets_the_line_as_it_is() -> None:
    line = "  a   b      c" + " word" * 100
    assert folded(line) == line


def test_lines_fit_and_lose_nothing(width: int) -> None:
    line = f"me/math@main  \x1b[33m{ID}\x1b[0m  new model, new branch, base meta/llama@main ({ID})"
    shown = folded(line).split("\n")
    assert all(len(re.sub(r"\x1b\[[0-9;]*m", "", each)) <= width for each in shown)
    assert all(each.startswith("    ") for each in shown[1:])
    assert " ".join(" ".join(shown).split()) == " ".join(line.split())
    assert (len(shown) > 1) == (width < 89)


@given(st.text(st.characters(exclude_characters="\n\r"), max_size=200))
def test_no_character_but_blanks_is_lost(text: str) -> None:
    assert folded(text).replace(" ", "") == text.replace(" ", "")


def test_a_word_wider_than_the_terminal_stays_whole(width: int) -> None:
    assert "x" * 200 in folded(f"a {'x' * 200} b")


def test_ids_in_tables_are_never_broken_and_words_only_where_it_is_narrow(width: int) -> None:
    headers = ("when", "who", "what", "ref", "to", "")
    message = "a longer message that says why"
    row = ("2 minutes ago", "Ada <ada@example.org>", "branch", "me/math@prod", ID, message)
    shown = table_text(headers, [row], styles=("faint", "", "", "name", "id", ""))
    whole, words = [ID], ["minutes", "branch", "longer", "me/math@prod", "<ada@example.org>"]
    words = words if width > 80 else []
    assert [piece for piece in whole + words if piece not in shown] == []
