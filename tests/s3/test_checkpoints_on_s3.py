"""Checkpoints in a bucket: committed from there, checked out to there; large files in parts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import pytest
from safetensors.numpy import save

import deltastore
from deltastore.checkpoints.source import FolderSource
from deltastore.checkpoints.url_folder import scan_url
from deltastore.errors import AccessDeniedError, InvalidError, NotFoundError
from deltastore.places.place import Place
from deltastore.places.writing import PlaceWriter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.s3


@pytest.fixture
def bucket(s3_options: dict[str, Any]) -> Any:
    return fsspec.filesystem("s3", **s3_options, skip_instance_cache=True)


def put(bucket: Any, url: str, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        bucket.pipe_file(f"{url}/{path}", content)


def test_in_and_out(bucket: Any, s3_url: str, s3_options: dict[str, Any]) -> None:
    weights = np.random.default_rng(0).standard_normal((1 << 19, 3)).astype(np.float32)
    tensors = {"large": weights, "small": weights[0].copy(), "empty": weights[:0].copy()}
    files = {"model.safetensors": save(tensors), "config.json": b"{}", "sub/empty.txt": b""}
    put(bucket, f"{s3_url}/ft", files)
    with deltastore.init(f"{s3_url}/store", **s3_options) as store:
        store.commit(f"{s3_url}/ft", to="me/x", message="m")
        assert store.diff("me/x", f"{s3_url}/ft").same
        done = store.checkout("me/x", f"{s3_url}/out")
        assert (done.files, done.kept) == (3, 0)
        for path, content in files.items():
            assert bucket.cat_file(f"{s3_url}/out/{path}") == content
        assert store.checkout("me/x", f"{s3_url}/out").kept == 3
        store.export("me/x", f"{s3_url}/one.safetensors", tensors="small")
        assert bucket.info(f"{s3_url}/one.safetensors")["size"] < 200
        with pytest.raises(NotFoundError, match="there is nothing"):
            store.commit(f"{s3_url}/f", to="me/y", message="a prefix of a name is no folder")
        with pytest.raises(NotFoundError, match="no such bucket"):
            store.checkout("me/x", "s3://there-is-no-such-bucket/out")


def test_large_files_are_read_in_parts_and_their_hash_is_right(
    bucket: Any, s3_url: str, s3_options: dict[str, Any]
) -> None:
    content = np.random.default_rng(1).bytes((20 << 20) + 12345)
    put(bucket, s3_url, {"optimizer.pt": content})
    (file,) = FolderSource(scan_url(Place(s3_url, s3_options))).files()
    with file:
        digest = hashlib.sha256()
        for chunk in file.chunks():
            digest.update(chunk)
        assert digest.hexdigest() == hashlib.sha256(content).hexdigest()


def test_an_object_that_is_replaced_meanwhile_is_invalid(
    bucket: Any, s3_url: str, s3_options: dict[str, Any]
) -> None:
    zeros, ones = (save({"a": np.full(10, n, np.float32)}) for n in (0, 1))
    put(bucket, s3_url, {"model.safetensors": zeros})
    (file,) = FolderSource(scan_url(Place(s3_url, s3_options))).files()
    put(bucket, s3_url, {"model.safetensors": ones})
    with file, pytest.raises(InvalidError, match="changed while it was being read"):
        file.sha256()


def test_an_upload_in_parts_shows_when_it_is_finished_and_leaves_no_parts(
    bucket: Any, s3_url: str, s3_options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deltastore.places.writing._PART", 5 << 20)
    content = np.random.default_rng(2).bytes(12 << 20)
    place = Place(s3_url, s3_options)
    for given_up in (True, False):
        writer = PlaceWriter(place, "x")
        writer.write(memoryview(content))
        assert not bucket.exists(f"{s3_url}/x")
        if given_up:
            writer.abort()
        else:
            writer.finish()
    bucket.invalidate_cache()
    assert bucket.cat_file(f"{s3_url}/x") == content
    assert bucket.list_multipart_uploads(s3_url.split("/")[2]) == []


def test_wrong_credentials_are_access_denied(s3_url: str, tmp_path: Path) -> None:
    with deltastore.init(tmp_path / "store") as store, pytest.raises(AccessDeniedError):
        store.commit(f"{s3_url}/x", to="me/x", message="m", include=())


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever names no options has nothing to sign with."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
