from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from deltastore.errors import CorruptError
from deltastore.history.diff import diff_manifests, tensors_by_name
from deltastore.history.manifests import Manifest, ManifestFile
from deltastore.specs import TensorSpec
from tests.unit.history.samples import digest

SHA = "a" * 64
Tensors = Mapping[str, tuple[str, tuple[int, ...], str]]


class Files:
    """Manifests whose headers are known by digest."""

    def __init__(self) -> None:
        self.headers: dict[str, list[TensorSpec]] = {}

    def weights(self, path: str, tensors: Tensors, size: int = 9) -> ManifestFile:
        header = digest(sorted(tensors.items()))
        self.headers[header] = [TensorSpec(n, d, s) for n, (d, s, _) in tensors.items()]
        content = tuple(digest(each) for _, _, each in tensors.values())
        return ManifestFile(path, size, SHA, header=header, tensors=content)

    def specs(self, file: ManifestFile) -> Sequence[TensorSpec]:
        return self.headers[file.header or ""]


def blob(path: str, content: str) -> ManifestFile:
    return ManifestFile(path, len(content), SHA, blob=digest(content))


def test_files() -> None:
    before = Manifest((blob("a", "1"), blob("b", "1"), blob("c", "1")))
    after = Manifest((blob("b", "1"), blob("c", "22"), blob("d", "1")))
    found = diff_manifests(before, after, Files().specs)
    assert {file.path: file.status for file in found.files} == {
        "a": "removed",
        "b": "same",
        "c": "changed",
        "d": "added",
    }
    assert not found.same
    assert diff_manifests(before, before, Files().specs).same
    assert found.tensors == ()


def test_tensors() -> None:
    files = Files()
    common = {"same": ("F32", (2,), "0"), "changed": ("F32", (2,), "1")}
    first = common | {
        "retyped": ("F32", (2,), "2"),
        "reshaped": ("F32", (2, 3), "3"),
        "both": ("F32", (2, 3), "4"),
        "removed": ("F32", (1,), "5"),
    }
    second = common | {
        "changed": ("F32", (2,), "1b"),
        "retyped": ("BF16", (2,), "2b"),
        "reshaped": ("F32", (3, 2), "3b"),
        "both": ("BF16", (3, 2), "4b"),
        "added": ("F32", (1,), "6"),
    }
    before = Manifest((files.weights("m.safetensors", first),))
    after = Manifest((files.weights("m.safetensors", second),))
    found = diff_manifests(before, after, files.specs)
    assert [(tensor.name, tensor.status) for tensor in found.tensors] == [
        ("added", "added"),
        ("both", "reshaped"),
        ("changed", "changed"),
        ("removed", "removed"),
        ("reshaped", "reshaped"),
        ("retyped", "retyped"),
        ("same", "unchanged"),
    ]
    added, changed, removed = found.tensors[0], found.tensors[2], found.tensors[3]
    assert added.before is None
    assert removed.after is None
    assert changed.before is not None
    assert changed.after is not None
    assert (changed.before.digest, changed.after.digest) == (digest("1"), digest("1b"))
    assert [file.status for file in found.files] == ["changed"]


def test_other_shards_are_not_other_tensors() -> None:
    files = Files()
    x, y = {"x": ("F32", (2,), "x")}, {"y": ("F32", (2,), "y")}
    whole = Manifest((files.weights("m.safetensors", x | y),))
    cut = Manifest((files.weights("1.safetensors", x), files.weights("2.safetensors", y)))
    found = diff_manifests(whole, cut, files.specs)
    assert [tensor.status for tensor in found.tensors] == ["unchanged", "unchanged"]
    assert not found.same


def test_a_name_in_two_files_is_told_apart() -> None:
    files = Files()
    x = {"x": ("F32", (2,), "x")}
    both = Manifest((files.weights("1.safetensors", x), files.weights("2.safetensors", x)))
    assert set(tensors_by_name(both, files.specs)) == {"x", "2.safetensors:x"}


def test_a_header_with_another_number_of_tensors_is_corrupt() -> None:
    files = Files()
    file = files.weights("m.safetensors", {"x": ("F32", (2,), "x")})
    files.headers[file.header or ""].append(TensorSpec("y", "F32", (2,)))
    with pytest.raises(CorruptError, match="2 tensors"):
        tensors_by_name(Manifest((file,)), files.specs)
