"""reflog, undo, reset, rm, mv and revert through the program: what people and scripts get."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from deltastore.results import MovedRef, RefMoveResult
from deltastore_cli.move_reports import ago_text
from tests.cli.conftest import OTHER, TUNED
from tests.cli.weights import fine_tuned, sha256_of_files, small_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran

    Program = Callable[..., Ran]


# texts, of canned answers


def test_branch_and_reset_say_the_way_back(store: Any, program: Program) -> None:
    text = (
        "team/chat@main  9d20b7711c3e -> 4c1f09ab23de"
        "      back: deltastore undo, or branch -f team/chat@main 9d20b7711c3e\n"
    )
    ran = program("reset", "team/chat@main", "4c1f", "--expect", "9d20", "-m", "ticket 812")
    assert (ran.code, ran.out) == (0, text)
    assert store.calls[-1] == (
        "reset",
        ("team/chat@main", "4c1f"),
        {"expect": "9d20", "message": "ticket 812"},
    )
    assert store.options["author"]
    store.answers["reset"] = RefMoveResult("team/chat", "main", "branch", OTHER, OTHER)
    assert program("reset", "team/chat", "x").out == "team/chat@main  9d20b7711c3e  already there\n"


def test_rm_says_that_nothing_is_freed(store: Any, program: Program) -> None:
    ran = program("rm", "a/b", "a/c", "-m", "old")
    assert ran.out == ("removed 2 models (3 refs); nothing is freed yet. undo: deltastore undo\n")
    assert store.calls[-1] == ("rm", (("a/b", "a/c"),), {"message": "old"})
    store.answers["rm"] = replace(store.answers["rm"], models=("a/b",))
    assert program("rm", "a/b").out.startswith("removed a/b (3 refs); nothing")


def test_mv_says_both_names(store: Any, program: Program) -> None:
    assert program("mv", "a/b", "a/c").out == (
        "a/b -> a/c  1 branch      back: deltastore undo, or mv a/c a/b\n"
    )


def test_undo_shows_first_and_then_does(store: Any, program: Program) -> None:
    ran = program("undo")
    first, second = ran.out.splitlines()
    assert first.startswith("taking back entry 4211 (you, ")
    assert first.endswith(" days ago): made me/mahth@main 4c1f09ab23de")
    assert second == "done. again: deltastore undo"
    assert [call[1:] for call in store.calls] == [((None,), {"dry_run": True}), ((4211,), {})]
    ran = program("undo", "--json")
    assert json.loads(ran.out)["result"]["refs"] == [
        {"ref": "me/mahth@main", "kind": "branch", "old": TUNED, "new": None}
    ]


def test_undo_of_many_refs_names_some(store: Any, program: Program) -> None:
    gone = tuple(MovedRef(f"a/b@{n}", "branch", None, TUNED) for n in range(5))
    moved = MovedRef("a/b@m", "branch", OTHER, TUNED)
    store.answers["undo"] = replace(store.answers["undo"], refs=(*gone, moved), dry_run=True)
    ran = program("undo", "7", "--dry-run")
    assert ran.out.startswith("would take back entry 4211 (you, ")
    assert (
        "deleted a/b@0 4c1f09ab23de, a/b@1 4c1f09ab23de, a/b@2 4c1f09ab23de and 2 more;"
        " moved a/b@m 4c1f09ab23de -> 9d20b7711c3e"
    ) in ran.out
    assert len(store.calls) == 1


def test_undo_of_what_was_taken_back(store: Any, program: Program) -> None:
    store.answers["undo"] = replace(store.answers["undo"], unchanged=True)
    assert program("undo", "4211").out == ("entry 4211 was taken back already; nothing changed\n")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "takes back 9d20b7711c3e: the files before it again, byte for byte"),
        ({"parents": (TUNED,)}, "every file and tensor has the bits of a version before"),
        (
            {"parents": (TUNED,), "exact": False, "subtracted": ("a", "b", "c", "d")},
            "not exact: 4 tensors by subtraction, rounded once (a, b, c and 1 more)",
        ),
        ({"unchanged": True}, "unchanged: nothing of 9d20b7711c3e is left in it"),
    ],
)
def test_revert_says_how_exact_it_is(
    store: Any, program: Program, changes: dict[str, Any], told: str
) -> None:
    store.answers["revert"] = replace(store.answers["revert"], **changes)
    ran = program("revert", "team/chat~1", "--to", "team/chat", "-m", "why")
    assert told in ran.out.splitlines()[-1]
    name, arguments, options = store.calls[-1]
    assert (name, arguments) == ("revert", ("team/chat~1",))
    assert (options["to"], options["message"]) == ("team/chat", "why")


def test_a_reflog_is_a_table(store: Any, program: Program) -> None:
    ran = program("reflog", "me/math", "-n", "3")
    assert ran.out.splitlines()[1].split() == [
        "7", "then", "Ann", "tag", "me/math@v1", "-", "4c1f09ab23de", "m",
    ]  # fmt: skip
    assert store.calls[-1] == ("reflog", ("me/math",), {"limit": 3})
    entry = replace(store.answers["reflog"].entries[0], origin="me/a@v1", message="a\nb\x1b[2J")
    store.answers["reflog"] = replace(store.answers["reflog"], entries=(entry,), truncated=True)
    out = program("reflog").out
    assert "was me/a@v1; a" in out
    assert "\x1b" not in out
    assert out.endswith("... and more\n")
    store.answers["reflog"] = replace(store.answers["reflog"], entries=(), truncated=False)
    assert program("reflog").out == "no branch or tag has moved yet\n"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "just now"),
        (1, "1 second ago"),
        (59, "59 seconds ago"),
        (119, "1 minute ago"),
        (7200, "2 hours ago"),
        (200_000, "2 days ago"),
        (-5, "just now"),
    ],
)
def test_how_long_ago(seconds: int, told: str) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    time = datetime.fromtimestamp(now.timestamp() - seconds, UTC)
    assert ago_text(time.strftime("%Y-%m-%dT%H:%M:%SZ"), now) == told
    assert ago_text("no time", now) == "no time"
    assert ago_text("2026-01-01T00:00:00", now) == "2026-01-01T00:00:00"


@pytest.mark.parametrize(
    "arguments",
    [
        ("undo", "x"),
        ("undo", "\u0663"),
        ("undo", "1" * 21),
        ("undo", "-1"),
        ("rm",),
        ("mv", "a/b"),
        ("reset", "a/b@main"),
        ("revert",),
        ("reflog", "-n", "0"),
    ],
)
def test_wrong_calls(store: Any, program: Program, arguments: tuple[str, ...]) -> None:
    ran = program(*arguments, "--json")
    assert (ran.code, json.loads(ran.out)["error"]["kind"]) == (2, "usage")
    assert not store.calls


# the real program


@pytest.fixture
def here(tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store in force with two commits on `team/chat`, by Ada."""
    monkeypatch.setenv("DELTASTORE_AUTHOR", "Ada")
    monkeypatch.setenv("DELTASTORE_STORE", "models.ds")
    assert program("init", "models.ds").code == 0
    base = small_model()
    for number in range(2):
        write_model(tmp_path / f"v{number}", fine_tuned(base, number))
        ran = program("commit", f"v{number}", "--to", "team/chat", "-m", f"v{number}")
        assert ran.code == 0, ran.err
    return tmp_path


