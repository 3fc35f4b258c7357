"""The golden store of format version 1: whatever this program becomes, it reads these bytes.

The files below `v1/` are never made again. A failure here means that stores in use cannot be read.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import deltastore
from deltastore_cli.main import run
from tests.cli.weights import sha256_of_files, write_model
from tests.golden.make_store import base_weights, fine_tuned, main

HERE = Path(__file__).parent
GOLDEN = HERE / "v1"
EXPECTED: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text("utf-8"))
VERSIONS: dict[str, dict[str, Any]] = EXPECTED["versions"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A copy of the golden store."""
    shutil.copytree(GOLDEN / "store.ds", tmp_path / "store.ds")
    return tmp_path / "store.ds"


@pytest.fixture
def store(place: Path, tmp_path: Path) -> deltastore.Store:
    return deltastore.open(place, cache=tmp_path / "cache")


def standing(store: deltastore.Store) -> dict[str, str]:
    return {f"{ref.model}@{ref.name}": ref.commit for ref in (*store.branches(), *store.tags())}


def test_the_checkout_of_this_repository_kept_its_bytes() -> None:
    assert sha256_of_files(GOLDEN / "store.ds") == EXPECTED["objects"]
    assert sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()) < 300_000


def test_fsck_finds_nothing(store: deltastore.Store) -> None:
    found = store.fsck(tensors=True)
    assert found.findings == ()
    assert found.checked["log entries"] == 71
    assert found.checked["commits"] == len(VERSIONS) == 4


@pytest.mark.parametrize("commit", VERSIONS)
@pytest.mark.parametrize("fidelity", ["exact", "preview"])
def test_every_version_comes_back(
    commit: str, fidelity: str, store: deltastore.Store, tmp_path: Path
) -> None:
    version = VERSIONS[commit]
    wanted = version["files"] if fidelity == "exact" else version.get("preview", version["files"])
    options = ["-s", str(tmp_path / "store.ds"), "--json"]
    before = sha256_of_files(tmp_path / "store.ds")
    assert run(["checkout", commit, str(tmp_path / "out"), "--fidelity", fidelity, *options]) == 0
    assert sha256_of_files(tmp_path / "out") == wanted
    assert sha256_of_files(tmp_path / "store.ds") == before
    assert store.show(commit).message == version["message"]


def test_refs_log_and_records(store: deltastore.Store) -> None:
    assert standing(store) == EXPECTED["refs"]
    assert set(standing(store)) == {
        "meta/base@main",
        "me/math@main",
        "me/math@prod",
        "me/math@v1",
        "me/math@release/2",
        "me/code@main",
    }
    assert [commit.commit for commit in store.log("me/math").commits] == EXPECTED["log"]
    first = store.show("me/math@v1")
    assert first.metadata == {"run": "7", "ü": "é"}
    assert first.metrics == {"accuracy": 0.612, "loss": 1e-3}
    assert first.base == store.resolve("meta/base")
    assert store.show("me/math").parents == (first.commit,)
    assert store.resolve("me/math@prod") == store.resolve("me/math@prod@{2}") == first.commit
    assert store.resolve("me/math@prod@{1}") == store.resolve("me/math")


def test_the_catalog_is_built_from_it(store: deltastore.Store) -> None:
    found = store.stats()
    assert (found.commits, found.models) == (4, 3)


def test_it_holds_one_of_everything(store: deltastore.Store) -> None:
    """Or it would prove little: each codec, class of packs, and a checkpoint of the log."""
    codecs: Counter[str] = Counter()
    for commit in VERSIONS:
        codecs.update(store.stats(commit).codecs)
    assert {"dense/1", "exact/1", "sparse/1", "ternary/1"} <= set(codecs)
    heads = [path.read_bytes()[:4096] for path in (GOLDEN / "store.ds").rglob("*.safetensors")]
    for pack_class in ("meta", "whole", "preview", "exact", "checkpoint"):
        mark = f'"class":"{pack_class}"'.encode()
        assert any(mark in head.replace(b": ", b":") for head in heads), pack_class


def test_the_present_goes_on_where_it_stopped(
    store: deltastore.Store, place: Path, tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "next", fine_tuned(base_weights(), 7))
    done = store.commit(folder, to="me/math", message="years later")
    assert done.tensors.unchanged > 0
    assert done.tensors.delta > 0
    store.checkout("me/math", tmp_path / "out")
    assert sha256_of_files(tmp_path / "out") == sha256_of_files(folder)
    assert deltastore.open(place).fsck(tensors=True).ok


def files_of(expected: dict[str, Any]) -> list[list[tuple[str, str]]]:
    return sorted(sorted(version["files"].items()) for version in expected["versions"].values())


def test_the_script_that_made_it_still_says_how(tmp_path: Path) -> None:
    """Made again it has other bytes and the same content."""
    main(tmp_path / "again")
    again = json.loads((tmp_path / "again" / "expected.json").read_text("utf-8"))
    assert files_of(again) == files_of(EXPECTED)
    assert again["objects"] != EXPECTED["objects"]
