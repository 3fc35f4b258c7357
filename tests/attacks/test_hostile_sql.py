"""SQL that wants more than to read the public tables: refused, confined, or ended in time."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from deltastore.catalog.catalog import Catalog
from deltastore.catalog.connecting import Resources, connect, lock_down
from deltastore.catalog.public_tables import PUBLIC
from deltastore.catalog.sandbox import Limits, UnusableFilesError, files_of, run_confined
from deltastore.catalog.sandboxed import Order, asked, prepared
from deltastore.errors import DeltastoreError, InvalidError
from tests.unit.catalog.worlds import World, tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deltastore.catalog.connecting import Connection

QUICK = Limits(rows=100, seconds=20)
HIDDEN = "what nobody may see"


@pytest.fixture(scope="module")
def world() -> World:
    world = World()
    world.commit({"a": tensor(1)}, metadata={"run": "1"}, metrics={"mmlu": "0.5"})
    return world


@pytest.fixture(scope="module")
def catalog(world: World, tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = tmp_path_factory.mktemp("catalog")
    catalog = Catalog(folder, world.log.form.store_id, world.backend.url)
    catalog.sync(world.log, world.history)
    return catalog


@pytest.fixture
def inside(catalog: Catalog) -> Iterator[Connection]:
    """What the confined process works with, here: the parser and the connection are to hold."""
    files = files_of(catalog._keeper.opened)
    assert files is not None
    with prepared(Order(str(files[0]), None, "", None, 1 << 28, 9, 1)) as connection:
        yield connection


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.csv"
    path.write_text(HIDDEN)
    return path


def test_the_control_reads(catalog: Catalog) -> None:
    assert catalog.sql("SELECT count(*) FROM commits", QUICK).rows == ((1,),)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_csv_auto('{file}')",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM read_blob('{file}')",
        "SELECT * FROM read_json('{file}')",
        "SELECT * FROM read_parquet('{file}')",
        "SELECT * FROM read_duckdb('{file}')",
        "SELECT * FROM sniff_csv('{file}')",
        "SELECT * FROM glob('{file}*')",
        "SELECT * FROM '{file}'",
        'SELECT * FROM "{file}"',
        "SELECT * FROM 'https://example.org/x.csv'",
        "FROM (FROM read_text('{file}'))",
        "WITH x AS (FROM read_text('{file}')) FROM x",
        "SELECT (SELECT content FROM read_text('{file}'))",
        "FROM commits, LATERAL (FROM read_text('{file}'))",
        "DESCRIBE FROM read_text('{file}')",
        "SUMMARIZE FROM read_csv('{file}')",
        "FROM query('FROM read_text(''{file}'')')",
        "FROM query_table('{file}')",
        "FROM json_execute_serialized_sql('{{}}')",
        "COPY commits TO '{file}'",
        "COPY (SELECT 1) TO '{file}'",
        "EXPORT DATABASE '{file}'",
        "IMPORT DATABASE '{file}'",
        "ATTACH '{file}'",
        "DETACH base",
        "USE base",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '{file}'",
        "SET memory_limit = '1TB'",
        "SET enable_external_access = true",
        "RESET memory_limit",
        "PRAGMA database_list",
        "PRAGMA enable_profiling",
        "CALL enable_logging(storage = 'file')",
        "CREATE TABLE x (a INTEGER)",
        "CREATE HIDDEN (TYPE s3)",
        "CREATE MACRO f(a) AS a",
        "INSERT INTO commits VALUES (1)",
        "UPDATE refs SET name = ''",
        "DELETE FROM refs",
        "DROP VIEW commits",
        "TRUNCATE base.commits",
        "VACUUM",
        "CHECKPOINT",
        "BEGIN",
        "EXPLAIN ANALYZE SELECT 1",
        "PREPARE p AS SELECT 1",
        "WITH x AS (INSERT INTO base.reached VALUES (7) RETURNING *) FROM x",
        "WITH x AS (DELETE FROM tail.refs RETURNING *) FROM x",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY commits TO '{file}'",
        "",
        "-- nothing",
        "SELECT getenv('HOME')",
        "SELECT current_setting('home_directory')",
        "SELECT pg_catalog.current_setting('home_directory')",
        "FROM duckdb_secrets()",
        "FROM duckdb_settings()",
        "FROM duckdb_databases()",
        "FROM which_secret('s3://x', 's3')",
        "FROM information_schema.tables",
        "FROM sqlite_master",
        "FROM pragma_database_size()",
        "FROM enable_logging()",
        "FROM arrow_scan(1, 2, 3)",
        "FROM pandas_scan(1)",
        "FROM python_map_function(1)",
        "SELECT write_log('x')",
        "SELECT sleep_ms(60000)",
        "SHOW ALL TABLES",
        "SELECT ?",
        "SELECT $name",
    ],
)  # fmt: skip
def test_what_is_no_question_to_the_tables_is_refused(
    inside: Connection, secret: Path, query: str
) -> None:
    with pytest.raises((InvalidError, duckdb.Error)) as caught:
        asked(inside, query.format(file=secret), 100)
    assert HIDDEN not in str(caught.value)
    assert secret.read_text() == HIDDEN
    assert os.listdir(secret.parent) == [secret.name]


@pytest.mark.parametrize(
    "query", ["FROM read_text('{file}')", "COPY commits TO '{file}'", "SELECT nothing", "SELEC 1"]
)
def test_the_same_through_the_confined_process(catalog: Catalog, secret: Path, query: str) -> None:
    with pytest.raises(InvalidError, match=r"^sql: ") as caught:
        catalog.sql(query.format(file=secret), QUICK)
    assert caught.value.hint
    assert secret.read_text() == HIDDEN


@pytest.mark.parametrize("schema", ["base", "tail", "internal", "memory.internal", "tail.main"])
def test_tables_behind_the_public_ones_cannot_be_named(inside: Connection, schema: str) -> None:
    for query in (f"FROM {schema}.commits", f"DESCRIBE {schema}.commits"):
        with pytest.raises(InvalidError, match="there is no table"):
            asked(inside, query, 1)


def test_no_public_table_shows_how_digests_are_kept(inside: Connection) -> None:
    for name in PUBLIC:
        found = inside.execute(f"FROM {name}").description or []
        columns = {column for column, *_ in found}
        assert columns
        assert not {"k", "k0", "n", "p", "fidelity"} & columns, name


def test_behind_the_parser_the_connection_is_closed_too(secret: Path) -> None:
    with connect(Resources()) as connection:
        lock_down(connection)
        for query in (
            f"FROM read_text('{secret}')",
            f"COPY (SELECT 1) TO '{secret}.out'",
            f"ATTACH '{secret}.db' AS other",
            "INSTALL httpfs",
            "SET memory_limit = '1TB'",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(query).fetchall()
    assert os.listdir(secret.parent) == [secret.name]


def test_behind_the_connection_the_process_can_write_no_file(
    catalog: Catalog, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever SQL would find a way: here the process is told to run Python instead."""
    program = (
        "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
        " from deltastore.catalog.sandboxed import _confine; _confine(9);"
        f" out = open({str(secret)!r} + '.out', 'w'); out.write('x'), out.close()"
    )
    monkeypatch.setattr("deltastore.catalog.sandbox._START", program)
    with pytest.raises(DeltastoreError, match="File too large"):
        catalog.sql("SELECT 1", QUICK)
    assert Path(f"{secret}.out").read_text() == ""


