"""`find`, `sql` and `reindex` of a store, from Python."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import deltastore
from deltastore.catalog.public_tables import PUBLIC
from deltastore.catalog.sandbox import files_of
from deltastore.catalog.sandboxed import Order, asked, prepared
from deltastore.errors import InvalidError, UnsupportedError, UsageError
from tests.cli.weights import fine_tuned, small_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deltastore import Store

    Ask = Callable[[str], tuple[tuple[Any, ...], ...]]

IDS = dict[str, str]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finding")


@pytest.fixture(scope="module")
def ids(folder: Path) -> IDS:
    """The commits of a small team: a base, a series of two with a tag, another model."""
    base, tuned = small_model(), fine_tuned(small_model())
    write_model(folder / "base", base, {"README.md": b"base\n"})
    write_model(folder / "one", tuned, {"README.md": b"one\n"})
    write_model(folder / "two", tuned, {"README.md": b"two\n", "sub/optimizer.pt": b"o"})
    found: IDS = {}
    with deltastore.init(folder / "models.ds", cache=folder / "cache", author="Ada") as store:
        commits: tuple[tuple[str, str, str | None, dict[str, float | str]], ...] = (
            ("base", "meta/llama", None, {}),
            ("one", "team/chat", "meta/llama", {"mmlu": 0.5}),
            ("two", "team/chat", None, {"mmlu": 0.75, "loss": "1e-3"}),
        )
        for name, to, base_name, facts in commits:
            made = store.commit(
                folder / name,
                to=to,
                base=base_name,
                message=f"{name}, as it is\nand more",
                metrics=facts,
                metadata={"run": name} if facts else None,
            )
            found[name] = made.commit
        store.tag("team/chat@v1", "team/chat~1")
        store.branch("team/fork@main", "team/chat")
    return found


@pytest.fixture
def store(folder: Path, ids: IDS) -> Iterator[Store]:
    with deltastore.open(folder / "models.ds", cache=folder / "cache", threads=1) as store:
        yield store


@pytest.fixture
def ask(store: Store) -> Iterator[Ask]:
    """What SQL finds, asked in this process: no start of another one for each question."""
    files = files_of(store._catalog()._keeper.opened)
    assert files is not None
    base, tail = files
    order = Order(str(base), None if tail is None else str(tail), "", None, 1 << 28, 9, 1)
    with prepared(order) as connection:
        yield lambda query: tuple(map(tuple, asked(connection, query, None)["rows"]))


def test_a_version_is_found_with_its_model_and_refs(store: Store, ids: IDS) -> None:
    found = store.find("metric.mmlu>=0.5 run:*", sort="metric.mmlu")
    assert found.columns == (
        *("model", "branch", "commit", "time", "author", "message"),
        *("metric.mmlu", "meta.run"),
    )
    two, one = found.rows
    assert two[:3] == ("team/chat", "main, team/fork@main", ids["two"])
    assert two[4:] == ("Ada", "two, as it is\nand more", 0.75, "two")
    assert one[:3] == ("team/chat", "v1", ids["one"])
    assert one[3].endswith("Z")
    assert not found.truncated


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["two", "one", "base"]),
        ("base:meta/llama", ["two", "one"]),
        ("base:none", ["base"]),
        ("tag:v1", ["one"]),
        ("branch:main", ["two", "one", "base"]),
        ("branch:main model:meta/*", ["base"]),
        ("model:team/fork", ["two", "one"]),
        ("-model:team/*", ["base"]),
        ("file:optimizer.pt", ["two"]),
        ("file:sub/*", ["two"]),
        ("tensor:*embed*", ["two", "one", "base"]),
        ("files=4 or bytes>1TB", ["two"]),
        ("author:ADA time>2020 time<2999", ["two", "one", "base"]),
        ('message:"as it is" one', ["one"]),
        ("loss<0.01", ["two"]),
    ],
)
def test_what_fits(store: Store, ids: IDS, query: str, names: list[str]) -> None:
    assert [row[2] for row in store.find(query).rows] == [ids[name] for name in names]


def test_ids_find_their_commits_and_what_grew_from_them(store: Store, ids: IDS) -> None:
    found = store.find(f"commit:{ids['one'][:8]} or base:{ids['base'][:12]}")
    assert {row[2] for row in found.rows} == {ids["one"], ids["two"]}


def test_order_tips_and_limit(store: Store, ids: IDS) -> None:
    assert [row[2] for row in store.find(tips=True).rows] == [ids["two"], ids["one"], ids["base"]]
    found = store.find(sort="metric.mmlu", ascending=True, limit=2)
    assert [row[2] for row in found.rows] == [ids["one"], ids["two"]]
    assert found.truncated
    assert repr(found) == (
        "Table(2+ rows of model, branch, commit, time, author, message, metric.mmlu)"
    )
    oldest = store.find(ascending=True, limit=1)
    assert oldest.rows[0][2] == ids["base"]


def test_wrong_questions_are_told(store: Store) -> None:
    with pytest.raises(InvalidError, match="unknown field 'mmul'") as caught:
        store.find("mmul>0.5")
    assert "did you mean 'mmlu'" in caught.value.hint
    with pytest.raises(InvalidError, match="not sorted by author"):
        store.find(sort="author")
    with pytest.raises(InvalidError, match="no version has a metric 'gsm8k'"):
        store.find(sort="gsm8k")
    with pytest.raises(UsageError, match="limit"):
        store.find(limit=0)


def test_texts_are_normalized_as_the_recorded_ones_are(store: Store) -> None:
    assert store.find("author:e\u0301mile").rows == ()
    assert store.find("author:\0").rows == ()
    for call in (store.find, store.sql):
        with pytest.raises(UsageError, match="not valid Unicode"):
            call("author:\ud800")


def test_nothing_typed_reaches_sql_as_text(store: Store) -> None:
    for text in ("'; DROP VIEW commits; --", "x' OR '1'='1", "%", "_", "\\"):
        quoted = '"' + text.replace("\\", "\\\\") + '"'
        assert store.find(f"author:{quoted} or meta.{quoted}=1 or tensor={quoted}").rows == ()


def test_the_public_tables_say_what_was_committed(ask: Ask, ids: IDS) -> None:
    found = ask("SELECT commit, model, branch, base, files, author, time IS NOT NULL FROM commits")
    assert {row[0]: row[1:] for row in found} == {
        ids["base"]: ("meta/llama", "main", None, 3, "Ada", True),
        ids["one"]: ("team/chat", "v1", ids["base"], 3, "Ada", True),
        ids["two"]: ("team/chat", "main, team/fork@main", ids["base"], 4, "Ada", True),
    }
    assert ask("SELECT commit, position, parent FROM parents") == ((ids["two"], 0, ids["one"]),)
    assert ask("FROM metrics ORDER BY value") == (
        (ids["two"], "loss", 0.001),
        (ids["one"], "mmlu", 0.5),
        (ids["two"], "mmlu", 0.75),
    )
    assert ask("SELECT value FROM metadata ORDER BY value") == (("one",), ("two",))
    assert ask("FROM refs WHERE kind = 'tag'") == (("team/chat", "v1", "tag", ids["one"]),)
    assert ask("FROM models ORDER BY model")[1] == ("team/chat", 1, 1)
    assert ask("SELECT count(*) FROM inputs") == ((0,),)


def test_the_public_tables_say_what_a_version_holds(store: Store, ask: Ask) -> None:
    shown = store.show("team/chat")
    mine = "SEMI JOIN (FROM refs WHERE model = 'team/chat' AND name = 'main') USING (commit)"
    files = ask(f"SELECT path, bytes, sha256 FROM files {mine}")  # noqa: S608 - a test's own text
    assert set(files) == {(file.path, file.size, file.sha256) for file in shown.files}
    tensors = ask(f"SELECT name, dtype, shape, digest, path FROM tensors {mine}")  # noqa: S608 - a test's own text
    expected = store.ls("team/chat", tensors=True).tensors or ()
    assert {(*row[:2], tuple(row[2]), *row[3:]) for row in tensors} == {
        (each.name, each.dtype, each.shape, each.digest, each.file) for each in expected
    }
    stats = store.stats()
    assert ask("SELECT sum(bytes), count(*) FROM packs") == ((stats.stored_bytes, stats.objects),)
    found = ask("SELECT codec, sum(s.bytes) FROM sections s GROUP BY codec")
    codecs: dict[str, int] = dict(found)
    assert codecs.keys() >= {"dense/1", "blob/1"}
    assert sum(codecs.values()) < stats.stored_bytes


def test_the_page_of_tables_lists_every_column_with_its_type(ask: Ask) -> None:
    page = (ROOT / "docs" / "reference" / "tables.md").read_text("utf-8")
    sections = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", page, re.MULTILINE))
    for table in PUBLIC:
        (text,) = (text for title, text in sections.items() if table in title.split())
        for column, kind, *_ in ask(f"DESCRIBE {table}"):
            assert f"`{column}`" in text, f"{table}.{column}"
            assert kind in text, f"{table}.{column} is {kind}"
        assert table in page.partition("## commits")[0]


def test_sql_is_cut_ended_and_refused(store: Store) -> None:
    found = store.sql("SELECT range FROM range(10)", limit=3)
    assert (found.rows, found.truncated) == (((0,), (1,), (2,)), True)
    with pytest.raises(InvalidError, match=r"within 0\.9 seconds"):
        store.sql("SELECT count(*) FROM range(1000000000000)", timeout=0.9)
    with pytest.raises(InvalidError, match="COPY is refused"):
        store.sql("COPY commits TO 'x.csv'")
    for wrong in ({"timeout": np.inf}, {"timeout": -1}, {"memory": 1}, {"limit": -1}):
        with pytest.raises(UsageError):
            store.sql("SELECT 1", **wrong)


def test_where_no_process_can_be_started_sql_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(UnsupportedError, match="/nowhere/python cannot be started"):
        store.sql("SELECT 1")


def test_several_threads_ask_at_once(store: Store) -> None:
    answers: list[object] = []
    threads = [
        threading.Thread(target=lambda: answers.append(store.sql("SELECT count(*) FROM refs").rows))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [((4,),)] * 3


def test_without_a_folder_for_the_catalog_sql_answers_too(
    folder: Path, ids: IDS, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with deltastore.open(folder / "models.ds", cache=tmp_path / "file", threads=1) as store:
        assert store.sql("SELECT count(*) FROM commits").rows == ((3,),)


def test_files_that_are_gone_or_damaged_are_made_again(
    folder: Path, ids: IDS, tmp_path: Path
) -> None:
    with deltastore.open(folder / "models.ds", cache=tmp_path, threads=1) as store:
        assert store.sql("SELECT count(*) FROM commits").rows == ((3,),)
        (base,) = tmp_path.rglob("base-*.duckdb")
        base.unlink()
        assert store.sql("SELECT count(*) FROM commits").rows == ((3,),)
        (base,) = tmp_path.rglob("base-*.duckdb")
        base.write_bytes(b"\x00" * 4096)
        assert store.sql("SELECT count(*) FROM commits").rows == ((3,),)


def test_reindex_reads_everything_again(folder: Path, ids: IDS, tmp_path: Path) -> None:
    with deltastore.open(folder / "models.ds", cache=tmp_path, threads=1) as store:
        planned = store.reindex(dry_run=True)
        assert not list(tmp_path.rglob("*.duckdb"))
        made = store.reindex()
        assert (planned.rebuilt, made.rebuilt) == (False, True)
        assert (planned.packs, planned.commits) == (made.packs, made.commits)
        assert (made.commits, made.unread, made.packs) == (3, 0, store.stats().objects)
        (base,) = tmp_path.rglob("base-*.duckdb")
        base.write_bytes(b"damaged")
        assert store.reindex() == made
        assert store.sql("SELECT count(*) FROM commits").rows == ((3,),)
