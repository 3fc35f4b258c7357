"""`find`, `sql` and `reindex` as they are typed: text, CSV, JSON, errors."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from deltastore.results import Reindexed, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import FakeStore, Ran

    Program = Callable[..., Ran]

ID = "4c1f09ab23de" + "1" * 52
FOUND = Table(
    ("model", "branch", "commit", "time", "author", "message", "metric.mmlu"),
    (
        (
            "me/math",
            "main, v1",
            ID,
            "2026-11-21T04:12:29Z",
            "Ann <ann@x.org>",
            "sft\n\nlonger",
            0.71,
        ),
        (None, "", ID, "2026-11-20T04:12:29Z", "Bob\x1b[31m", "x", None),
    ),
    truncated=True,
)
ROWS = Table(
    ("name", "value", "list", "name"),
    (("a, \"b\"\nc", float("nan"), (1, {"x": float("inf")}), True), (None, 2, (), False)),
)  # fmt: skip


@pytest.fixture
def asked(store: FakeStore) -> FakeStore:
    store.answers |= {
        "find": FOUND,
        "sql": ROWS,
        "reindex": Reindexed(rebuilt=True, entry=1412, packs=12, commits=1, unread=2),
    }
    return store


def test_find_shows_versions_a_line_each(asked: FakeStore, program: Program) -> None:
    ran = program("find", "metric.mmlu>0.6", "author:ann", "--sort", "metric.mmlu", "-n", "2")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "  model    branch    commit        time              author       message  metric.mmlu",
        "  me/math  main, v1  4c1f09ab23de  2026-11-21 04:12  Ann          sft             0.71",
        "  -                  4c1f09ab23de  2026-11-20 04:12  Bob\\x1b[31m  x                  -",
        "  ... and more",
    ]
    options = {"sort": "metric.mmlu", "ascending": False, "tips": False, "limit": 2}
    assert asked.calls == [("find", ("metric.mmlu>0.6 author:ann",), options)]


def test_find_in_a_document_keeps_everything(asked: FakeStore, program: Program) -> None:
    result = json.loads(program("find", "--tips", "--ascending", "--json").out)["result"]
    assert list(result) == ["columns", "rows", "truncated"]
    assert result["rows"][0] == list(FOUND.rows[0])
    assert asked.calls[0][1:] == (
        ("",),
        {"sort": None, "ascending": True, "tips": True, "limit": None},
    )


def test_nothing_found_is_said(asked: FakeStore, program: Program) -> None:
    asked.answers["find"] = Table(FOUND.columns, ())
    ran = program("find", "author:nobody")
    assert (ran.code, ran.out) == (0, "no version fits\n")


def test_sql_prints_a_table(asked: FakeStore, program: Program) -> None:
    ran = program("sql", "FROM metrics")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        '  name       value  list              name',
        '  a, "b"\\nc    nan  [1, {"x": null}]  true',
        '                 2  []                false',
        "  2 rows",
    ]  # fmt: skip
    assert asked.calls == [
        ("sql", ("FROM metrics",), {"limit": 10_000, "timeout": 30.0, "memory": 10**9})
    ]


def test_sql_as_csv_is_read_back(asked: FakeStore, program: Program) -> None:
    ran = program("sql", "FROM metrics", "--format", "csv", "--memory", "256MiB", "--timeout", "2")
    assert list(csv.reader(io.StringIO(ran.out))) == [
        list(ROWS.columns),
        ['a, "b"\nc', "nan", '[1, {"x": null}]', "true"],
        ["", "2", "[]", "false"],
    ]
    assert asked.calls[0][2] == {"limit": 10_000, "timeout": 2.0, "memory": 256 << 20}


def test_no_value_drives_a_terminal(
    asked: FakeStore, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J"
    asked.answers["sql"] = Table((evil,), ((evil,), ((evil, {evil: evil}),)))
    assert evil in program("sql", "FROM x", "--format", "csv").out  # a file gets what there is
    for form in ("table", "json"):
        assert not {"\x1b", "\x07"} & set(program("sql", "FROM x", "--format", form).out)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    for form in ("table", "csv", "json"):
        ran = program("sql", "FROM x", "--format", form)
        assert not {"\x1b", "\x07"} & set(ran.out), form


def test_sql_as_json_records_and_as_a_document(asked: FakeStore, program: Program) -> None:
    records = json.loads(program("sql", "FROM metrics", "--format", "json").out)
    assert records[0] == {"name": True, "value": None, "list": [1, {"x": None}]}
    result = json.loads(program("sql", "FROM metrics", "--json", "--format", "json").out)["result"]
    assert result["columns"] == list(ROWS.columns)
    assert result["rows"][0] == ['a, "b"\nc', None, [1, {"x": None}], True]
    assert program("sql", "FROM metrics", "--json", "--format", "csv").code == 2


def test_a_cut_answer_is_said_on_standard_error(asked: FakeStore, program: Program) -> None:
    asked.answers["sql"] = Table(("a",), ((1,),), truncated=True)
    ran = program("sql", "FROM metrics", "-n", "1")
    assert ran.out == "  a\n  1\n  ... and more\n  1 row\n"
    assert ran.err == "warning: only the first 1 rows: -n N for more\n"


def test_reindex_says_what_it_did(asked: FakeStore, program: Program) -> None:
    assert program("reindex").out == (
        "made again from 1 commit and 12 packs, up to log entry 1,412\n"
        "2 of them could not be read: deltastore fsck says why\n"
    )
    asked.answers["reindex"] = Reindexed(rebuilt=False, entry=3, packs=2, commits=4)
    assert program("reindex", "--dry-run").out == (
        "would read 4 commits and 2 packs, up to log entry 3\n"
    )
    assert asked.calls[-1][2] == {"dry_run": True}
    fields = json.loads(program("reindex", "--json").out)["result"]
    assert list(fields) == ["rebuilt", "entry", "packs", "commits", "unread"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("sql",),
        ("sql", "SELECT 1", "--format", "xml"),
        ("sql", "SELECT 1", "--timeout", "0"),
        ("sql", "SELECT 1", "--memory", "much"),
        ("sql", "SELECT 1", "-n", "0"),
        ("find", "-n", "none"),
        ("reindex", "me/x"),
    ],
)
def test_wrong_arguments_are_usage_errors(
    asked: FakeStore, program: Program, arguments: tuple[str, ...]
) -> None:
    ran = program(*arguments, "--json")
    assert ran.code == 2
    assert json.loads(ran.out)["error"]["kind"] == "usage"


def test_on_a_real_store(program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("DELTASTORE_STORE", "real.ds")
    monkeypatch.setenv("DELTASTORE_AUTHOR", "Ada <ada@example.org>")
    (tmp_path / "notes.txt").write_text("notes")
    assert program("init").code == 0
    ran = program(
        *("commit", "notes.txt", "--to", "me/math", "-m", "sft", "--metric", "mmlu=0.7"),
        *("--meta", "run=42"),
    )
    assert ran.code == 0
    found = json.loads(program("find", "mmlu>0.6 run=42 author:ada", "--json").out)["result"]
    assert found["rows"][0][:2] == ["me/math", "main"]
    assert program("sql", "SELECT value FROM metrics", "--format", "csv").out == "value\n0.7\n"
    for arguments, code, kind, words in (
        (("find", "mmlu>high"), 5, "invalid", "not a number"),
        (("find", "loss>1"), 5, "invalid", "unknown field 'loss'"),
        (("sql", "COPY commits TO 'x.csv'"), 5, "invalid", "COPY is refused"),
        (("sql", "SELEC 1"), 5, "invalid", "syntax error"),
        (("sql", "FROM read_csv('notes.txt')"), 5, "invalid", "read_csv is refused"),
    ):
        ran = program(*arguments, "--json")
        error = json.loads(ran.out)["error"]
        assert (ran.code, error["kind"]) == (code, kind)
        assert words in error["message"]
        assert words in ran.err
        assert error["hint"]


def test_find_for_programs_has_whole_ids(asked: FakeStore, program: Program) -> None:
    lines = program("find", "mmlu>0.6", "--format", "csv").out.splitlines()
    assert lines[0] == "model,branch,commit,time,author,message,metric.mmlu"
    assert lines[1].startswith(f'me/math,"main, v1",{ID},')
    records = json.loads(program("find", "mmlu>0.6", "--format", "json").out)
    assert [record["model"] for record in records] == ["me/math", None]


def test_find_in_two_forms_is_one_too_many(asked: FakeStore, program: Program) -> None:
    ran = program("find", "mmlu>0.6", "--format", "csv", "--json")
    assert (ran.code, json.loads(ran.out)["error"]["kind"]) == (2, "usage")
    assert asked.calls == []
