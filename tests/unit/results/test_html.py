"""What notebooks show of results: tables that say what happened, with nothing unescaped."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, is_dataclass
from html.parser import HTMLParser
from typing import Any

import pytest

from deltastore import results
from deltastore.results import (
    CheckoutResult,
    Commit,
    CommitInfo,
    Diff,
    FileChange,
    FileInfo,
    Listing,
    LogResult,
    ModelInfo,
    Stats,
    TensorChange,
    TensorCounts,
)
from deltastore.results.html import InNotebooks, facts, page, rows

ID = "4c1f09ab23de" + "1" * 52
HOSTILE = "<script>alert(1)</script>\"'&\u202e\x1b[31m"
ALLOWED = {"table", "caption", "b", "i", "tr", "th", "td", "code", "br"}


class Reader(HTMLParser):
    """Collects elements, their attributes, and the text of each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: set[str] = set()
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag in ("td", "th", "caption"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        self.cells[-1] += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


def cells(value: InNotebooks) -> list[str]:
    return read(page(value)).cells


def a_commit(**changes: Any) -> Commit:
    known: dict[str, Any] = {
        "commit": ID, "model": "me/math", "branch": "main", "parents": (), "base": None,
        "unchanged": False, "tensors": TensorCounts(291, 65, 226, 0),
        "logical_bytes": 16_060_000_000, "stored_bytes": 2_140_000_000, "preview_bytes": 0,
        "preview_error": None, "requests": None,
    }  # fmt: skip
    return Commit(**known | changes)


def info(message: str = "sft") -> CommitInfo:
    return CommitInfo(
        ID, (), None, "Ann <ann@example.org>", "2026-11-21T04:12:29Z", message, None, (), {},
        {"gsm8k": 0.71}, refs=("me/math@main",),
    )  # fmt: skip


def test_a_commit_says_where_it_went_and_what_it_takes() -> None:
    shown = cells(a_commit())
    pairs = dict(zip(shown[1::2], shown[2::2], strict=True))
    assert shown[0] == "Commit"
    assert pairs["commit"] == ID[:12]
    assert pairs["model"] == "me/math"
    assert pairs["stored bytes"] == "2.14 GB"
    assert pairs["tensors"] == "total 291, unchanged 65, delta 226, dense 0, merged 0"
    assert f'title="{ID}"' in page(a_commit())
    assert not {"base", "parents", "unchanged", "requests", "warnings"} & set(pairs)
    assert "unchanged" in cells(a_commit(unchanged=True))


def test_a_log_is_a_table_of_its_commits() -> None:
    shown = cells(LogResult((info("first\nsecond"), info()), graph=((" * ",), ("*",))))
    assert shown[0] == "commits: 2"
    assert shown[1:6] == ["commit", "refs", "message", "author", "time"]
    assert shown[7:13] == [
        ID[:12], "me/math@main", "firstsecond", "Ann <ann@example.org>", "2026-11-21T04:12:29Z",
        "gsm8k=0.71",
    ]  # fmt: skip
    assert "first<br>second" in page(LogResult((info("first\nsecond"),)))
    assert "truncated" in cells(LogResult((info(),), truncated=True))


def test_a_diff_shows_what_changed_and_counts_the_rest() -> None:
    changes = (TensorChange("a.weight", "changed", 1.0, 0.0061, 0.99995, None, 0.427, 4096),)
    same = tuple(TensorChange(f"n{i}", "unchanged") for i in range(3))
    files = (FileChange("README.md", "changed"), FileChange("config.json", "unchanged"))
    shown = cells(Diff(same=False, files=files, tensors=(*changes, *same)))
    assert "files: 2, 1 of them unchanged" in shown
    assert "tensors: 4, 3 of them unchanged" in shown
    assert "config.json" not in shown
    assert shown[-5:] == ["a.weight", "changed", "0.427", "0.0061", "0.99995"]


def test_long_lists_end_in_and_more() -> None:
    files = tuple(FileInfo(f"f{i:03}", i * 1000, None) for i in range(50))
    shown = cells(Listing(files=files))
    assert shown[0] == "files: 50"
    assert "f019" in shown
    assert "f020" not in shown
    assert shown[-1] == "... and more"
    assert "19 kB" in shown
    assert "sha256" not in shown  # nothing is known of it
    names = cells(Listing(models=(ModelInfo("a/b", tuple(f"b{i}" for i in range(30)), ()),)))
    assert names[-1] == ", ".join(f"b{i}" for i in range(10)) + ", ..."
    assert "... and more" not in rows("", ("n",), [("x",)] * 20)


def test_sizes_counts_and_numbers() -> None:
    shown = cells(Stats(16_060_000_000, 2_140_000_000, 7.504673, 12, 3, 2, 1517, 14))
    assert {"16.1 GB", "7.50467", "12 B", "1,517"} <= set(shown)


def test_nothing_found_says_so() -> None:
    assert page(Listing(models=())) == "<i>Listing: nothing</i>"
    assert facts("Nothing", []) == ""


def test_columns_and_rows_are_one_table() -> None:
    @dataclass(frozen=True, slots=True)
    class Answer(InNotebooks):
        columns: tuple[str, ...]
        rows: tuple[tuple[object, ...], ...]
        truncated: bool = False

    shown = read(Answer(("name", "own_bytes"), (("<b>", 2048), ("y", None)))._repr_html_())
    assert shown.cells == ["name", "own bytes", "<b>", "2.05 kB", "y", ""]


VALUES = [
    a_commit(
        model=HOSTILE, branch=HOSTILE, base_name=HOSTILE, skipped_files=(HOSTILE,),
        warnings=(HOSTILE,), kept_whole=(results.KeptWhole(HOSTILE, 1, 1),),
    ),
    CommitInfo(
        ID, (HOSTILE,), HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, (HOSTILE,), {HOSTILE: HOSTILE},
        {HOSTILE: 0.5}, (FileInfo(HOSTILE, 1, HOSTILE),), 0.5, (HOSTILE,),
    ),
    LogResult((info(HOSTILE),)),
    Listing(models=(ModelInfo(HOSTILE, (HOSTILE,), (HOSTILE,)),)),
    Listing(tensors=(results.TensorInfo(HOSTILE, HOSTILE, (1, 2), HOSTILE, HOSTILE),)),
    Diff(
        same=False, files=(FileChange(HOSTILE, HOSTILE),),
        tensors=(TensorChange(HOSTILE, HOSTILE),), a=HOSTILE, b=HOSTILE,
    ),
    CheckoutResult(ID, 1, 1, 1, None, "exact", True, model=HOSTILE, branch=HOSTILE),
    results.RefInfo(HOSTILE, HOSTILE, "tag", HOSTILE),
    results.RefMoveResult(HOSTILE, HOSTILE, "tag", None, HOSTILE, (HOSTILE,)),
    results.InitResult(HOSTILE, HOSTILE, HOSTILE, True, HOSTILE),
    results.Fsck(False, {HOSTILE: 1}, (results.Finding(HOSTILE, HOSTILE, HOSTILE),)),
    results.Doctor(False, ((HOSTILE, HOSTILE, False),)),
    Stats(1, 1, None, 1, 1, 1, 1, 1, codecs={HOSTILE: 1}),
]  # fmt: skip


@pytest.mark.parametrize(
    "value", VALUES, ids=[f"{type(value).__name__}-{at}" for at, value in enumerate(VALUES)]
)
def test_texts_of_strangers_are_escaped(value: InNotebooks) -> None:
    html = value._repr_html_()
    found = read(html)
    assert set(found.elements) <= ALLOWED
    assert found.attributes <= {"style", "title", "colspan"}
    assert "<script" not in html
    assert "\u202e" not in html
    assert "\x1b" not in html
    assert any("<script>alert(1)</script>\"'&\\u202e\\x1b[31m" in cell for cell in found.cells)


def test_titles_of_tables_are_escaped() -> None:
    found = read(facts(HOSTILE, [(HOSTILE, 1)]) + rows(HOSTILE, (HOSTILE,), [(HOSTILE,)]))
    assert set(found.elements) <= ALLOWED


def is_part(name: str) -> bool:
    """Whether values of a class are held by other results, on whose pages they are shown."""
    owners = [
        getattr(results, other) for other in results.__all__ if other not in (name, "Fidelity")
    ]
    types = [str(item.type) for owner in owners for item in fields(owner)]
    return any(re.search(rf"\b{name}\b", found) for found in types)


def test_every_result_has_a_page_and_stays_small() -> None:
    checked = 0
    for name in results.__all__:
        found: Any = getattr(results, name)
        if name != "Fidelity" and not is_part(name):
            assert is_dataclass(getattr(results, name))
            assert issubclass(found, InNotebooks), name
            assert found.__dataclass_params__.frozen, name
            assert "__dict__" not in dir(found), f"{name} lost its slots"
            checked += 1
    assert checked > 15
