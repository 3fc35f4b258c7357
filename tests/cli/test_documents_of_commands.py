"""`--json`: exactly one document, whatever happens."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastore.errors import ConflictError, NotFoundError
from deltastore.results import Diff, Fsck, TensorChange
from deltastore_cli.documents import result_document

RUNS = {
    "init": ("init", "models.ds"),
    "commit": ("commit", "ft", "--to", "me/math", "-m", "sft"),
    "checkout": ("checkout", "me/math", "out"),
    "export": ("export", "me/math", "out"),
    "log": ("log", "me/math"),
    "show": ("show", "me/math"),
    "diff": ("diff", "a/b", "a/c"),
    "ls": ("ls",),
    "stats": ("stats",),
    "branch": ("branch",),
    "tag": ("tag", "me/math@v1"),
    "reset": ("reset", "team/chat@main", "team/chat~1"),
    "rm": ("rm", "a/b", "a/c"),
    "mv": ("mv", "a/b", "a/c"),
    "undo": ("undo",),
    "revert": ("revert", "team/chat"),
    "reflog": ("reflog", "me/math"),
    "fsck": ("fsck",),
    "doctor": ("doctor",),
    "config": ("config",),
    "completion": ("completion", "zsh"),
}
FIELDS = {
    "init": "store store_id tier created",
    "commit": "commit model branch parents base unchanged tensors logical_bytes stored_bytes"
    " preview_bytes preview_error requests skipped_files",
    "checkout": "commit files bytes fetched_bytes requests fidelity verified",
    "export": "commit files bytes fetched_bytes requests fidelity verified",
    "log": "commits truncated",
    "show": "commit parents base author time message recipe inputs files metadata metrics",
    "diff": "same files tensors",
    "ls": "models",
    "stats": "logical_bytes stored_bytes ratio garbage_bytes commits models tensors objects",
    "branch": "refs",
    "tag": "model name kind old new",
    "reset": "model name kind old new seq",
    "rm": "models refs seq",
    "mv": "model origin refs seq",
    "undo": "seq time actor op message refs entry dry_run unchanged",
    "revert": "commit model branch parents base unchanged tensors reverted exact subtracted",
    "reflog": "entries truncated",
    "fsck": "ok checked findings",
    "doctor": "ok checks",
    "config": "settings file",
    "completion": "script",
}


@pytest.mark.parametrize("command", RUNS)
def test_one_document_with_the_contracts_fields(store: Any, program: Any, command: str) -> None:
    ran = program(*RUNS[command], "--json")
    assert ran.code == 0
    document = json.loads(ran.out)
    assert ran.out.count("\n") == 1
    assert list(document) == ["deltastore", "command", "result"]
    assert (document["deltastore"], document["command"]) == (1, command)
    assert set(FIELDS[command].split()) <= document["result"].keys()


def test_ids_are_whole_and_tuples_are_lists(store: Any, program: Any) -> None:
    result = json.loads(program("--json", *RUNS["commit"]).out)["result"]
    assert len(result["commit"]) == 64
    assert result["tensors"] == {
        "total": 291,
        "unchanged": 65,
        "delta": 226,
        "dense": 0,
        "merged": 0,
    }
    assert result["skipped_files"] == [".git/"]


def test_numbers_that_json_lacks_are_null(store: Any, program: Any) -> None:
    change = TensorChange("w", "changed", float("nan"), float("inf"), float("-inf"), None, 0.5)
    store.answers["diff"] = Diff(False, (), (change,))
    tensor = json.loads(program(*RUNS["diff"], "--json").out)["result"]["tensors"][0]
    assert [tensor[key] for key in ("norm", "relative_norm", "cosine")] == [None] * 3
    assert tensor["changed_fraction"] == 0.5


def test_findings_exit_with_6_and_are_a_result(store: Any, program: Any) -> None:
    store.answers["fsck"] = Fsck(False, {}, ())
    ran = program("fsck", "--json")
    assert ran.code == 6
    assert json.loads(ran.out)["result"]["ok"] is False


def test_an_error_is_a_document_and_text_on_standard_error(store: Any, program: Any) -> None:
    store.error = NotFoundError("me/math@v9: no such branch, tag or commit", hint="tags: v1, v2")
    ran = program("log", "me/math@v9", "--json")
    assert ran.code == 3
    assert json.loads(ran.out) == {
        "deltastore": 1,
        "command": "log",
        "error": {
            "kind": "not_found",
            "message": "me/math@v9: no such branch, tag or commit",
            "hint": "tags: v1, v2",
        },
    }
    assert ran.err == ("error: me/math@v9: no such branch, tag or commit\nhint:  tags: v1, v2\n")


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("--json", "comit"), None),
        (("commit", "--json"), "commit"),
        (("log", "--json", "--no-such-option"), "log"),
        (("log", "me/x", "too", "many", "--json"), "log"),
        (("log", "me/x", "-n", "0", "--json"), "log"),
        (("--progress", "loud", "--json", "log"), None),
        (("commit", "x", "--to", "a/b", "-m", "m", "--metric", "x=nan", "--json"), "commit"),
        (("commit", "x", "--to", "a/b", "-m", "m", "--meta", "x", "--json"), "commit"),
        (("commit", "x", "--to", "a/b", "-m", "m", "--preview", "2", "--json"), "commit"),
        (("export", "a/b", "x", "--max-shard-size", "5 apples", "--json"), "export"),
        (("show", "me/math:config.json", "--json"), "show"),
        (("-s", "memory://x", "log", "me/x", "--json"), "log"),
        (("-s", "s3://KEY:SECRET@b/x", "log", "me/x", "--json"), None),
    ],
)
def test_a_wrong_call_is_a_document_too(
    store: Any, program: Any, arguments: tuple[str, ...], command: str | None
) -> None:
    ran = program(*arguments)
    document = json.loads(ran.out)
    assert ran.code == 2
    assert document["command"] == command
    assert document["error"]["kind"] == "usage"
    assert ran.err.startswith("error: ")


def test_json_as_a_message_is_no_option(store: Any, program: Any) -> None:
    ran = program("commit", "x", "--to", "a/b", "-m", "--json")
    assert ran.code == 0
    assert ran.out.startswith("me/math@main")


def test_a_failure_nobody_foresaw_is_internal(store: Any, program: Any) -> None:
    store.error = ZeroDivisionError("at s3://KEY:SECRET@bucket/x")
    ran = program("log", "me/x", "--json")
    assert ran.code == 1
    error = json.loads(ran.out)["error"]
    assert error["kind"] == "internal"
    assert error["message"] == "ZeroDivisionError: at s3://***@bucket/x"
    assert "please report it" in error["hint"]
    assert "Traceback (most recent call last)" in ran.err
    assert "SECRET" not in ran.err + ran.out


def test_an_interrupt_is_a_document(store: Any, program: Any) -> None:
    store.error = KeyboardInterrupt()
    ran = program(*RUNS["commit"], "--json")
    assert ran.code == 130
    assert ran.err == "interrupted: nothing recorded\n"
    assert json.loads(ran.out)["error"] == {
        "kind": "interrupted",
        "message": "interrupted: nothing recorded",
        "hint": "",
    }


def test_an_interrupt_after_the_answer_adds_no_second_document(
    store: Any, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(store), "__exit__", leave)
    ran = program(*RUNS["commit"], "--json")
    assert ran.code == 130
    assert "result" in json.loads(ran.out)
    assert ran.err == "interrupted, after all was done\n"


def test_an_error_after_the_answer_adds_no_second_document(
    store: Any, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*_: object) -> None:
        raise ConflictError("late")

    monkeypatch.setattr(type(store), "__exit__", leave)
    ran = program(*RUNS["log"], "--json")
    assert ran.code == 4
    assert "result" in json.loads(ran.out)
    assert ran.err == "error: late\n"


def test_doctor_tells_why_the_store_does_not_open(store: Any, program: Any) -> None:
    store.error = NotFoundError("gone")
    ran = program("doctor", "--json")
    assert ran.code == 3
    result = json.loads(ran.out)["result"]
    assert result["ok"] is False
    assert result["checks"][-1] == ["not_found", "gone", False]


def test_version_and_overview_are_documents(store: Any, program: Any) -> None:
    assert json.loads(program("--version", "--json").out)["result"] == {"version": "0.1.0"}
    overview = json.loads(program("--json").out)
    assert overview["command"] is None
    assert overview["result"]["store"] == "models.ds"


def test_a_truncated_list_says_so(store: Any, program: Any) -> None:
    store.answers["log"] = replace(store.answers["log"], truncated=True)
    assert json.loads(program("log", "me/x", "-n", "2", "--json").out)["result"]["truncated"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_any_value_is_one_line_that_parses(value: object) -> None:
    document = result_document("x", value)
    assert document.endswith("\n")
    assert document.count("\n") == 1
    assert "NaN" not in json.dumps(json.loads(document)["deltastore"])
    assert json.loads(document, parse_constant=pytest.fail)["command"] == "x"
