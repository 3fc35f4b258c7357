"""Metrics, metadata and public tables across a base, a tail, a new base, and what is collected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from deltastore.catalog import keeping
from deltastore.catalog.catalog import Catalog
from deltastore.catalog.finding import wanted_of
from deltastore.catalog.sandbox import files_of
from deltastore.catalog.sandboxed import Order, asked, prepared
from tests.unit.catalog.worlds import World, tensor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deltastore.ids import CommitId

VALUES = "SELECT commit, name, value FROM metrics ORDER BY value"
NOTES = "SELECT commit, value FROM metadata ORDER BY value"
TAG = "models/me/y/tags/v1"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def catalog(tmp_path: Path, world: World) -> Iterator[Catalog]:
    with Catalog(tmp_path, world.log.form.store_id, world.backend.url, threads=1) as catalog:
        yield catalog


def rows(catalog: Catalog, query: str) -> list[list[Any]]:
    """What the public tables say, from the files in use."""
    files = files_of(catalog._keeper.opened)
    assert files is not None
    base, tail = files
    order = Order(str(base), str(tail) if tail else None, "", None, 1 << 28, 9, 1)
    with prepared(order) as connection:
        found: list[list[Any]] = asked(connection, query, None)["rows"]
        return found


def committed(world: World, number: int, **places: Any) -> CommitId:
    return world.commit(
        {"w": tensor(number)},
        metrics={"m": f"{number}.5"},
        metadata={"run": str(number)},
        **places,
    )


def test_values_are_there_in_base_tail_and_a_new_base(
    world: World, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = committed(world, 1)
    catalog.sync(world.log, world.history)
    assert rows(catalog, VALUES) == [[first, "m", 1.5]]
    second = committed(world, 2)
    catalog.sync(world.log, world.history)
    opened = catalog._keeper.opened
    assert opened is not None
    assert opened.tail is not None
    expected = [[first, "m", 1.5], [second, "m", 2.5]]
    assert rows(catalog, VALUES) == expected
    assert rows(catalog, NOTES) == [[first, "1"], [second, "2"]]
    monkeypatch.setattr(keeping, "MAX_TAIL_ENTRIES", 0)
    catalog.close()
    catalog.sync(world.log, world.history)
    assert catalog._keeper.opened is not None
    assert catalog._keeper.opened.tail is None
    assert rows(catalog, VALUES) == expected


def test_only_what_refs_keep_is_shown(world: World, catalog: Catalog) -> None:
    kept, dropped = committed(world, 1), committed(world, 2, ref="models/me/y/heads/main")
    world.entry({"models/me/y/heads/main": None})
    catalog.sync(world.log, world.history)
    assert rows(catalog, VALUES) == [[kept, "m", 1.5]]
    for table in ("commits", "files", "tensors", "metadata"):
        assert rows(catalog, f"SELECT DISTINCT commit FROM {table}") == [[kept]]  # noqa: S608 - a test's own text
    world.entry({TAG: dropped})
    catalog.sync(world.log, world.history)
    assert rows(catalog, VALUES) == [[kept, "m", 1.5], [dropped, "m", 2.5]]


def test_what_only_a_base_keeps_has_no_model(world: World, catalog: Catalog) -> None:
    base = committed(world, 1, ref="models/me/y/heads/main")
    tuned = committed(world, 2, base=base)
    world.entry({"models/me/y/heads/main": None})
    catalog.sync(world.log, world.history)
    found = rows(catalog, "SELECT commit, model, branch, base FROM commits")
    assert {row[0]: row[1:] for row in found} == {
        base: [None, None, None],
        tuned: ["me/x", "main", base],
    }
    wanted = wanted_of("", sort=None, ascending=False, tips=False, limit=None)
    assert [row[:3] for row in catalog.find(wanted).rows] == [
        ("me/x", "main", tuned),
        (None, "", base),
    ]


def test_a_commit_counts_under_the_nearest_model(world: World, catalog: Catalog) -> None:
    first = committed(world, 1)
    second = committed(world, 2)
    world.entry({"models/a/fork/heads/main": first, "models/z/fork/heads/main": second})
    third = committed(world, 3, ref="models/a/fork/heads/main")
    catalog.sync(world.log, world.history)
    found = rows(catalog, "SELECT commit, model, branch FROM commits")
    assert {row[0]: row[1:] for row in found} == {
        first: ["a/fork", None],
        second: ["me/x", "main, z/fork@main"],
        third: ["a/fork", "main"],
    }


def test_texts_of_metrics_beyond_a_double_do_no_harm(world: World, catalog: Catalog) -> None:
    world.commit({"w": tensor(1)}, metrics={"huge": "1e999", "long": f"0.{'1' * 400}"})
    catalog.sync(world.log, world.history)
    assert rows(catalog, "SELECT value FROM metrics ORDER BY name") == [[float("inf")], [1 / 9]]
