"""The golden store of views: rows, transposed, of another dtype; and sketches. See `make_views`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import deltastore
from deltastore.storage.records import Kind
from tests.cli.weights import sha256_of_files, write_model
from tests.golden.make_views import VERSIONS, base, nudged, renamed

GOLDEN = Path(__file__).parent / "v1-views"
EXPECTED: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text("utf-8"))


@pytest.fixture
def store(tmp_path: Path) -> deltastore.Store:
    shutil.copytree(GOLDEN / "store.ds", tmp_path / "store.ds")
    return deltastore.open(tmp_path / "store.ds", cache=tmp_path / "cache")


def test_the_checkout_of_this_repository_kept_its_bytes() -> None:
    assert sha256_of_files(GOLDEN / "store.ds") == EXPECTED["objects"]
    assert sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()) < 600_000


@pytest.mark.parametrize("name", VERSIONS)
def test_every_version_comes_back(name: str, store: deltastore.Store, tmp_path: Path) -> None:
    version = EXPECTED["versions"][name]
    assert store.resolve(f"me/{name}") == version["commit"]
    store.checkout(f"me/{name}", tmp_path / "exact")
    assert sha256_of_files(tmp_path / "exact") == version["files"]
    store.checkout(f"me/{name}", tmp_path / "preview", fidelity="preview")
    assert sha256_of_files(tmp_path / "preview") == version["preview"]


def test_it_holds_one_of_everything(store: deltastore.Store) -> None:
    """Or it would prove little: each view, a conversion, and sketches."""
    assert store.fsck(tensors=True).findings == ()
    records = [
        placement.record for pack in store._log.state.live for placement in store._packs.index(pack)
    ]
    inputs = [source for record in records for source in record.inputs]
    assert any(source.rows is not None for source in inputs)
    assert any(source.transposed for source in inputs)
    assert any(record.dtype == "F32" and record.inputs for record in records)
    assert any(record.kind is Kind.SKETCHES for record in records)


def test_bases_are_found_in_it(store: deltastore.Store, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "new", renamed(nudged(base(), 77)))
    done = store.commit(folder, to="me/new", message="years later")
    assert done.base in {store.resolve("meta/base"), store.resolve("me/renamed")}
    assert done.tensors.dense <= 1