def error(program: Program, *arguments: str) -> tuple[int, str, str, str]:
    """Exit code, kind, message and hint; the text says the same."""
    ran = program(*arguments, "--json")
    found = json.loads(ran.out)["error"]
    text = program(*arguments)
    assert text.code == ran.code
    assert text.err.startswith(f"error: {found['message']}\n")
    return ran.code, found["kind"], found["message"], found["hint"]


def test_a_mistake_and_the_way_back(here: Path, program: Program) -> None:
    program("commit", "v0", "--to", "team/caht", "-m", "x")
    ran = program("undo")
    assert ran.out.splitlines()[1] == "done. again: deltastore undo"
    assert program("ls").out == "  model      branches  tags\n  team/chat  main\n"
    program("undo")
    assert "team/caht" in program("ls").out
    program("mv", "team/caht", "team/other")
    assert program("reflog", "team/other@main").out.count("team/caht@main") == 4
    assert program("rm", "team/other", "team/chat").code == 0
    assert program("ls").out == "no models\n"
    done = json.loads(program("undo", "--json").out)["result"]
    assert (done["op"], len(done["refs"])) == ("rm", 2)
    out = here / "out"
    assert program("checkout", "team/chat", str(out)).code == 0
    assert sha256_of_files(out) == sha256_of_files(here / "v1")


def test_revert_gives_the_files_before(here: Path, program: Program) -> None:
    done = json.loads(program("revert", "team/chat", "--json").out)["result"]
    assert done["exact"] is True
    assert program("checkout", "team/chat", "out").code == 0
    assert sha256_of_files(here / "out") == sha256_of_files(here / "v0")
    assert program("fsck", "--tensors").code == 0


def test_another_writer_gets_conflicts(
    here: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELTASTORE_AUTHOR", "Bob")
    code, kind, message, hint = error(program, "undo", "2")
    assert (code, kind, message) == (4, "conflict", "entry 2 is another writer's (Ada)")
    assert hint
    program("branch", "team/chat@prod", "team/chat")
    monkeypatch.setenv("DELTASTORE_AUTHOR", "Ada")
    code, kind, message, _ = error(program, "undo")
    assert (code, kind) == (4, "conflict")
    assert message == (
        "entry 2 cannot be taken back: 1 later entry builds on it (team/chat@prod);"
        " nothing was changed"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (("undo", "99"), 3, "not_found"),
        (("reset", "team/chat", "team/chat~1", "--expect", "team/chat~1"), 4, "conflict"),
        (("reset", "team/chat@nope", "team/chat"), 3, "not_found"),
        (("rm", "team/nope"), 3, "not_found"),
        (("rm", "team/chat@main"), 2, "usage"),
        (("mv", "team/chat", "team/chat"), 2, "usage"),
        (("mv", "team/chat", "no name"), 5, "invalid"),
        (("reflog", "team/nope"), 3, "not_found"),
        (("reflog", "team/chat~1"), 2, "usage"),
        (("revert", "team/chat~1"), 3, "not_found"),
        (("revert", "team/chat", "--to", "team/chat@nope"), 3, "not_found"),
    ],
)
def test_wrong_input_has_a_kind(
    here: Path, program: Program, arguments: tuple[str, ...], code: int, kind: str
) -> None:
    before = program("reflog", "--json").out
    found = error(program, *arguments)
    assert found[:2] == (code, kind)
    assert program("reflog", "--json").out == before


def test_a_reflog_names_people_without_their_address(store: Any, program: Program) -> None:
    entry = replace(store.answers["reflog"].entries[0], actor="Ada <ada@example.org>")
    store.answers["reflog"] = replace(store.answers["reflog"], entries=(entry,))
    out = program("reflog").out
    assert "  Ada  " in out
    assert "example.org" not in out
    document = json.loads(program("reflog", "--json").out)
    assert document["result"]["entries"][0]["actor"] == "Ada <ada@example.org>"
