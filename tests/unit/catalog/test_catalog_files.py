"""Whatever becomes of a catalog's files, the answers stay the same and nobody is told."""

from __future__ import annotations

import os
import random
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb
import pytest

from deltastore.catalog import building, keeping
from deltastore.catalog.catalog import Catalog
from deltastore.catalog.connecting import Resources, ask, connect
from deltastore.catalog.generations import Generations
from deltastore.catalog.schema import STORAGE
from tests.unit.catalog.oracle import Oracle, answers
from tests.unit.catalog.worlds import World, tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def world() -> World:
    """Two models, deltas, previews, a ref deleted; never changed by a test."""
    world = World()
    first = world.commit({"a": tensor(1), "b": tensor(2)}, blobs=[b"{}"])
    world.commit(
        {"a": tensor(3), "b": tensor(2)},
        ref="models/me/y/heads/main",
        base=first,
        previews={"a": tensor("q3")},
        against={"a": tensor(1)},
    )
    world.commit({"a": tensor(9)}, ref="models/me/z/heads/main")
    world.entry({"models/me/z/heads/main": None})
    return world


def opened(folder: Path, world: World) -> Catalog:
    return Catalog(folder, world.log.form.store_id, world.backend.url, threads=1)


def files(folder: Path, world: World) -> list[Path]:
    generations = Generations(folder, world.log.form.store_id, world.backend.url)
    return [candidate.path for candidate in generations.candidates()]


def check(folder: Path, world: World) -> None:
    with opened(folder, world) as catalog:
        assert catalog.sync(*world.fresh())
        assert catalog.v == world.log.state.v
        assert answers(catalog, world) == Oracle(world).answers()


@pytest.fixture
def pair(tmp_path: Path, world: World) -> tuple[Path, list[Path]]:
    """A folder with a base of entry 1 and a tail up to the tip."""
    log, history = world.fresh()
    tip = log.state
    log._state = log.replay(1)
    with opened(tmp_path, world) as catalog:
        catalog.sync(log, history)
        log._state = tip
        catalog.sync(log, history)
    found = files(tmp_path, world)
    assert [path.name[:4] for path in found] == ["tail", "base"]
    return tmp_path, found


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def emptied(data: bytes) -> bytes:
    return data[:0]


def noise(data: bytes) -> bytes:
    return random.Random(5).randbytes(len(data))


def other_header(data: bytes) -> bytes:
    return random.Random(6).randbytes(4096) + data[4096:]


def garbled(data: bytes) -> bytes:
    """Every block of 4 KiB behind the headers loses some bytes."""
    changed = bytearray(data)
    for at in range(12288, len(changed), 4096):
        changed[at + 64 : at + 96] = random.Random(at).randbytes(32)
    return bytes(changed)


@pytest.mark.parametrize("which", [0, 1], ids=["tail", "base"])
@pytest.mark.parametrize("damage", [truncated, emptied, noise, other_header, garbled])
def test_a_damaged_file_is_put_aside_and_made_again(
    pair: tuple[Path, list[Path]], world: World, which: int, damage: Callable[[bytes], bytes]
) -> None:
    folder, found = pair
    found[which].write_bytes(damage(found[which].read_bytes()))
    check(folder, world)
    assert list(found[which].parent.glob("*.bad"))
    check(folder, world)


