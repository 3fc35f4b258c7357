"""Options, settings, errors, help: what all commands have in common."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from deltastore import errors
from deltastore_cli.commands import INSTEAD, Command
from deltastore_cli.main import COMMANDS, cli

if TYPE_CHECKING:
    from deltastore.errors import DeltastoreError

ALL_COMMANDS = [name for members in COMMANDS.values() for name in members]
ALL_ERRORS = [getattr(errors, name) for name in errors.__all__ if name != "DeltastoreError"]


def test_bare_shows_commands_in_groups_and_the_store(store: Any, program: Any) -> None:
    ran = program()
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].startswith("deltastore 0.1.0: version control for model weights  ")
    assert lines[0].endswith("store: models.ds")
    assert any(line.startswith("  look      log  show  diff  ls  ") for line in lines)


def test_bare_without_a_store_says_how_to_get_one(program: Any) -> None:
    assert program().out.splitlines()[0].endswith("store: none (see deltastore init --help)")


@pytest.mark.parametrize("name", ALL_COMMANDS)
def test_help_of_every_command_ends_with_two_examples(program: Any, name: str) -> None:
    ran = program(name, "--help")
    assert ran.code == 0
    _, _, examples = ran.out.partition("\nExamples:\n")
    lines = [line.strip() for line in examples.splitlines()]
    assert len(lines) == 2
    assert all("deltastore " in line and name in line for line in lines)
    assert "-s, --store URL" in ran.out
    assert program(name, "-h").out == ran.out


@pytest.mark.parametrize("name", ALL_COMMANDS)
def test_commands_are_documented(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert isinstance(command, Command)
    assert command.help
    assert all(
        isinstance(parameter, click.Argument) or getattr(parameter, "help", None)
        for parameter in command.params
    )


def test_help_of_the_program_lists_every_command(program: Any) -> None:
    ran = program("--help")
    assert ran.code == 0
    for name in ALL_COMMANDS:
        assert f"\n  {name}  " in ran.out
    assert "..." not in ran.out.partition("\nOptions:")[0].replace("[ARGS]...", "")


@pytest.mark.parametrize("word", [word for word in INSTEAD if word not in ALL_COMMANDS])
def test_words_of_other_programs_are_answered(program: Any, word: str) -> None:
    ran = program(word, "x")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"error: no such command '{word}'\nhint:  {INSTEAD[word]}\n"


def test_who_stands_in_a_store_is_told_so(program: Any, tmp_path: Path) -> None:
    assert "this folder" not in program("ls").err
    (tmp_path / "log").mkdir()
    (tmp_path / "FORMAT").touch()
    assert "hint:  this folder is one:  deltastore -s . ..." in program("ls").err


@pytest.mark.parametrize(("typed", "meant"), [("comit", "commit"), ("statts", "stats")])
def test_an_unknown_command_suggests_the_nearest(program: Any, typed: str, meant: str) -> None:
    ran = program(typed)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"error: no such command '{typed}'\nhint:  did you mean '{meant}'?\n"


def test_an_unknown_option_suggests_the_nearest(program: Any) -> None:
    ran = program("log", "--grap")
    assert ran.code == 2
    assert ran.err == (
        "error: no such option --grap\nhint:  did you mean --graph? see deltastore log --help\n"
    )
    assert "did you mean --force? see deltastore branch --help" in program("branch", "--forc").err
    assert program("log", "--zzz").err.endswith("hint:  see deltastore log --help\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("-s", "other.ds", "ls"),
        ("ls", "-s", "other.ds"),
        ("-s", "first.ds", "ls", "-s", "other.ds"),
    ],
)
def test_global_options_stand_before_and_after_the_command(
    store: Any, program: Any, arguments: tuple[str, ...]
) -> None:
    assert program(*arguments).code == 0
    assert store.url == "other.ds"


@pytest.mark.parametrize("error", ALL_ERRORS, ids=lambda error: error.__name__)
def test_every_error_has_its_exit_code(
    store: Any, program: Any, error: type[DeltastoreError]
) -> None:
    store.error = error("what happened", hint="first\nsecond")
    ran = program("log", "me/x")
    assert (ran.code, ran.out) == (error.exit_code, "")
    assert ran.err == "error: what happened\nhint:  first\n       second\n"
    assert store.closed


def test_exit_codes_are_the_contracts(store: Any) -> None:
    kinds = {error.kind: error.exit_code for error in ALL_ERRORS}
    assert kinds == {
        "usage": 2,
        "not_found": 3,
        "ambiguous": 3,
        "not_a_store": 3,
        "conflict": 4,
        "exists": 4,
        "dirty": 4,
        "invalid": 5,
        "incompatible": 5,
        "unsupported": 5,
        "newer_format": 5,
        "corrupt": 6,
        "missing_object": 6,
        "unreachable": 7,
        "access_denied": 7,
        "no_space": 7,
        "unsafe_backend": 7,
        "outcome_unknown": 7,
    }


def test_no_store_is_a_usage_error_with_the_ways_to_say_it(program: Any) -> None:
    ran = program("ls")
    assert ran.code == 2
    for way in ("-s URL", "export DELTASTORE_STORE=URL", "config store URL", "init models.ds"):
        assert way in ran.err


def test_the_store_comes_from_option_environment_then_file(
    store: Any, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program("config", "store", "file.ds").code == 0
    program("ls")
    assert store.url == "models.ds"
    monkeypatch.delenv("DELTASTORE_STORE")
    program("ls")
    assert store.url == str(Path("file.ds").absolute())
    program("ls", "-s", "option.ds")
    assert store.url == "option.ds"


def test_a_kept_store_is_the_same_from_every_folder(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program("config", "store", "models.ds").out == f"{tmp_path}/models.ds\n"
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert program("config", "store").out == f"{tmp_path}/models.ds\n"
    assert program("config", "store", "s3://ml/models.ds").out == "s3://ml/models.ds\n"
    assert program("config", "cache", "~/c").out == f"{Path.home()}/c\n"


def test_a_misspelled_key_in_the_file_is_told(program: Any, lonely_user: Path) -> None:
    file = lonely_user / ".config/deltastore/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('autor = "Ann"\nsomething_of_a_newer_version = 1\n')
    ran = program("config", "threads")
    assert (ran.code, ran.out) == (0, "all processors\n")
    assert ran.err == f"warning: {file}: there is no setting 'autor'; did you mean author?\n"


def test_a_size_is_read_in_the_table_and_copied_alone(program: Any) -> None:
    assert program("config", "cache_size", "1.5GB").out == "1500000000\n"
    assert "cache_size  1.50 GB " in program("config").out


def test_a_colon_without_a_file_is_told(store: Any, program: Any) -> None:
    ran = program("show", "me/math@v1:")
    assert (ran.code, store.calls) == (2, [])
    assert ran.err.endswith("hint:  deltastore ls me/math@v1\n")


def test_all_examples_fit_eighty_columns() -> None:
    for name in cli.list_commands(click.Context(cli)):
        command = cli.get_command(click.Context(cli), name)
        assert isinstance(command, Command)
        assert all(len(f"  {example}") <= 80 for example in command.examples), name


@pytest.mark.parametrize("kind", ["branch", "tag"])
def test_a_branch_or_tag_without_its_model_is_no_model(store: Any, program: Any, kind: str) -> None:
    ran = program(kind, "v9")
    assert (ran.code, store.calls) == (2, [])
    assert f"a {kind} is written with @ before it" in ran.err
    assert f"hint:  deltastore {kind} NAMESPACE/NAME@v9" in ran.err


def test_a_tilde_is_the_users_home(store: Any, program: Any, lonely_user: Path) -> None:
    program("ls", "-s", "~/models.ds")
    assert store.url == f"{lonely_user}/models.ds"


def test_config_shows_values_and_their_origins(
    program: Any, monkeypatch: pytest.MonkeyPatch, lonely_user: Path
) -> None:
    monkeypatch.setenv("DELTASTORE_THREADS", "3")
    assert program("config", "author", 'Ann "A" <a@b>').out == 'Ann "A" <a@b>\n'
    rows = [line.split("  ") for line in program("config", "-s", "x.ds").out.splitlines()]
    origins = {row[1]: row[-1].strip() for row in rows}
    assert origins["store"] == "-s"
    assert origins["threads"] == "DELTASTORE_THREADS"
    assert origins["author"] == str(lonely_user / ".config/deltastore/config.toml")
    assert origins["progress"] == "default"


def test_config_keeps_other_lines_and_unsets(program: Any, lonely_user: Path) -> None:
    file = lonely_user / ".config/deltastore/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('# mine\nstore = "a"\nthreads = 2\n[later]\nstore = "kept"\n')
    assert program("config", "store", "b").code == 0
    assert program("config", "threads", "4").out == "4\n"
    kept = Path("b").absolute()
    assert file.read_text() == f'# mine\nstore = "{kept}"\nthreads = 4\n[later]\nstore = "kept"\n'
    assert program("config", "store", "--unset").out == "none\n"
    assert 'store = "b"' not in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("config", "colour"), 2),
        (("config", "threads", "many"), 5),
        (("config", "progress", "loud"), 5),
        (("config", "--unset"), 2),
        (("config", "store", "s3://KEY:SECRET@b/x"), 2),
    ],
)
def test_config_refuses_what_cannot_be(
    program: Any, lonely_user: Path, arguments: tuple[str, ...], code: int
) -> None:
    ran = program(*arguments)
    assert ran.code == code
    assert "SECRET" not in ran.err
    assert not (lonely_user / ".config").exists()


def test_a_broken_settings_file_is_named(program: Any, lonely_user: Path) -> None:
    file = lonely_user / ".config/deltastore/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("store = \n")
    ran = program("ls")
    assert ran.code == 5
    assert str(file) in ran.err
    assert program().code == 0


def test_a_wrong_variable_is_named(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTASTORE_THREADS", "lots")
    ran = program("ls", "-s", "x")
    assert ran.code == 5
    assert "DELTASTORE_THREADS: threads must be a whole number" in ran.err


def test_author_is_the_setting_else_gits_else_the_machines(
    store: Any, program: Any, monkeypatch: pytest.MonkeyPatch, lonely_user: Path
) -> None:
    def author() -> str:
        assert program("commit", "x", "--to", "a/b", "-m", "m").code == 0
        return str(store.options["author"])

    assert "@" in author()
    (lonely_user / ".gitconfig").write_text("[user]\nname = Git User\nemail = g@example.org\n")
    assert author() == "Git User <g@example.org>"
    monkeypatch.setenv("DELTASTORE_AUTHOR", "Env User")
    assert author() == "Env User"
    monkeypatch.delenv("DELTASTORE_AUTHOR")
    monkeypatch.setenv("PATH", "")
    assert author() != "Git User <g@example.org>"


def test_reading_starts_no_other_program(
    store: Any, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a process was started"))
    for arguments in (("log", "me/x"), ("ls",), ("show", "me/x"), ("checkout", "me/x", "o")):
        assert program(*arguments).code == 0


def test_what_the_library_logs_is_a_warning(store: Any, program: Any) -> None:
    def log(_: dict[str, Any]) -> None:
        logging.getLogger("deltastore.history").warning("tag %s shadows a commit", "v1")
        logging.getLogger("deltastore.history").info("read s3://K:SECRET@b")

    store.during = log
    assert program("ls").err == "warning: tag v1 shadows a commit\n"
    assert program("ls", "-v").err == "warning: tag v1 shadows a commit\nnote: read s3://***@b\n"
    assert program("ls", "-q").err == ""
    assert logging.getLogger("deltastore").handlers == []


def test_completion_prints_clicks_script(program: Any) -> None:
    assert "_DELTASTORE_COMPLETE=zsh_complete" in program("completion", "zsh").out
    assert "_DELTASTORE_COMPLETE=fish_complete" in program("completion", "fish").out
    assert program("completion", "csh").code == 2


def test_commands_that_do_not_exist_yet_are_not_shown(program: Any) -> None:
    text = program().out + program("--help").out
    for name in ("merge", "gc", "serve", "push"):
        assert f" {name} " not in text
