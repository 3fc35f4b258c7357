"""What people read, command by command."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from deltastore.results import (
    Diff,
    Doctor,
    FileChange,
    FileInfo,
    Finding,
    Fsck,
    InitResult,
    KeptWhole,
    Listing,
    LogResult,
    RefMoveResult,
    TensorChange,
    TensorCounts,
    TensorInfo,
)

if TYPE_CHECKING:
    from collections.abc import Callable

COMMIT = ("commit", "ft", "--to", "me/math", "-m", "sft")


def test_commit_tells_where_how_and_what_deserves_a_look(store: Any, program: Any) -> None:
    ran = program(*COMMIT)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "me/math@main  4c1f09ab23de  new branch, base meta/llama@main (a81c03f29d11)",
        (
            "  291 tensors: 226 deltas, 65 unchanged"
            "   16.1 GB kept in 2.14 GB (7.5x; preview 360 MB of it)"
        ),
        (
            "  4 tensors match nothing in the base and are kept whole: a.weight, b.weight,"
            " c.weight and 1 more"
        ),
        "  4 weight files, 6 other files; left out: .git/",
        "  kept whole: optimizer.pt 1.20 GB (47 % of this commit), --exclude optimizer.pt drops it",
    ]
    assert store.closed


def test_commit_passes_every_option_to_the_store(store: Any, program: Any) -> None:
    options = [
        "--base",
        "auto",
        "--parent",
        "me/x",
        "--expect",
        "none",
        "--include",
        "*.json",
        "--exclude",
        "*.pt",
    ]
    options += [
        "--meta",
        "a=b=c",
        "--meta",
        "d=",
        "--metric",
        "m=0.50",
        "--preview",
        "off",
        "--reference",
        "at/hand",
        "--lossy",
    ]
    ran = program(*COMMIT, *options, "--exclude", "*.bin", "--progress", "none", "-j", "3")
    assert ran.code == 0
    name, arguments, given = store.calls[-1]
    assert (name, arguments) == ("commit", ("ft",))
    assert given == {
        "to": "me/math",
        "message": "sft",
        "base": "auto",
        "parent": "me/x",
        "expect": "none",
        "include": ("*.json",),
        "exclude": ("*.pt", "*.bin"),
        "metadata": {"a": "b=c", "d": ""},
        "metrics": {"m": "0.50"},
        "preview": None,
        "reference": "at/hand",
        "lossy": True,
        "progress": None,
    }
    assert store.options.pop("author")
    assert store.options == {"threads": 3}


def test_commit_defaults_are_the_contracts(store: Any, program: Any) -> None:
    program(*COMMIT)
    given = store.calls[-1][2]
    assert (given["base"], given["expect"], given["preview"]) == (None, None, 0.05)
    assert callable(given["progress"])
    assert set(store.options) == {"author"}


def test_a_first_commit_says_so(store: Any, program: Any) -> None:
    store.answers["commit"] = replace(
        store.answers["commit"],
        base=None,
        base_name=None,
        new_model=True,
        tensors=TensorCounts(291, 0, 0, 291),
        preview_bytes=0,
        stored_bytes=10_710_000_000,
        dense_names=(),
    )
    first, second, *_ = program(*COMMIT).out.splitlines()
    assert first.endswith("  new model, new branch, no base")
    assert second.endswith("291 whole   16.1 GB kept in 10.7 GB (1.50x)")


def test_a_commit_that_lost_a_race_says_it_moved(store: Any, program: Any) -> None:
    store.answers["commit"] = replace(
        store.answers["commit"], moved=True, parents=("77aa" * 16,), new_branch=False
    )
    out = program(*COMMIT).out
    assert "  parent 77aa77aa77aa, base meta/llama@main" in out
    assert "moved meanwhile: another writer's commit came first" in out


def test_an_unchanged_commit_is_one_line(store: Any, program: Any) -> None:
    store.answers["commit"] = replace(store.answers["commit"], unchanged=True)
    ran = program(*COMMIT)
    assert ran.code == 0
    assert ran.out == (
        "me/math@main  4c1f09ab23de  unchanged: the branch has these very files; nothing recorded\n"
    )


def test_warnings_of_a_commit_go_to_standard_error(store: Any, program: Any) -> None:
    store.answers["commit"] = replace(store.answers["commit"], warnings=("x.pt is a pickle",))
    assert program(*COMMIT).err == "warning: x.pt is a pickle\n"
    assert program("-q", *COMMIT).err == ""


def test_small_files_kept_whole_are_not_worth_a_line(store: Any, program: Any) -> None:
    store.answers["commit"] = replace(
        store.answers["commit"], kept_whole=(KeptWhole("a b.json", 900, 500),)
    )
    assert "a b.json" not in program(*COMMIT).out
    store.answers["commit"] = replace(
        store.answers["commit"], kept_whole=(KeptWhole("a b.bin", 2 * 10**9, 2 * 10**9),)
    )
    assert "--exclude 'a b.bin' drops it" in program(*COMMIT).out


def test_checkout_says_what_was_verified_and_what_was_there(store: Any, program: Any) -> None:
    ran = program("checkout", "me/math", "out")
    assert ran.out == ("me/math  4c1f09ab23de  16.1 GB in 8 files, verified      fetched 12.8 GB\n")
    whole = store.answers["checkout"]
    store.answers["checkout"] = replace(whole, kept=3)
    assert "verified, 3 already there" in program("checkout", "me/math", "out").out
    store.answers["checkout"] = replace(whole, kept=8)
    assert "all 8 files already there" in program("checkout", "me/math", "out").out


def test_a_preview_says_so_on_screen(store: Any, program: Any) -> None:
    store.answers["checkout"] = replace(
        store.answers["checkout"], fidelity="preview", verified=False
    )
    ran = program("checkout", "me/math", "out", "--fidelity", "preview", "--overwrite")
    assert "preview: lossy, and marked so in the files" in ran.out
    assert "verified" not in ran.out
    assert store.calls[-1][2]["fidelity"] == "preview"
    assert store.calls[-1][2]["overwrite"] is True


def test_export_parses_the_shard_size(store: Any, program: Any) -> None:
    ran = program("export", "me/math", "s3://o/x", "--max-shard-size", "5GB", "--dtype", "float16")
    assert ran.out == "me/math  4c1f09ab23de  8.00 MB in 2 files      to s3://o/x\n"
    _, arguments, options = store.calls[-1]
    assert arguments == ("me/math", "s3://o/x")
    assert (options["max_shard_size"], options["dtype"]) == (5_000_000_000, "float16")
    assert options["tensors"] is None


def test_log_reads_like_git(store: Any, program: Any) -> None:
    ran = program("log", "me/math", "-n", "2")
    lines = ran.out.splitlines()
    assert lines[:3] == [
        "commit 4c1f09ab23de (me/math@main)",
        "Base:    a81c03f29d11",
        "Author:  Ann <ann@example.org>",
    ]
    assert "    sft, 3 epochs" in lines
    assert "commit a81c03f29d11" in lines
    assert store.calls[-1] == ("log", ("me/math",), {"limit": 2, "graph": False})


def test_log_in_a_line_each(store: Any, program: Any) -> None:
    assert program("log", "me/math", "--oneline").out == (
        "4c1f09ab23de (me/math@main)  sft, 3 epochs\na81c03f29d11  as released\n"
    )


def test_a_graph_is_drawn_beside_one_line_each(store: Any, program: Any) -> None:
    info, root = store.answers["log"].commits
    merge = replace(info, commit="a90c" * 16, inputs=("5be0" * 16,), refs=(), message="both")
    store.answers["log"] = LogResult(
        (merge, info, root), truncated=True, graph=(("*",), ("|\\", "| *"), ("|/", "*"))
    )
    assert program("log", "me/math", "--graph").out.splitlines() == [
        "*   a90ca90ca90c  both   (1 input)",
        "|\\",
        "| * 4c1f09ab23de (me/math@main)  sft, 3 epochs",
        "|/",
        "*   a81c03f29d11  as released",
        "... and more",
    ]


def test_log_without_a_revision_names_models(store: Any, program: Any) -> None:
    ran = program("log")
    assert ran.code == 2
    assert ran.err == (
        "error: no revision given and this is not a workspace\n"
        "hint:  deltastore log me/math    (models here: me/math)\n"
    )
    store.answers["ls"] = Listing(models=())
    assert "no models here yet" in program("show").err


def test_show_has_everything_recorded_and_the_files(store: Any, program: Any) -> None:
    out = program("show", "me/math").out
    assert f"commit {store.answers['show'].commit}\nRefs:    me/math@main\n" in out
    assert "Parents: a81c03f29d11" in out
    assert "|exact - preview| / |exact - base| = 0.86" in out
    assert "2 files, 1.00 GB" in out
    assert "  run  7" in out


def test_show_of_a_path_gives_the_very_bytes(store: Any, program: Any) -> None:
    assert program("show", "me/math@v1:config.json").out == "{}\n"
    assert store.calls[-1] == ("read_file", ("me/math@v1", "config.json"), {})


def test_diff_shows_twenty_tensors_or_all(store: Any, program: Any) -> None:
    lines = program("diff", "meta/llama", "me/math").out.splitlines()
    assert lines[:4] == [
        "meta/llama@main a81c03f29d11  ->  me/math@main 4c1f09ab23de",
        "files   1 changed (README.md), 1 same",
        "tensors 25 changed, 1 unchanged of 26",
        "weights 42.7 % of elements differ   |B-A|/|A| 6.1e-03",
    ]
    assert lines[4].split() == ["tensor", "elements", "|B-A|/|A|", "cosine"]
    assert lines[5].split() == ["layers.0.weight", "61.2", "%", "1.4e-02", "0.99990"]
    assert lines[-1] == "  5 more: --all"
    assert len(lines) == 5 + 20 + 1
    assert len(program("diff", "meta/llama", "me/math", "--all").out.splitlines()) == 5 + 25


def test_diff_names_what_was_added_and_what_has_no_number(store: Any, program: Any) -> None:
    tensors = (
        TensorChange("new", "added"),
        TensorChange("w", "changed", 1.0, None, None, 0.5, 1e-9, 4),
    )
    store.answers["diff"] = Diff(False, (FileChange("a", "added"),), tensors)
    lines = program("diff", "me/a", "./b").out.splitlines()
    assert lines[:2] == ["files   1 added (a)", "tensors 1 added, 1 changed of 2"]
    assert lines[3].split() == ["new", "-", "-", "-", "-", "added"]
    assert lines[4].split() == ["w", "<", "0.1", "%", "-", "-", "0.50000", "changed"]


def test_diff_exits_with_8_only_when_asked(store: Any, program: Any) -> None:
    assert program("diff", "a/b", "a/c").code == 0
    assert program("diff", "a/b", "a/c", "--exit-code").code == 8
    store.answers["diff"] = replace(store.answers["diff"], same=True)
    ran = program("diff", "a/b", "--exit-code")
    assert ran.code == 0
    assert "the same: 2 files, 26 tensors" in ran.out
    assert store.calls[-1][1] == ("a/b", None)


def test_ls_lists_models_files_or_tensors(store: Any, program: Any) -> None:
    assert program("ls").out.splitlines()[1].split() == ["me/math", "main,", "dev", "v1"]
    store.answers["ls"] = Listing(files=(FileInfo("config.json", 700, "ab" * 32),))
    assert program("ls", "me/math@v1").out.splitlines()[1].split() == [
        "config.json",
        "700",
        "B",
        "abababababab",
    ]
    tensors = (TensorInfo("w", "BF16", (2, 3), "cd" * 32), TensorInfo("s", "F32", (), "ef" * 32))
    store.answers["ls"] = Listing(tensors=tensors, truncated=True)
    ran = program("ls", "me/math", "--tensors", "-n", "2")
    assert ran.out.splitlines()[1].split() == ["w", "BF16", "2", "x", "3", "cdcdcdcdcdcd"]
    assert "scalar" in ran.out
    assert "... and more" in ran.out
    assert store.calls[-1] == ("ls", ("me/math",), {"tensors": True, "limit": 2})
    store.answers["ls"] = Listing(models=())
    assert program("ls").out == "no models\n"


def test_nothing_is_cut_where_no_terminal_reads(store: Any, program: Any) -> None:
    name = "model." * 100 + "weight"
    store.answers["ls"] = Listing(tensors=(TensorInfo(name, "BF16", (1,) * 16, "cd" * 32),))
    assert f"  {name}  BF16 " in program("ls", "me/math", "--tensors").out


def test_stats_of_a_store_and_of_a_version(store: Any, program: Any) -> None:
    assert program("stats").out.splitlines()[:2] == [
        "16.1 GB kept in 2.14 GB (7.5x)",
        "  commits  3",
    ]
    store.answers["stats"] = replace(
        store.answers["stats"], own_bytes=10**9, codecs={"exact/1": 5 * 10**8}
    )
    out = program("stats", "me/math").out
    assert "its own  1.00 GB, freed if only it went" in out
    assert "exact/1  500 MB" in out


def test_branch_lists_makes_moves_and_deletes(store: Any, program: Any) -> None:
    assert program("branch").out == "  me/math@main  4c1f09ab23de\n"
    program("branch", "me/math")
    assert store.calls[-1] == ("branches", ("me/math",), {})
    ran = program("branch", "team/chat@prod", "4c1f", "-f", "-m", "ticket 812")
    assert ran.out == (
        "team/chat@prod  9d20b7711c3e -> 4c1f09ab23de"
        "      back: deltastore undo, or branch -f team/chat@prod 9d20b7711c3e\n"
    )
    assert store.calls[-1] == (
        "branch",
        ("team/chat@prod", "4c1f"),
        {"delete": False, "force": True, "message": "ticket 812"},
    )
    store.answers["branch"] = RefMoveResult("team/chat", "old", "branch", "9d20" * 16, None)
    assert program("branch", "team/chat@old", "-d").out == (
        "team/chat@old  deleted (was 9d209d209d20)"
        "      back: deltastore branch team/chat@old 9d209d209d20\n"
    )


def test_tag_lists_and_makes(store: Any, program: Any) -> None:
    assert program("tag").out == "  me/math@v1  4c1f09ab23de\n"
    assert program("tag", "me/math@v1").out == "me/math@v1  4c1f09ab23de  new tag\n"
    made = store.answers["tag"]
    store.answers["tag"] = replace(made, old=made.new, warnings=("same letters as a commit",))
    ran = program("tag", "me/math@v1")
    assert "already there" in ran.out
    assert ran.err == "warning: same letters as a commit\n"
    store.answers["tags"] = ()
    assert program("tag").out == "none\n"


@pytest.mark.parametrize("arguments", [("branch", "me/x", "4c1f"), ("tag", "-d"), ("branch", "-f")])
def test_a_change_without_a_name_is_a_usage_error(
    store: Any, program: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    ran = program(*arguments)
    assert ran.code == 2
    assert f"which {arguments[0]}?" in ran.err
    assert store.calls == []


def test_fsck_says_what_was_checked_and_exits_with_6_on_findings(store: Any, program: Any) -> None:
    ran = program("fsck")
    assert ran.out == "checked 41 log entries, 12 packs: all is well\n"
    findings = (Finding("corrupt", "packs/ab", "block 3 of 7 fails its checksum"),)
    store.answers["fsck"] = Fsck(False, {"packs": 1}, findings)
    ran = program("fsck", "--tensors", "--log", "me/math")
    assert ran.code == 6
    assert ran.out.splitlines()[0] == "checked 1 pack: 1 finding"
    assert "corrupt  packs/ab  block 3 of 7 fails its checksum" in ran.out
    options = store.calls[-1][2]
    assert (options["packs"], options["tensors"], options["revisions"]) == (
        False,
        True,
        ("me/math",),
    )


def test_doctor_sees_program_settings_and_store(store: Any, program: Any) -> None:
    ran = program("doctor")
    assert ran.code == 0
    assert "all is well" in ran.out
    assert "models.ds (from DELTASTORE_STORE)" in ran.out
    store.answers["doctor"] = Doctor(False, (("probe", "two winners", False),))
    ran = program("doctor")
    assert ran.code == 7
    assert "BAD  probe" in ran.out
    assert ran.out.endswith("1 not well\n")


def test_init_says_what_to_type_next(
    store: Any, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DELTASTORE_STORE")
    made, writers, export, then = program("init", "my models.ds").out.splitlines()
    assert made == "made my models.ds (store 7c1e7c1e7c1e)"
    assert writers.startswith("writers: safe for many at once (")
    assert export.startswith("next:    export DELTASTORE_STORE='/")
    assert then.strip() == "deltastore commit FOLDER --to NAMESPACE/NAME -m MESSAGE"
    store.initialized = InitResult("models.ds", "7c1e" * 8, "B", False)
    out = program("init", "models.ds", "--unsafe-single-writer").out
    assert out == (
        "models.ds is a store already (store 7c1e7c1e7c1e)\nwriters: one process at a time\n"
    )
    assert store.options.pop("author")
    assert store.options == {"unsafe_single_writer": True}


def test_settings_reach_the_store(
    store: Any, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("THREADS", "5"), ("CACHE", "/somewhere"), ("AUTHOR", "Ann")):
        monkeypatch.setenv(f"DELTASTORE_{name}", value)
    program("ls")
    assert store.options == {"threads": 5, "cache": "/somewhere"}
    for command in (("tag", "me/math@v1"), ("branch", "me/math@x"), COMMIT, ("init",)):
        program(*command)
        assert store.options["author"] == "Ann"