def test_a_pivot_has_to_name_its_values(inside: Connection) -> None:
    with pytest.raises(InvalidError, match="PIVOT without its values") as caught:
        asked(inside, "PIVOT metrics ON name USING max(value)", 10)
    query = "FROM (PIVOT metrics ON name IN ('mmlu') USING max(value))"
    assert query.partition(" IN ")[0] in caught.value.hint
    assert asked(inside, query, 10)["columns"] == ["commit", "mmlu"]


def test_the_process_knows_nothing_of_our_environment(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import json, os; print(json.dumps({'columns': list(os.environ), 'rows': [],"
        " 'truncated': False}))"
    )
    monkeypatch.setattr("deltastore.catalog.sandbox._START", program)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", HIDDEN)
    found = catalog.sql("SELECT 1", QUICK)
    assert set(found.columns) <= {"LC_CTYPE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM range(1000000000000) a, range(1000000000000) b",
        "WITH RECURSIVE x AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM x) SELECT count(*) FROM x",
    ],
)
def test_what_would_never_end_is_ended(catalog: Catalog, query: str) -> None:
    start = time.monotonic()
    with pytest.raises(InvalidError, match="no answer within 1 seconds") as caught:
        catalog.sql(query, Limits(seconds=1.0))
    assert time.monotonic() - start < 3
    assert "--timeout" in caught.value.hint


@pytest.mark.parametrize(
    "query",
    [
        "SELECT length(repeat('x', 4000000000))",
        "SELECT len(range(10000000000))",
        "SELECT string_agg(repeat('x', 1000000), '') FROM range(1000)",
        "WITH RECURSIVE x AS (SELECT 'xx' AS s UNION ALL SELECT s || s FROM x) FROM x",
    ],
)
def test_what_would_take_all_memory_is_ended(catalog: Catalog, query: str) -> None:
    with pytest.raises(InvalidError, match=r"more memory than 134 MB|not .* size|larger|exceed"):
        catalog.sql(query, Limits(memory=1 << 27, seconds=30))


def test_an_interrupt_ends_the_other_process_too(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def interrupted(self: subprocess.Popen[bytes], *_: object, **__: object) -> None:
        started.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        catalog.sql("SELECT count(*) FROM range(1000000000000)", QUICK)
    (process,) = started
    assert process.wait(5) == -signal.SIGKILL


def test_an_endless_answer_is_cut_and_a_huge_one_refused(catalog: Catalog) -> None:
    found = catalog.sql("FROM range(1000000000000)", QUICK)
    assert (len(found.rows), found.truncated) == (100, True)
    with pytest.raises(InvalidError, match=r"larger than 64 MiB|more memory"):
        catalog.sql("SELECT repeat('x', 10000000) FROM range(50)", QUICK)


def test_a_deep_text_does_no_harm(catalog: Catalog) -> None:
    with suppress(InvalidError):
        assert catalog.sql("(" * 20_000 + "SELECT 1" + ")" * 20_000, QUICK).rows == ((1,),)
    with pytest.raises(InvalidError):
        catalog.sql("SELECT " + "NOT " * 20_000 + "true", QUICK)


def test_a_text_beyond_the_limit_is_refused(catalog: Catalog) -> None:
    with pytest.raises(InvalidError, match="more than the 100,000"):
        catalog.sql(f"SELECT '{'x' * 100_000}'", QUICK)


def test_a_file_that_is_no_catalog_is_said_to_be_unusable(tmp_path: Path) -> None:
    path = tmp_path / "base.duckdb"
    path.write_bytes(os.urandom(4096))
    with pytest.raises(UnusableFilesError) as caught:
        run_confined((path, None), "SELECT 1", QUICK)
    assert not caught.value.gone
    with pytest.raises(UnusableFilesError) as caught:
        run_confined((tmp_path / "missing", None), "SELECT 1", QUICK)
    assert caught.value.gone


def test_values_are_those_of_a_document(inside: Connection) -> None:
    query = """
        SELECT 1.5 AS a, 'nan'::DOUBLE AS b, DATE '2026-01-01' AS c, [1, NULL] AS d,
            {'x': 'y'} AS e, '\\xAA'::BLOB AS f, INTERVAL 1 DAY AS g
    """
    found = json.loads(json.dumps(asked(inside, query, 10)))
    (row,) = found["rows"]
    assert row[0] == 1.5
    assert math.isnan(row[1])
    assert row[2:] == ["2026-01-01", [1, None], {"x": "y"}, "aa", "1 day, 0:00:00"]


def test_times_with_a_zone_are_refused_with_the_remedy(inside: Connection) -> None:
    with pytest.raises(InvalidError, match="times with a time zone") as caught:
        asked(inside, "SELECT now() AS here", 10)
    assert "::TIMESTAMP" in caught.value.hint
