"""Workspaces through the program: what people type and read, and what scripts get."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from deltastore_cli.invocation import Invocation
from deltastore_cli.main import cli
from tests.cli.weights import fine_tuned, small_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran

    Program = Callable[..., Ran]

PROGRAM = Path(sys.executable).with_name("deltastore")


@pytest.fixture
def chat(tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace of team/chat one stands in; no store is named anywhere else."""
    write_model(tmp_path / "one", small_model(), {"docs/a.md": b"a\n"})
    write_model(tmp_path / "two", fine_tuned(small_model()), {"docs/b.md": b"b\n"})
    for command in (
        "-s models.ds init",
        "-s models.ds commit one --to team/chat -m one",
        "-s models.ds commit two --to team/chat@dev -m two",
        "-s models.ds clone team/chat",
    ):
        assert program(*command.split()).code == 0
    monkeypatch.chdir(tmp_path / "chat")
    return tmp_path / "chat"


def result(program: Program, *arguments: str) -> Any:
    ran = program(*arguments, "--json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out)["result"]


def test_a_clone_says_what_to_type_next(chat: Path, program: Program, tmp_path: Path) -> None:
    ran = program("clone", "@dev", "../it's")
    assert (ran.code, ran.err) == (0, "")
    first, second = ran.out.splitlines()
    assert first.startswith("team/chat@dev  ")
    assert "3 files, verified" in first
    assert second == """  a workspace: cd '../it'"'"'s', train, deltastore commit -m MESSAGE"""
    again = program("clone", "@dev", "../it's").out.splitlines()
    assert again[0].endswith("all 3 files there already")


def test_clone_has_the_fields_of_checkout(chat: Path, program: Program, tmp_path: Path) -> None:
    done = result(program, "clone", "@dev", str(tmp_path / "dev"))
    fields = "commit files bytes fetched_bytes requests fidelity verified kept model branch folder"
    assert set(done) == set(fields.split())
    assert (done["branch"], done["folder"]) == ("dev", str(tmp_path / "dev"))


def test_a_clone_takes_what_is_at_hand(chat: Path, program: Program, tmp_path: Path) -> None:
    plain = result(program, "clone", "@dev", "../plain")
    near = result(program, "clone", "@dev", "../near", "--reference", "../two")
    assert near["fetched_bytes"] < plain["fetched_bytes"] / 2
    assert near["verified"]
    ran = program("clone", "@dev", "../none", "--reference", "../absent")
    assert ran.code == 3
    assert not (tmp_path / "none").exists()


def test_status_reads_like_gits(chat: Path, program: Program) -> None:
    head = result(program, "status")["head"][:12]
    assert program("status").out == f"On team/chat@main at {head}\nNo changes\n"
    (chat / "config.json").write_text("{}\n")
    (chat / "docs" / "a.md").unlink()
    (chat / "new\x1b.txt").write_text("new\n")
    assert program("status").out.splitlines() == [
        f"On team/chat@main at {head}",
        "Changes since that commit:",
        "  (deltastore commit -m MESSAGE keeps them, deltastore restore PATH drops them)",
        "    changed:  config.json",
        "    removed:  docs/a.md",
        r"    added:    new\x1b.txt",
    ]
    found = result(program, "status")
    assert [tuple(file.values()) for file in found["files"]] == [
        ("config.json", "changed"),
        ("docs/a.md", "removed"),
        ("new\x1b.txt", "added"),
    ]


def test_status_tells_that_the_branch_moved_or_went(
    chat: Path, program: Program, tmp_path: Path
) -> None:
    store = str(tmp_path / "models.ds")
    assert (
        program("-s", store, "commit", str(tmp_path / "two"), "--to", "team/chat", "-m", "x").code
        == 0
    )
    lines = program("status").out.splitlines()
    assert lines[1].startswith("The branch is at ")
    assert lines[2] == ("  (deltastore log @main shows what came, deltastore switch main takes it)")
    found = result(program, "status")
    assert found["stale"] is True
    assert found["tip"] != found["head"]
    assert program("tag", "@kept").code == program("branch", "-d", "@main").code == 0
    assert program("status").out.splitlines()[1:3] == [
        "The branch was deleted",
        "  (deltastore branch @main HEAD makes it anew)",
    ]
    assert program("branch", "@main", "HEAD").code == 0
    assert result(program, "status")["stale"] is False


def test_a_commit_needs_only_a_message(chat: Path, program: Program) -> None:
    before = result(program, "status")["head"]
    (chat / "config.json").write_text("{}\n")
    done = result(program, "commit", "-m", "two")
    assert (done["model"], done["branch"], done["parents"]) == ("team/chat", "main", [before])
    found = result(program, "status")
    assert (found["head"], found["tip"], found["files"]) == (done["commit"], done["commit"], [])


def test_the_workspace_is_found_from_below(
    chat: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(chat / "docs")
    (chat / "docs" / "a.md").write_text("changed\n")
    assert program("status").out.endswith("changed:  docs/a.md\n")
    assert program("restore", "a.md").out.startswith("restored 1 file as in ")
    assert program("restore").out.startswith("nothing to restore: 3 files as in ")


@pytest.mark.parametrize("command", ["log", "show", "diff @dev HEAD", "stats", "ls"])
@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_head_is_what_is_meant(
    chat: Path, program: Program, command: str, extra: list[str]
) -> None:
    ran = program(*command.split(), *extra)
    assert (ran.code, ran.err) == (0, "")


def test_names_without_a_model_are_this_workspaces(chat: Path, program: Program) -> None:
    (chat / "config.json").write_text("{}\n")
    assert program("commit", "-m", "two").code == 0
    head = result(program, "log", "-n", "1")["commits"][0]
    assert head["message"] == "two"
    assert result(program, "show", "@")["commit"] == head["commit"]
    assert result(program, "show", "HEAD~1")["commit"] == head["parents"][0]
    assert result(program, "show", "@main^")["commit"] == head["parents"][0]
    assert program("show", ":config.json").out == "{}\n"
    assert program("show", "HEAD~1:config.json").out == '{"hidden_size": 32}\n'
    assert result(program, "ls")["files"][0]["path"] == "config.json"
    assert [model["model"] for model in result(program, "ls", "*")["models"]] == ["team/chat"]
    assert result(program, "stats")["own_bytes"] is not None
    assert result(program, "stats", "--all")["own_bytes"] is None
    assert result(program, "branch", "@old", "@{1}")["new"] == head["parents"][0]
    assert result(program, "tag", "@v1")["new"] == head["commit"]
    assert program("checkout", "@v1", "../out").code == 0


def test_diff_compares_head_or_a_revision_with_the_files(chat: Path, program: Program) -> None:
    assert result(program, "diff")["same"] is True
    (chat / "config.json").write_text("{}\n")
    assert program("diff", "--exit-code").code == 8
    found = result(program, "diff", "@dev")
    assert {file["path"]: file["status"] for file in found["files"]} == {
        "config.json": "changed",
        "docs/a.md": "added",
        "docs/b.md": "removed",
        "model.safetensors": "changed",
    }
    assert result(program, "diff", "./docs")["same"] is False


def test_names_of_moves_are_this_workspaces(chat: Path, program: Program) -> None:
    (chat / "config.json").write_text("{}\n")
    assert program("commit", "-m", "two").code == 0
    before, after = (entry["new"] for entry in reversed(result(program, "reflog")["entries"]))
    assert result(program, "reset", "@main", "HEAD~1")["new"] == before
    assert result(program, "status")["stale"] is True
    assert result(program, "reset", "@main", "HEAD", "--expect", "@main")["new"] == after
    taken = result(program, "revert", "HEAD")
    assert (taken["model"], taken["branch"], taken["parents"]) == ("team/chat", "main", [after])
    assert program("switch", "main").code == 0
    assert (chat / "config.json").read_text() != "{}\n"
    assert len(result(program, "reflog", "@main")["entries"]) == 5
    assert len(result(program, "reflog", "@dev")["entries"]) == 1


def test_two_people_one_branch(
    chat: Path, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the story of two writers, with the two commands that the conflict names
    assert program("clone", "@main", "../second").code == 0
    (chat / "config.json").write_text("first\n")
    assert program("commit", "-m", "first").code == 0
    monkeypatch.chdir(tmp_path / "second")
    (tmp_path / "second" / "config.json").write_text("second\n")
    monkeypatch.setenv("DELTASTORE_AUTHOR", "Second")
    ran = program("commit", "-m", "second")
    assert ran.code == 4
    error, *hint = ran.err.splitlines()
    assert error.startswith("error: team/chat@main moved: you began at ")
    assert hint == [
        "hint:  keep yours beside it: deltastore commit --to @main-2 -m second",
        "       then compare the two: deltastore diff @main @main-2",
    ]
    document = json.loads(program("commit", "-m", "second", "--json").out)
    assert document["error"]["kind"] == "conflict"
    assert program(*["commit", "--to", "@main-2", "-m", "second"]).code == 0
    assert (
        program(*["diff", "@main", "@main-2"])
        .out.splitlines()[1]
        .startswith("files   1 changed (config.json)")
    )
    assert program("commit", "-m", "second").out.endswith("nothing recorded\n")
    assert result(program, "status")["branch"] == "main-2"


def test_switch_tells_what_it_did(chat: Path, program: Program) -> None:
    ran = program("switch", "dev")
    first, second = ran.out.splitlines()
    assert first.startswith("team/chat@dev  ")
    assert second.startswith("  2 files written, 1 file removed      fetched ")
    assert program("switch", "-c", "mine").out.splitlines()[0].endswith("  new branch")
    (chat / "config.json").write_text("{}\n")
    assert program("switch", "main").out.splitlines()[-1] == "  still changed here: config.json"


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_switching_over_changes_is_refused(chat: Path, program: Program, extra: list[str]) -> None:
    (chat / "model.safetensors").write_text("mine\n")
    ran = program("switch", "dev", *extra)
    assert ran.code == 4
    assert "would be lost: model.safetensors. Nothing was changed" in ran.err
    if extra:
        assert json.loads(ran.out)["error"]["kind"] == "dirty"
    assert (chat / "model.safetensors").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("status", "is no workspace, and in none"),
        ("switch main", "is no workspace, and in none"),
        ("restore", "is no workspace, and in none"),
        ("log", "no revision given and this is not a workspace"),
        ("show", "no revision given and this is not a workspace"),
        ("show :config.json", "'HEAD' needs a workspace"),
        ("diff", "nothing to compare: no revision given and this is not a workspace"),
        ("log @main", "'@main' needs a workspace"),
        ("diff HEAD~1 team/chat", "'HEAD~1' needs a workspace"),
        ("branch @new team/chat", "'@new' needs a workspace"),
        ("commit -m x", "no PATH and --to given and this is not a workspace"),
        ("commit two -m x", "no --to given and this is not a workspace"),
        ("commit --to me/x -m x", "no PATH given and this is not a workspace"),
        ("commit two --to @x -m x", "no PATH given and this is not a workspace"),
        ("clone HEAD", "'HEAD' needs a workspace"),
        ("stats --all team/chat", "--all is the whole store"),
    ],
)
def test_outside_a_workspace_it_is_a_usage_error(
    chat: Path,
    program: Program,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = program("-s", "models.ds", *command.split())
    assert ran.code == 2
    assert told in ran.err
    assert "\nhint:  " in ran.err


def test_config_shows_the_workspace_between_environment_and_file(
    chat: Path, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def row() -> tuple[str, str]:
        found = result(program, "config", "store")["settings"][0]
        return found["value"], found["origin"]

    place = str(chat / ".deltastore" / "workspace.toml")
    assert program("config", "store", "s3://file/x").code == 0
    assert row() == (str(tmp_path / "models.ds"), place)
    monkeypatch.setenv("DELTASTORE_STORE", "s3://environment/x")
    assert row() == ("s3://environment/x", "DELTASTORE_STORE")
    monkeypatch.delenv("DELTASTORE_STORE")
    monkeypatch.chdir(tmp_path)
    assert row()[0] == "s3://file/x"


def test_another_store_in_force_is_named_with_the_remedy(
    chat: Path, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program("-s", "../other.ds", "init").code == 0
    monkeypatch.setenv("DELTASTORE_STORE", str(tmp_path / "other.ds"))
    for command in ("status", "log", "show @main"):
        ran = program(*command.split())
        assert ran.code == 2
        assert "other.ds is another store" in ran.err
        assert "unset DELTASTORE_STORE" in ran.err
    assert program("commit", "../one", "--to", "me/one", "-m", "one").code == 0
    assert result(program, "log", "me/one")["commits"][0]["message"] == "one"


def test_the_program_alone_names_the_workspace(
    chat: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program().out.splitlines()[1].strip() == "workspace: team/chat@main"
    found = result(program)
    assert found["workspace"] == {"folder": str(chat), "model": "team/chat", "branch": "main"}
    assert found["store"].endswith("models.ds")
    monkeypatch.chdir(chat.parent)
    assert "workspace:" not in program().out
    assert result(program)["workspace"] is None


def test_a_relative_store_in_the_environment_is_explained(
    chat: Path, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELTASTORE_STORE", "models.ds")
    ran = program("status")
    assert ran.code == 3
    assert f"hint:  the store of this workspace is {tmp_path / 'models.ds'}; " in ran.err
    assert "unset DELTASTORE_STORE" in ran.err


def offered(incomplete: str, command: str, place: int) -> list[str]:
    """What the Tab key offers for one argument of a command."""
    context = click.Context(cli, obj=Invocation())
    found = cli.get_command(context, command)
    assert found is not None
    parameter = found.params[place]
    inner = click.Context(found, parent=context)
    return [item.value for item in parameter.shell_complete(inner, incomplete)]


def test_the_tab_key_knows_the_workspace(
    chat: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program("tag", "@v1").code == 0
    assert offered("", "switch", 0) == ["dev", "main"]
    assert offered("d", "switch", 0) == ["dev"]
    assert offered("@", "log", 0) == ["@dev", "@main", "@v1"]
    assert offered("@d", "show", 0) == ["@dev"]
    assert offered("HEAD:docs", "show", 0) == ["HEAD:docs/a.md"]
    assert offered("team", "log", 0) == [
        "team/chat",
        "team/chat@dev",
        "team/chat@main",
        "team/chat@v1",
    ]
    monkeypatch.chdir(chat.parent)
    monkeypatch.setenv("DELTASTORE_STORE", "models.ds")
    assert offered("", "switch", 0) == offered("@", "log", 0) == []


def test_a_store_that_moved_is_found_with_an_option(
    chat: Path, program: Program, tmp_path: Path
) -> None:
    (tmp_path / "models.ds").rename(tmp_path / "moved.ds")
    assert program("status").code == 3
    assert program("-s", "../moved.ds", "status").code == 0


def test_a_damaged_workspace_harms_only_who_needs_it(
    chat: Path, program: Program, tmp_path: Path
) -> None:
    place = chat / ".deltastore" / "workspace.toml"
    place.write_text("version = ")
    for command in ("status", "config", "log"):
        ran = program(*command.split())
        assert ran.code == 5
        assert str(place) in ran.err
    store = str(tmp_path / "models.ds")
    assert program("-s", store, "log", "team/chat").code == 0
    assert program("-s", store, "commit", "../two", "--to", "team/new", "-m", "x").code == 0
    assert program("--help").code == program().code == 0


def test_a_password_in_a_workspace_is_refused_and_not_shown(chat: Path, program: Program) -> None:
    place = chat / ".deltastore" / "workspace.toml"
    text = place.read_text()
    before = text[text.index("store = ") : text.index("\nstore_id")]
    place.write_text(text.replace(before, 'store = "s3://me:topsecret@bucket/x"'))
    for command in ("status", "log", "config", "config --json", "status --json"):
        ran = program(*command.split())
        assert "topsecret" not in ran.out + ran.err
    assert program("status").code == 2


def test_two_processes_in_one_workspace_take_turns(chat: Path, program: Program) -> None:
    (chat / "config.json").write_text("{}\n")
    started = [
        subprocess.Popen(
            [PROGRAM, "commit", "-m", "both", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(3)
    ]
    documents = [json.loads(process.communicate()[0]) for process in started]
    done = [document["result"] for document in documents if "result" in document]
    errors = [document["error"] for document in documents if "error" in document]
    assert sum(not one["unchanged"] for one in done) == 1
    assert len({one["commit"] for one in done}) == 1
    assert {error["kind"] for error in errors} <= {"conflict"}
    found = result(program, "status")
    assert (found["head"], found["files"], found["stale"]) == (done[0]["commit"], [], False)
