"""Checkpoints at URLs through the `Store`: in, out, compared; and what is refused."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import pytest
from safetensors.numpy import load, save

import deltastore
from deltastore.errors import (
    ExistsError,
    InvalidError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from deltastore import Store

SECRET = "hunter2-not-for-logs"  # noqa: S105 - it must not appear anywhere
WEIGHTS = save({"a": np.arange(600, dtype=np.float32).reshape(20, 30)})
FILES = {"model.safetensors": WEIGHTS, "config.json": b"{}", "sub/tokenizer.json": b"[]"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with deltastore.init(tmp_path_factory.mktemp("urls") / "store", threads=1) as opened:
        yield opened


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    found = f"memory://store/{abs(hash(request.node.nodeid))}"
    put(f"{found}/ft", FILES)
    return found


def put(url: str, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        fsspec.filesystem("memory").pipe_file(f"{url}/{path}", content)


def content(url: str) -> dict[str, bytes]:
    memory = fsspec.filesystem("memory")
    start = len(url.removeprefix("memory:/")) + 1
    return {path[start:]: memory.cat_file(path) for path in memory.find(url)}


def test_a_folder_at_a_url_commits_as_the_same_folder_here(
    store: Store, url: str, tmp_path: Path
) -> None:
    done = store.commit(f"{url}/ft", to="me/remote", message="m", exclude=["*.json"])
    assert done.skipped_files == ("config.json", "sub/tokenizer.json")
    for path, data in FILES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    whole = store.commit(f"{url}/ft/", to="me/whole", message="m")
    again = store.commit(tmp_path, to="me/whole", message="m")
    assert (again.unchanged, again.commit) == (True, whole.commit)
    files = {file.path: file.sha256 for file in store.show("me/whole").files or ()}
    assert files == {path: hashlib.sha256(data).hexdigest() for path, data in FILES.items()}


def test_one_file_at_a_url(store: Store, url: str) -> None:
    done = store.commit(f"{url}/ft/model.safetensors", to="me/one", message="m")
    assert done.logical_bytes == len(WEIGHTS)


def test_checkout_writes_keeps_and_refuses(store: Store, url: str) -> None:
    store.commit(f"{url}/ft", to="me/out", message="m")
    done = store.checkout("me/out", f"{url}/out")
    assert (done.files, done.kept, done.verified) == (3, 0, True)
    assert content(f"{url}/out") == FILES
    put(f"{url}/out", {"mine": b"1"})
    assert store.checkout("me/out", f"{url}/out").kept == 3
    put(f"{url}/out", {"config.json": b"[]"})
    fsspec.filesystem("memory").rm(f"{url}/out/model.safetensors")
    with pytest.raises(ExistsError, match=r"holds files that differ: config\.json"):
        store.checkout("me/out", f"{url}/out")
    assert "model.safetensors" not in content(f"{url}/out")
    assert store.checkout("me/out", f"{url}/out", overwrite=True).kept == 1
    assert content(f"{url}/out") == FILES | {"mine": b"1"}


def test_export_writes_a_file_or_a_folder_and_replaces_nothing(store: Store, url: str) -> None:
    store.commit(f"{url}/ft", to="me/ex", message="m")
    store.export("me/ex", f"{url}/half.safetensors", dtype="float16")
    (half,) = load(content(url)["half.safetensors"]).values()
    assert half.dtype == np.float16
    done = store.export("me/ex", f"{url}/ex")
    assert set(content(f"{url}/ex")) == set(FILES)
    assert done.bytes == sum(map(len, content(f"{url}/ex").values()))
    for path in (f"{url}/half.safetensors", f"{url}/ex"):
        with pytest.raises(ExistsError, match="already"):
            store.export("me/ex", path)


def test_diff_compares_a_revision_with_a_url(store: Store, url: str) -> None:
    store.commit(f"{url}/ft", to="me/di", message="m")
    assert store.diff("me/di", f"{url}/ft").same
    put(f"{url}/ft", {"config.json": b"{1}"})
    found = store.diff("me/di", f"{url}/ft")
    assert [file.path for file in found.files if file.status == "changed"] == ["config.json"]


def test_broken_and_absent_ones_are_told(store: Store, url: str) -> None:
    put(f"{url}/cut", {"model.safetensors": WEIGHTS[:-10]})
    with pytest.raises(InvalidError, match=f"{url}/cut/model.safetensors"):
        store.commit(f"{url}/cut", to="me/no", message="m")
    with pytest.raises(NotFoundError, match="there is nothing"):
        store.commit(f"{url}/nowhere", to="me/no", message="m")
    assert "me/no" not in {found.model for found in store.ls().models or ()}


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (f"s3://key:{SECRET}@bucket/x", UsageError),
        (f"zip://x::s3://{SECRET}/x", UsageError),
        (f"simplecache::s3://{SECRET}/x", UsageError),
        ("gopher://x", UsageError),
        ("hf://meta/llama", UnsupportedError),
        ("hf:meta/llama", UnsupportedError),
    ],
)
def test_what_no_path_may_be(store: Store, url: str, path: str, error: type[Exception]) -> None:
    store.commit(f"{url}/ft", to="me/paths", message="m")
    calls: list[tuple[Any, ...]] = [
        (store.checkout, "me/paths", path),
        (store.export, "me/paths", path),
        (store.diff, "me/paths", path),
    ]
    if not path.startswith("simplecache"):  # which is no path where a revision may stand
        calls.append((lambda source: store.commit(source, to="me/paths", message="m"), path))
    for call, *arguments in calls[: 2 if path.startswith("simplecache") else 4]:
        with pytest.raises(error) as caught:
            call(*arguments)
        assert SECRET not in str(caught.value)


def test_a_state_dict_takes_its_other_files_from_a_url(store: Store, url: str) -> None:
    state = {"a": np.zeros((2, 2), np.float32)}
    store.commit(state, to="me/state", message="m", files=f"{url}/ft")
    paths = [file.path for file in store.show("me/state").files or ()]
    assert paths == ["config.json", "model.safetensors", "sub/tokenizer.json"]


def test_file_urls_are_local(store: Store, url: str, tmp_path: Path) -> None:
    store.commit(f"{url}/ft", to="me/local", message="m")
    store.checkout("me/local", f"file://{tmp_path}/out")
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == WEIGHTS
    assert store.commit(f"file://{tmp_path}/out", to="me/local", message="m").unchanged
