"""What a catalog says: which holder, what is left out, what it may reach, what it exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from deltastore.catalog import extending, keeping, reaching
from deltastore.catalog.catalog import Catalog
from deltastore.catalog.digests import digest_columns, hex_digests, hex_of
from deltastore.catalog.schema import EXPORTED, TABLES
from deltastore.errors import ExistsError, NotFoundError, StorageError, UsageError
from deltastore.storage.keys import pack_key
from tests.unit.catalog.oracle import Oracle, answers
from tests.unit.catalog.worlds import World, header_of, tensor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def catalog(tmp_path: Path, world: World) -> Iterator[Catalog]:
    with Catalog(tmp_path, world.log.form.store_id, world.backend.url, threads=1) as catalog:
        yield catalog


def test_digests_become_columns_and_come_back() -> None:
    digests = [*sorted(str(tensor(i)) for i in range(20)), "f" * 64, "0" * 64]
    columns = digest_columns(digests)
    assert hex_digests(columns) == digests
    assert hex_of(*(int(columns[f"k{i}"][20]) for i in range(4))) == "f" * 64
    assert list(columns["k0"][:20]) == sorted(columns["k0"][:20])
    assert hex_digests(digest_columns([])) == []


def test_before_the_first_sync_there_is_nothing(catalog: Catalog) -> None:
    assert catalog.v == -1
    assert catalog.holders([tensor(1)]) == {}
    assert catalog.models() == ()
    assert catalog.stats().commits == 0
    with pytest.raises(NotFoundError):
        catalog.own_bytes(tensor(1))  # type: ignore[arg-type]  # any digest will do
    with pytest.raises(UsageError):
        catalog.export_parquet(None)  # type: ignore[arg-type]  # refused before it is looked at


def test_the_commit_that_has_most_of_the_digests_is_named(world: World, catalog: Catalog) -> None:
    world.commit({"a": tensor(1)}, ref="models/me/a/heads/main")
    both = world.commit({"a": tensor(1), "b": tensor(2)}, ref="models/me/b/heads/main")
    catalog.sync(world.log, world.history)
    wanted = [tensor(1), tensor(2), tensor(3)]
    assert catalog.holders(wanted) == {tensor(1): both, tensor(2): both}


def test_a_deleted_branch_holds_nothing_until_it_is_back(world: World, catalog: Catalog) -> None:
    ref = "models/me/a/heads/main"
    first = world.commit({"a": tensor(1)}, ref=ref)
    second = world.commit({"a": tensor(2)}, ref=ref)
    catalog.sync(world.log, world.history)
    assert catalog.holders([tensor(1)]) == {tensor(1): first}
    world.entry({ref: first})
    catalog.sync(world.log, world.history)
    assert catalog.holders([tensor(1), tensor(2)]) == {tensor(1): first}
    assert catalog.garbage().sections
    world.entry({ref: None})
    catalog.sync(world.log, world.history)
    assert catalog.holders([tensor(1), tensor(2)]) == {}
    world.entry({ref: second})
    catalog.sync(world.log, world.history)
    assert catalog.holders([tensor(1), tensor(2)]) == {tensor(1): first, tensor(2): second}
    assert catalog.garbage().sections == 0


def test_a_commit_that_was_collected_can_be_stored_again(world: World, catalog: Catalog) -> None:
    ref = "models/me/a/heads/main"
    commit = world.commit({"a": tensor(1)}, ref=ref)
    catalog.sync(world.log, world.history)
    world.entry({ref: None}, condemn=[world.meta(commit)])
    catalog.sync(world.log, world.history)
    with pytest.raises(NotFoundError, match=commit):
        catalog.own_bytes(commit)
    world.rehome(commit)
    world.entry({ref: commit})
    catalog.sync(world.log, world.history)
    assert catalog.holders([tensor(1)]) == {tensor(1): commit}
    assert answers(catalog, world) == Oracle(world).answers()


def test_sections_of_condemned_packs_do_not_count(world: World, catalog: Catalog) -> None:
    ref = "models/me/a/heads/main"
    commit = world.commit({"a": tensor(1)}, ref=ref)
    catalog.sync(world.log, world.history)
    assert catalog.codec_bytes(commit)["dense/1"]
    world.entry(condemn=[pack for pack in world.log.state.live if pack != world.meta(commit)])
    catalog.sync(world.log, world.history)
    assert catalog.codec_bytes(commit) == {}
    assert catalog.stats().packs == 1


def test_commits_that_move_to_another_meta_pack_stay_one(world: World, catalog: Catalog) -> None:
    commit = world.commit({"a": tensor(1)})
    catalog.sync(world.log, world.history)
    before = world.meta(commit)
    world.rehome(commit)
    world.entry(condemn=[before])
    catalog.sync(world.log, world.history)
    assert catalog.stats().commits == 1
    assert answers(catalog, world) == Oracle(world).answers()


def test_what_is_reached_is_extended_without_looking_at_everything(
    world: World, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.commit({"a": tensor(1)})
    catalog.sync(world.log, world.history)

    def refuse(_: object) -> None:
        raise AssertionError("everything was looked at anew")

    monkeypatch.setattr(extending, "recompute_reached", refuse)
    monkeypatch.setattr(reaching, "recompute_reached", refuse)
    for seed in range(3):
        world.commit({"a": tensor(seed)})
        catalog.sync(world.log, world.history)
    assert answers(catalog, world) == Oracle(world).answers()


def test_a_commit_does_not_wait_for_a_catalog_far_behind(
    world: World, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = world.commit({"a": tensor(1)})
    catalog.sync(world.log, world.history, within_commit=True)
    for seed in (2, 3):
        world.commit({"a": tensor(seed)})
    monkeypatch.setattr(keeping, "WITHIN_COMMIT", 3)
    assert not catalog.sync(world.log, world.history, within_commit=True)
    assert catalog.v == 1
    assert catalog.holders([tensor(1), tensor(2)]) == {tensor(1): first}
    assert catalog.sync(world.log, world.history)
    assert catalog.v == world.log.state.v


def test_what_cannot_be_read_is_left_out_until_it_can(world: World, catalog: Catalog) -> None:
    first = world.commit({"a": tensor(1)})
    second = world.commit({"a": tensor(2)}, ref="models/me/y/heads/main")
    key = pack_key(world.meta(first))
    data = world.backend.get(key, max_bytes=1 << 20)
    world.backend.delete_many([key])
    log, history = world.fresh()
    assert catalog.sync(log, history)
    assert catalog.stats().unread == 2  # the pack and the commit in it
    assert catalog.holders([tensor(1), tensor(2)]) == {tensor(2): second}
    world.backend.put_immutable(key, data)
    third = world.commit({"a": tensor(3)}, ref="models/me/y/heads/main")
    assert catalog.sync(*world.fresh())
    found = catalog.holders([tensor(1), tensor(2), tensor(3)])
    assert found == {tensor(1): first, tensor(2): second, tensor(3): third}
    assert answers(catalog, world) == Oracle(world).answers()


def test_tensors_whose_header_is_gone_keep_their_digests(world: World, catalog: Catalog) -> None:
    commit = world.commit({"a": tensor(1)})
    (whole,) = [pack for pack in world.log.state.live if pack != world.meta(commit)]
    world.backend.delete_many([pack_key(whole)])
    assert catalog.sync(*world.fresh())
    assert catalog.stats().unread == 1
    assert catalog.tensors_named("*") == ()
    assert catalog.holders([tensor(1)]) == {tensor(1): commit}


def test_tensors_are_found_by_name(world: World, catalog: Catalog) -> None:
    world.commit({"layers.0.w": tensor(1), "layers.1.w": tensor(2), "head": tensor(3)})
    catalog.sync(world.log, world.history)
    found = catalog.tensors_named("layers.*")
    assert [(row.name, row.digest, row.commits) for row in found] == [
        ("layers.0.w", tensor(1), 1),
        ("layers.1.w", tensor(2), 1),
    ]
    assert (found[0].dtype, found[0].shape) == ("F32", (2, 3))
    assert len(catalog.tensors_named("*", limit=2)) == 2


def test_names_of_any_kind_are_kept(world: World, catalog: Catalog) -> None:
    names = ["'; DROP TABLE tail.refs; --", "nul \0 inside", "é 😀", "", "line\nfeed"]
    world.commit({name: tensor(name) for name in names})
    catalog.sync(world.log, world.history)
    assert {row.name for row in catalog.tensors_named("*")} == set(names)


def test_the_history_of_a_model_is_its_own(world: World, catalog: Catalog) -> None:
    base = world.commit({"a": tensor(1)}, ref="models/me/base/heads/main")
    tuned = world.commit({"a": tensor(2)}, ref="models/me/x/heads/main", base=base)
    newer = world.commit({"a": tensor(3)}, ref="models/me/x/heads/main", base=base)
    catalog.sync(world.log, world.history)
    assert {row.commit for row in catalog.commits_of("me/x")} == {tuned, newer}
    assert [row.commit for row in catalog.commits_of("me/base")] == [base]
    assert catalog.commits_of("me/none") == ()
    (row,) = catalog.commits_of("me/base")
    assert (row.files, row.bytes, row.author) == (1, len(header_of(["a"])) + 24, "Ada")


def test_a_connection_that_answers_reaches_no_other_file(
    world: World, catalog: Catalog, tmp_path: Path
) -> None:
    world.commit({"a": tensor(1)})
    catalog.sync(world.log, world.history)
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    opened = catalog._keeper.opened
    assert opened is not None
    for statement in (
        f"SELECT * FROM read_csv('{tmp_path}/secret.csv')",  # noqa: S608 - a test's own path
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/other.duckdb'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "SET autoinstall_known_extensions = true",
        "INSERT INTO base.reached VALUES (7)",
    ):
        with pytest.raises(duckdb.Error):
            opened.connection.execute(statement).fetchall()
    assert catalog.models()


def test_an_export_is_readable_and_whole(world: World, catalog: Catalog, tmp_path: Path) -> None:
    commit = world.commit({"a": tensor(1), "b": tensor(2)}, blobs=[b"{}"])
    catalog.sync(world.log, world.history)
    world.commit({"a": tensor(3)})
    catalog.sync(world.log, world.history)
    target = tmp_path / "it's exported"
    paths = catalog.export_parquet(target)
    assert [path.name for path in paths] == [f"{name}.parquet" for name in EXPORTED]
    with duckdb.connect() as connection:
        rows = {path.stem: connection.read_parquet(str(path)).fetchall() for path in paths}
    assert commit in {hex_of(*row[1:5]) for row in rows["commits"]}
    assert len(rows["commits"]) == 2
    assert {hex_of(*row[-4:]) for row in rows["tensors"]} == {tensor(i) for i in (1, 2, 3)}
    assert {hex_of(*row[1:5]) for row in rows["packs"]} == set(world.log.state.live)
    with pytest.raises(ExistsError):
        catalog.export_parquet(target / "commits.parquet")
    (target / "tensors.parquet").unlink()
    (target / "tensors.parquet").mkdir()
    with pytest.raises(StorageError):
        catalog.export_parquet(target)


def test_an_export_of_what_is_only_in_memory(world: World, tmp_path: Path) -> None:
    world.commit({"a": tensor(1)})
    (tmp_path / "file").touch()
    with Catalog(tmp_path / "file", world.log.form.store_id, world.backend.url) as catalog:
        catalog.sync(world.log, world.history)
        (path, *_) = catalog.export_parquet(tmp_path / "out")
    with duckdb.connect() as connection:
        assert len(connection.read_parquet(str(path)).fetchall()) == 1


def test_no_file_ever_has_an_index_or_another_table(world: World, catalog: Catalog) -> None:
    world.commit({"a": tensor(1)})
    catalog.sync(world.log, world.history)
    world.commit({"a": tensor(2)})
    catalog.sync(world.log, world.history)
    opened = catalog._keeper.opened
    assert opened is not None
    assert len(opened.files) == 2
    for path in opened.files:
        with duckdb.connect(str(path), read_only=True) as connection:
            assert connection.execute("FROM duckdb_indexes()").fetchall() == []
            tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
            assert {name for (name,) in tables} == set(TABLES)
        assert not path.with_name(f"{path.name}.wal").exists()


def test_a_catalog_ahead_of_an_old_log_makes_it_look_again(
    world: World, catalog: Catalog, tmp_path: Path
) -> None:
    world.commit({"a": tensor(1)})
    old, history = world.fresh()
    assert old.state.v == 1
    world.commit({"a": tensor(2)})
    catalog.sync(world.log, world.history)
    with Catalog(tmp_path, world.log.form.store_id, world.backend.url) as other:
        assert other.sync(old, history)
        assert (other.v, old.state.v) == (2, 2)
    assert catalog.sync(old, history)
