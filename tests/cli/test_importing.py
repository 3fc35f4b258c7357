"""`import` as people and scripts see it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from deltastore.results import FailedItem, ImportedItem, ImportResult
from deltastore_cli.import_report import import_failure, import_text, plan_line
from tests.cli.weights import Tensor, fine_tuned, safetensors_file, small_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import FakeStore, Ran

    Program = Callable[..., Ran]


@pytest.fixture
def here(tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a base; `tree/` with two fine-tunes, a broken one and a foreign one."""
    monkeypatch.setenv("DELTASTORE_STORE", "models.ds")
    write_model(tmp_path / "base", small_model())
    assert program("init").code == 0
    assert program("commit", "base", "--to", "meta/base", "-m", "base").code == 0
    for seed in (1, 2):
        write_model(tmp_path / "tree" / f"ft-{seed}", fine_tuned(small_model(), seed))
    write_model(tmp_path / "tree" / "alien", {"x": Tensor("F32", (1,), bytes(4))})
    cut = write_model(tmp_path / "tree" / "cut", small_model()) / "model.safetensors"
    cut.write_bytes(safetensors_file(small_model())[:-7])
    return tmp_path


IMPORT = ("import", "tree", "--to", "team/{name}", "--base", "meta/base")


def test_plan_import_and_import_again(here: Path, program: Program) -> None:
    plan = program(*IMPORT, "--dry-run")
    assert (plan.code, plan.err) == (0, "")
    lines = plan.out.splitlines()
    assert lines[0] == "4 checkpoints: 2 to commit (173 kB), 2 that cannot be"
    assert lines[1].split() == ["model", "size", "base", "below", f"{here}/tree/"]
    assert lines[2].split()[0] == "team/ft-1"
    assert "meta/base@main (named)" in lines[2]
    assert f"{here}/tree/alien  incompatible  no tensor here" in plan.out
    assert lines[-1] == "nothing was recorded (--dry-run)"

    done = program(*IMPORT)
    assert done.code == 5
    assert done.out.startswith("2 committed, 0 skipped (already there), 2 failed: 173 kB kept in ")
    errors = done.err.splitlines()
    assert errors[0] == "4 checkpoints: 2 to commit (173 kB), 2 that cannot be"
    assert errors[1] == "error: 2 of 4 failed"
    assert sorted(line.split()[:2] for line in errors[2:4]) == [
        [f"{here}/tree/alien", "incompatible"],
        [f"{here}/tree/cut", "invalid"],
    ]

    again = program(*IMPORT)
    assert again.code == 5
    assert again.out == "0 committed, 2 skipped (already there), 2 failed\n"
    assert "--retry reads them again" in again.err.splitlines()[-1]
    third = program(*IMPORT, "--dry-run")
    assert "already there: team/ft-1, team/ft-2\n" in third.out


def test_a_document_has_result_and_error(here: Path, program: Program) -> None:
    ran = program(*IMPORT, "--json")
    assert ran.code == 5
    document = json.loads(ran.out)
    assert list(document) == ["deltastore", "command", "result", "error"]
    assert document["error"]["kind"] in {"invalid", "incompatible"}
    result = document["result"]
    assert {item["model"] for item in result["items"]} == {"team/ft-1", "team/ft-2"}
    for item in result["items"]:
        assert {"source", "model", "commit", "stored_bytes", "skipped"} <= set(item)
        assert (len(item["commit"]), item["skipped"]) == (64, False)
    assert {item["kind"] for item in result["failed"]} == {"invalid", "incompatible"}
    assert all({"item", "kind", "message"} <= set(item) for item in result["failed"])


def test_a_document_without_failures_has_no_error(here: Path, program: Program) -> None:
    options = ("--exclude", "cut/", "--exclude", "alien/")
    document = json.loads(program(*IMPORT, *options, "--json").out)
    assert "error" not in document
    assert document["result"]["failed"] == []
    ran = program(*IMPORT, *options, "-q")
    assert (ran.code, ran.out, ran.err) == (0, "0 committed, 2 skipped (already there)\n", "")


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (("import", "--to", "x/{name}"), "usage", 2),
        (("import", "tree"), "usage", 2),
        (("import", "tree", "--to", "x/y"), "usage", 2),
        (("import", "tree", "--to", "x/{who}"), "usage", 2),
        (("import", "tree", "--to", "{name}"), "invalid", 5),
        (("import", "nowhere", "--to", "x/{name}"), "not_found", 3),
        (("import", "tree", "--to", "x/{name}", "--base", "no/such"), "not_found", 3),
        (("import", "hf:meta/llama", "--to", "x/{name}"), "unsupported", 5),
        (("import", "gopher://x", "--to", "x/{name}"), "usage", 2),
        (("import", "s3://k:secret@b/x", "--to", "x/{name}"), "usage", 2),
    ],
)
def test_refusals(
    here: Path, program: Program, arguments: tuple[str, ...], kind: str, code: int
) -> None:
    ran = program(*arguments, "--json")
    document: dict[str, Any] = json.loads(ran.out)
    assert (document["error"]["kind"], ran.code) == (kind, code)
    assert "result" not in document
    assert program(*arguments).err == ran.err
    assert "secret" not in ran.out + ran.err


def item(number: int, *, skipped: bool = False) -> ImportedItem:
    commit = "c" * 64
    return ImportedItem(f"s3://b/t/{number}", f"t/{number}", commit, 5, skipped, logical_bytes=50)


def test_the_worst_kind_decides_and_long_lists_end() -> None:
    failed = [FailedItem(f"s3://b/t/{n}", "invalid", "broken") for n in range(29)]
    failed.append(FailedItem("s3://b/t/x", "unreachable", "gone"))
    done = ImportResult((item(1), item(2, skipped=True)), tuple(failed))
    told = import_failure(done)
    assert (told.kind, told.exit_code) == ("unreachable", 7)
    lines = told.message.splitlines()
    assert lines[0] == "30 of 32 failed"
    assert lines[-1] == "  10 more: --json"
    assert len(lines) == 22
    assert told.hint == "run the same command again; what is stored is skipped"
    assert import_text(done).startswith("1 committed, 1 skipped (already there), 30 failed: 50 B")
    assert plan_line(done) == (
        "32 checkpoints: 1 to commit (50 B), 1 already there, 30 that cannot be\n"
    )


def test_hostile_names_reach_no_terminal() -> None:
    evil = FailedItem("s3://b/\x1b[2J", "invalid", "\x1b]0;owned\x07\nerror: forged")
    assert "\x1b" not in import_failure(ImportResult((), (evil,))).text()


def test_an_interrupt_tells_what_was_done(store: FakeStore, program: Program) -> None:
    store.error = KeyboardInterrupt("interrupted: 3 committed, 4 not yet")
    ran = program("import", "tree", "--to", "t/{name}")
    assert (ran.code, ran.err) == (130, "interrupted: 3 committed, 4 not yet\n")
