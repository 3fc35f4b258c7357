"""Wrong arguments of the Python calls are told by deltastore's own errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

import deltastore
from deltastore.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deltastore import Store

STATE = {"w": torch.arange(12.0).reshape(4, 3), "one": torch.tensor(1.0)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with deltastore.init(tmp_path_factory.mktemp("bad") / "store", threads=1) as opened:
        opened.commit(STATE, to="me/a", message="m")
        yield opened


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"message": None}, "message: a text is needed, not None"),
        ({"author": 7}, "author: a text is needed, not 7"),
        ({"metadata": {"a": 1}}, "metadata a: a text is needed, not 1"),
        ({"metadata": {1: "a"}}, "name of a remark: a text is needed, not 1"),
        ({"metrics": {"a": None}}, "metric a: None is not a finite number"),
        ({"metrics": {"a": [1]}}, r"metric a: \[1\] is not a finite number"),
        ({"metrics": {"a": 10**400}}, "metric a: 10+ is not a finite number"),
        ({"metrics": {1: 1.0}}, "name of a metric: a text is needed, not 1"),
        ({"preview": 7}, "preview: 7 is not above 0 and at most 1"),
        ({"preview": 0}, "preview: 0 is not above 0 and at most 1"),
        ({"preview": "x"}, "preview: 'x' is not a finite number"),
    ],
)
def test_commit(store: Store, options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        store.commit(STATE, to="me/b", **({"message": "m"} | options))
    assert "me/b" not in {found.model for found in store.ls().models or ()}


@pytest.mark.parametrize("message", [None, 7, "\udcff"])
def test_messages_of_refs(store: Store, message: Any) -> None:
    for change in (store.branch, store.tag):
        with pytest.raises(UsageError, match="message"):
            change("me/a@x", message=message)


@pytest.mark.parametrize("device", ["nope", "cpu:x", 3.5, "cuda:99"])
def test_devices(store: Store, device: Any) -> None:
    with pytest.raises(UsageError, match="device"):
        store.load("me/a", device=device)


@pytest.mark.parametrize("rows", [slice(0, 2, -1), slice("a", "b"), 2, (0, 1), slice(0, 1, 0)])
def test_rows(store: Store, rows: Any) -> None:
    with pytest.raises(UsageError, match="rows="):
        store.tensor("me/a", "w", rows=rows)


def test_rows_of_a_single_number(store: Store) -> None:
    with pytest.raises(UsageError, match="has no rows"):
        store.tensor("me/a", "one", rows=slice(0, 1))


def test_good_rows(store: Store) -> None:
    assert store.tensor("me/a", "w", rows=slice(1, 3)).equal(STATE["w"][1:3])
    assert store.tensor("me/a", "w", rows=slice(-1, None)).equal(STATE["w"][-1:])


def test_one_glob_may_stand_alone(store: Store, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    done = store.commit(STATE, to="me/files", message="m", files=tmp_path, exclude="b.*")
    assert done.skipped_files == ("b.txt",)
    assert store.checkout("me/files", tmp_path / "out", include="a.*").files == 1
