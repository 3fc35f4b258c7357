from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from deltastore.errors import CorruptError, InvalidError
from deltastore.history import manifests
from deltastore.history.manifests import Manifest, ManifestFile
from deltastore.ids import Digest
from tests.unit.history.samples import digest

SHA = "a" * 64
BLOB = ManifestFile("config.json", 12, SHA, blob=digest("blob"))
WEIGHTS = ManifestFile(
    "sub/model.safetensors", 99, SHA, header=digest("h"), tensors=(digest(1), digest(1), digest(2))
)
PREVIEW = ManifestFile("z.safetensors", 99, None, header=digest("h"), tensors=())


def test_a_manifest_comes_back() -> None:
    manifest = Manifest((BLOB, WEIGHTS, PREVIEW))
    assert Manifest.decode(manifest.encode()) == manifest
    assert Manifest.decode(Manifest(()).encode()) == Manifest(())


def test_it_names_every_digest_it_owes() -> None:
    owed = list(Manifest((BLOB, WEIGHTS)).digests())
    assert owed == [digest("blob"), digest("h"), digest(1), digest(1), digest(2)]
    assert Manifest((BLOB, WEIGHTS)).size == 111
    assert Manifest((BLOB, WEIGHTS)).file("config.json") is BLOB
    assert Manifest((BLOB, WEIGHTS)).file("other") is None


def test_the_stored_form_has_no_empty_fields() -> None:
    document = json.loads(Manifest((BLOB, WEIGHTS)).encode())
    assert set(document["files"][0]) == {"path", "size", "sha256", "blob"}
    assert set(document["files"][1]) == {"path", "size", "sha256", "header", "tensors"}


BAD = {
    "not sorted": (WEIGHTS, BLOB),
    "twice": (BLOB, BLOB),
    "neither": (ManifestFile("a", 1, SHA),),
    "both": (replace(WEIGHTS, blob=digest(1)),),
    "blob with tensors": (replace(BLOB, tensors=(digest(1),)),),
    "file and folder": (
        replace(BLOB, path="a"),
        replace(BLOB, path="a-b"),
        replace(BLOB, path="a/b/c"),
    ),
    "negative": (replace(BLOB, size=-1),),
    "digest": (replace(BLOB, blob=Digest(digest(1).upper())),),
    "tensor": (replace(WEIGHTS, tensors=(Digest("12"),)),),
    "sha": (replace(BLOB, sha256="no"),),
}


@pytest.mark.parametrize("files", BAD.values(), ids=BAD.keys())
def test_an_impossible_manifest_is_not_written(files: tuple[ManifestFile, ...]) -> None:
    with pytest.raises(InvalidError, match="manifest"):
        Manifest(files).encode()


@pytest.mark.parametrize(
    "path",
    [
        *("", ".", "..", "/abs", "a//b", "a/../b", "a/", "a\\b", "c:b", "a\x00b", "a\nb", "CON"),
        *("x/nul.txt", "a.", "a ", ".deltastore/config", "x/.DeltaStore", "e\u0301", "x" * 1025),
    ],
)
def test_a_path_that_escapes_or_misleads_is_refused_on_both_sides(path: str) -> None:
    with pytest.raises(InvalidError, match="manifest"):
        Manifest((replace(BLOB, path=path),)).encode()
    document = {"files": [{"path": path, "size": 1, "sha256": SHA, "blob": digest(1)}]}
    with pytest.raises(CorruptError, match="manifest"):
        Manifest.decode(json.dumps(document).encode())


@pytest.mark.parametrize(
    "change",
    [
        *({"size": 1.5}, {"size": "1"}, {"size": True}, {"path": 1}, {"blob": 2}, {"sha256": 3}),
        *({"blob": None}, {"header": digest(1)}, {"size": 2**53 + 1}),
    ],
)
def test_a_file_of_the_wrong_types_is_corrupt(change: dict[str, Any]) -> None:
    file = {"path": "a", "size": 1, "sha256": SHA, "blob": digest(1)} | change
    with pytest.raises(CorruptError):
        Manifest.decode(json.dumps({"files": [file]}).encode())


def test_limits_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Manifest((BLOB, WEIGHTS)).encode()
    for name, limit in (("MAX_FILES", 1), ("MAX_TENSORS", 2), ("MAX_MANIFEST_BYTES", 50)):
        with monkeypatch.context() as patch:
            patch.setattr(manifests, name, limit)
            with pytest.raises(CorruptError):
                Manifest.decode(data)
            with pytest.raises(InvalidError):
                Manifest((BLOB, WEIGHTS)).encode()