@pytest.mark.parametrize("seed", range(6))
def test_single_bytes_that_change_never_change_an_answer(
    pair: tuple[Path, list[Path]], world: World, seed: int
) -> None:
    folder, found = pair
    chosen = random.Random(seed)
    for path in found:
        data = bytearray(path.read_bytes())
        for _ in range(3):
            data[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
        path.write_bytes(data)
    check(folder, world)


def test_damage_that_is_met_while_asking_is_repaired(
    pair: tuple[Path, list[Path]], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, found = pair
    with opened(folder, world) as catalog:
        catalog.sync(*world.fresh())
        failing = iter([duckdb.IOException("checksum")])
        connection = catalog._keeper.opened
        assert connection is not None

        def question(current: duckdb.DuckDBPyConnection) -> int:
            for reason in failing:
                raise reason
            assert current is not connection.connection
            return 7

        assert catalog._ask(question) == 7
        assert answers(catalog, world) == Oracle(world).answers()
    assert {path.name for path in found} <= {
        path.name.removesuffix(".bad") for path in found[0].parent.glob("*.bad")
    }


def test_a_catalog_of_another_store_is_not_believed(tmp_path: Path, world: World) -> None:
    other = World()
    other.commit({"foreign": tensor("f")})
    check(tmp_path, other)
    (source,) = files(tmp_path, other)
    target = Generations(tmp_path, world.log.form.store_id, world.backend.url)
    target.folder.mkdir(parents=True)
    source.rename(target.folder / source.name)
    check(tmp_path, world)
    assert (target.folder / f"{source.name}.bad").exists()


def test_a_catalog_of_a_rewritten_history_is_not_believed(tmp_path: Path, world: World) -> None:
    with opened(tmp_path, world) as catalog:
        catalog.sync(*world.fresh())
    (path,) = files(tmp_path, world)
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE meta SET head = repeat('0', 64)")
    check(tmp_path, world)
    assert path.with_name(f"{path.name}.bad").exists()


@pytest.mark.parametrize("column", ["schema = 99", "url = 'elsewhere'", "store_id = 'x'"])
def test_a_file_that_says_it_is_something_else_is_not_believed(
    tmp_path: Path, world: World, column: str
) -> None:
    check(tmp_path, world)
    (path,) = files(tmp_path, world)
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"UPDATE meta SET {column}")  # noqa: S608 - a test's own words
    check(tmp_path, world)
    assert path.with_name(f"{path.name}.bad").exists()


def test_a_tail_of_another_base_is_not_joined_with_this_one(
    pair: tuple[Path, list[Path]], world: World
) -> None:
    folder, (tail, base) = pair
    with duckdb.connect(str(base)) as connection:
        connection.execute("UPDATE meta SET token = 'another'")
    check(folder, world)
    assert tail.with_name(f"{tail.name}.bad").exists()


def test_a_file_without_a_table_is_not_believed(tmp_path: Path, world: World) -> None:
    check(tmp_path, world)
    (path,) = files(tmp_path, world)
    with duckdb.connect(str(path)) as connection:
        connection.execute("DROP TABLE placements")
    check(tmp_path, world)
    assert path.with_name(f"{path.name}.bad").exists()


def test_files_of_another_layout_are_left_alone(tmp_path: Path, world: World) -> None:
    generations = Generations(tmp_path, world.log.form.store_id, world.backend.url)
    generations.folder.mkdir(parents=True)
    other = generations.folder / f"base-s999-d{STORAGE}-{7:020d}.duckdb"
    other.write_bytes(b"of another version")
    check(tmp_path, world)
    assert other.read_bytes() == b"of another version"


def test_the_storage_version_of_the_name_is_that_of_the_files(
    pair: tuple[Path, list[Path]],
) -> None:
    for path in pair[1]:
        head = path.read_bytes()[:20]
        assert head[8:12] == b"DUCK"
        assert int.from_bytes(head[12:20], "little") == STORAGE


def test_copies_of_one_store_have_catalogs_of_their_own(tmp_path: Path) -> None:
    paths = {Generations(tmp_path, "5" * 32, url).folder for url in ("s3://a", "s3://b")}
    assert len(paths) == 2


def test_a_folder_that_cannot_be_made_means_memory(tmp_path: Path, world: World) -> None:
    (tmp_path / "file").write_text("in the way")
    check(tmp_path / "file" / "below", world)
    assert (tmp_path / "file").read_text() == "in the way"


@contextmanager
def nobody() -> Iterator[None]:
    """Without root's rights, which no permission stops."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_cannot_be_written_is_read_and_goes_on_in_memory(world: World) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        log, history = world.fresh()
        tip = log.state
        log._state = log.replay(1)
        with opened(folder, world) as catalog:
            catalog.sync(log, history)
        (base,) = files(folder, world)
        (base.parent / "lock").chmod(0o444)
        base.parent.chmod(0o555)
        folder.chmod(0o555)
        before = sorted(path.name for path in base.parent.iterdir())
        with nobody(), opened(folder, world) as catalog:
            log._state = log.replay(2)
            catalog.sync(log, history)
            assert catalog.v == 2
            log._state = tip  # what is in memory goes on from there
            catalog.sync(log, history)
            assert answers(catalog, world) == Oracle(world).answers()
        assert sorted(path.name for path in base.parent.iterdir()) == before
        base.parent.chmod(0o755)
        folder.chmod(0o755)


def test_somebody_else_who_writes_is_not_waited_for(
    pair: tuple[Path, list[Path]], world: World
) -> None:
    folder, (tail, _) = pair
    tail.unlink()
    generations = Generations(folder, world.log.form.store_id, world.backend.url)
    with generations.writing() as mine:
        assert mine
        with generations.writing() as second:
            assert not second
        check(folder, world)
        assert not tail.exists()  # it was answered from memory
    check(folder, world)
    assert tail.exists()


def test_a_full_disk_means_memory(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Generations, "publish", full)
    check(tmp_path, world)
    assert not files(tmp_path, world)
    assert not list(tmp_path.rglob("tmp-*"))


def test_a_tail_beyond_its_limits_becomes_a_base_but_never_within_a_commit(
    pair: tuple[Path, list[Path]], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, found = pair
    monkeypatch.setattr(keeping, "MAX_TAIL_BYTES", 1000)
    with opened(folder, world) as catalog:
        assert catalog.sync(*world.fresh(), within_commit=True)
    assert files(folder, world) == found
    check(folder, world)
    (base,) = files(folder, world)
    assert base.name.startswith("base-")
    assert base.name.endswith(f"{world.log.state.v}.duckdb")


def test_leftovers_of_killed_writers_and_old_tails_are_removed(tmp_path: Path) -> None:
    world = World()
    world.commit({"a": tensor(1)})
    with opened(tmp_path, world) as catalog:
        catalog.sync(world.log, world.history)
        folder = files(tmp_path, world)[0].parent
        (folder / "tmp-1-dead.duckdb").write_bytes(b"half")
        for name in ("spill-old", "spill-new"):
            (folder / name).mkdir()
            (folder / name / "duckdb_temp").write_bytes(b"overflow")
        os.utime(folder / "spill-old", (0, 0))
        for seed in range(4):
            world.commit({"a": tensor(seed)})
            catalog.sync(world.log, world.history)
    names = sorted(path.name[:4] for path in folder.iterdir() if path.suffix == ".duckdb")
    assert names == ["base", "tail", "tail"]
    assert [path.name for path in folder.glob("spill-*")] == ["spill-new"]


LARGE = "SELECT count(*) FROM (SELECT DISTINCT hash(range) FROM range(3000000))"


def test_what_does_not_fit_into_memory_is_spilled_and_removed(tmp_path: Path, world: World) -> None:
    url = world.backend.url
    with (
        closing(connect(Resources("48MB", 1), None)) as without,
        pytest.raises(duckdb.OutOfMemoryException),
    ):
        ask(without, LARGE)
    check(tmp_path, world)
    catalog = Catalog(tmp_path, world.log.form.store_id, url, memory_limit="48MB", threads=1)
    with catalog:
        catalog.sync(*world.fresh())
        opened = catalog._keeper.opened
        assert opened is not None
        assert ask(opened.connection, LARGE) == [(3_000_000,)]
        assert list(tmp_path.rglob("spill-*"))
    assert not list(tmp_path.rglob("duckdb_temp*"))


def test_rebuilding_starts_from_the_store(pair: tuple[Path, list[Path]], world: World) -> None:
    folder, (tail, base) = pair
    with opened(folder, world) as catalog:
        catalog.rebuild(*world.fresh())
        assert answers(catalog, world) == Oracle(world).answers()
    assert not tail.exists()
    assert not base.exists()
    assert len(files(folder, world)) == 1


def test_a_store_that_cannot_be_read_is_said_and_costs_nothing(
    pair: tuple[Path, list[Path]], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deltastore.errors import UnreachableError

    folder, (tail, base) = pair
    tail.unlink()

    def away(*_: object) -> None:
        raise UnreachableError("gone for lunch")

    with monkeypatch.context() as patch, opened(folder, world) as catalog:
        patch.setattr(building.Builder, "_publish_tail", away)
        with pytest.raises(UnreachableError):
            catalog.sync(*world.fresh())
    assert files(folder, world) == [base]
    check(folder, world)
