"""Reading checkpoint files, and the sources that ingest takes weights from."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from blake3 import blake3
from safetensors import deserialize
from safetensors.numpy import save_file

from deltastore.checkpoints.access import LocalFile
from deltastore.checkpoints.folder import scan
from deltastore.checkpoints.reading import FileReader, hash_file
from deltastore.checkpoints.safetensors_header import read_header
from deltastore.checkpoints.source import ArraysSource, FolderSource, SourceFile, TensorSource
from deltastore.errors import InvalidError, NotFoundError
from deltastore.specs import TensorSpec

if TYPE_CHECKING:
    from pathlib import Path


class _CountingFile(LocalFile):
    """A local file that counts the bytes read."""

    count = 0

    def _fill(self, offset: int, view: memoryview) -> None:
        self.count += view.nbytes
        super()._fill(offset, view)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    place = tmp_path / "m.safetensors"
    tensors: dict[str, np.ndarray[Any, Any]] = {
        "b": np.arange(7, dtype=np.float32),
        "a": np.arange(12, dtype=np.int64).reshape(3, 4),
        "none": np.zeros((0, 3), np.float16),
        "scalar": np.array(5, np.uint8),
    }
    save_file(tensors, place)
    return place


def _sha256(place: Path) -> str:
    return hashlib.sha256(place.read_bytes()).hexdigest()


def test_tensor_bytes_are_those_of_the_library(weights: Path) -> None:
    stock = dict(deserialize(weights.read_bytes()))  # type: ignore[no-untyped-call]
    header = read_header(weights)
    with FileReader(LocalFile(weights), header) as reader:
        for entry in header.tensors:
            array = reader.tensor_bytes(entry)
            assert array.tobytes() == stock[entry.spec.name]["data"]
            assert (array.dtype.name, array.ndim) == ("uint8", 1)
            out = np.full(entry.nbytes + 3, 9, np.uint8)
            assert reader.tensor_bytes(entry, out).base is out
            assert out.tobytes() == array.tobytes() + b"\x09" * 3
            if entry.nbytes:
                with pytest.raises(InvalidError, match="buffer of"):
                    reader.tensor_bytes(entry, np.empty(entry.nbytes - 1, np.uint8))


@pytest.mark.parametrize("order", ["offset", "reverse", "none"])
def test_the_hash_reads_only_what_was_not_read_in_order(weights: Path, order: str) -> None:
    header = read_header(weights)
    entries = header.in_offset_order() if order == "offset" else header.in_offset_order()[::-1]
    file = _CountingFile(weights)
    with FileReader(file, header) as reader:
        for entry in entries if order != "none" else ():
            reader.tensor_bytes(entry)
        assert reader.sha256() == _sha256(weights)
    passes = {"offset": header.data_size, "none": header.data_size}
    assert file.count <= passes.get(order, 2 * header.data_size)
    assert file.count >= header.data_size


def test_chunks_are_the_file_and_feed_the_hash(tmp_path: Path) -> None:
    place = tmp_path / "blob"
    place.write_bytes(os.urandom(10_000))
    with FileReader(LocalFile(place)) as reader:
        assert b"".join(reader.chunks(999)) == place.read_bytes()
        assert reader.sha256() == _sha256(place)


@pytest.mark.parametrize("size", [0, 1, 4 * 2**20, 4 * 2**20 + 1])
def test_both_hashes_in_one_pass(tmp_path: Path, size: int) -> None:
    place = tmp_path / "blob"
    place.write_bytes(bytes(size))
    hashes = hash_file(place)
    assert (hashes.size, hashes.sha256) == (size, _sha256(place))
    assert hashes.content == blake3(bytes(size)).hexdigest()


def test_a_file_that_shrinks_or_changes_is_noticed(weights: Path) -> None:
    header = read_header(weights)
    reader = FileReader(LocalFile(weights), header)
    os.truncate(weights, header.data_start + 1)
    last = header.in_offset_order()[-1]
    with pytest.raises(InvalidError, match="truncated while reading"), reader:
        reader.tensor_bytes(last)
    again = FileReader(LocalFile(weights), header)
    with pytest.raises(InvalidError, match="truncated while reading"):
        again.tensor_bytes(last)
    with pytest.raises(InvalidError, match="changed while"), again:
        os.utime(weights, ns=(1, 1))


def test_reads_past_the_end_and_of_what_is_no_file_are_refused(tmp_path: Path) -> None:
    place = tmp_path / "x"
    place.write_bytes(b"abc")
    with LocalFile(place) as file:
        assert file.read_at(1, 2) == b"bc"
        with pytest.raises(InvalidError, match="truncated"):
            file.read_at(2, 2)
        with pytest.raises(InvalidError, match="truncated"):
            file.read_into(2, bytearray(2))
    with pytest.raises(InvalidError, match="a folder, not a file"):
        LocalFile(tmp_path)
    with pytest.raises(NotFoundError):
        hash_file(tmp_path / "absent")


def test_a_folder_source_gives_every_byte_back(weights: Path) -> None:
    (weights.parent / "config.json").write_bytes(b"{}")
    source: TensorSource = FolderSource(scan(weights.parent))
    blob, model = source.files()
    assert (blob.path, blob.size, blob.header) == ("config.json", 2, None)
    assert b"".join(blob.chunks()) == b"{}"
    assert blob.sha256() == hashlib.sha256(b"{}").hexdigest()
    with model:
        assert _rebuilt(model) == weights.read_bytes()
        assert model.sha256() == model.sha256() == _sha256(weights)
        assert b"".join(model.chunks()) == weights.read_bytes()


def _rebuilt(file: SourceFile) -> bytes:
    assert file.header is not None
    tensors = (file.read_tensor(entry).tobytes() for entry in file.header.in_offset_order())
    return file.header.raw + b"".join(tensors)


def test_threads_may_share_a_file_and_leave_nothing_open(weights: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    (file,) = FolderSource(scan(weights)).files()
    assert file.header is not None
    entries = file.header.tensors * 50
    with ThreadPoolExecutor(8) as pool:
        contents = [array.tobytes() for array in pool.map(file.read_tensor, entries)]
    assert contents == contents[: len(file.header.tensors)] * 50
    assert file.sha256() == _sha256(weights)
    assert len(os.listdir("/dev/fd")) == before


def test_a_file_changed_after_the_scan_is_refused(weights: Path) -> None:
    source = FolderSource(scan(weights))
    os.utime(weights, ns=(1, 1))
    with pytest.raises(InvalidError, match="changed while it was being read"):
        source.files()[0].sha256()


def _bytes_of(spec: TensorSpec) -> tuple[TensorSpec, np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    return spec, np.arange(spec.nbytes, dtype=np.uint8)


def test_arrays_become_one_file_that_the_library_reads() -> None:
    specs = [
        TensorSpec("w", "BF16", (2, 3)),
        TensorSpec("v", "F32", ()),
        TensorSpec("0", "U8", (0,)),
    ]
    arrays = {spec.name: _bytes_of(spec) for spec in specs}
    (file,) = ArraysSource(arrays).files()
    whole = b"".join(file.chunks())
    assert (file.path, file.size) == ("model.safetensors", len(whole))
    assert file.sha256() == hashlib.sha256(whole).hexdigest()
    assert _rebuilt(file) == whole
    stock = dict(deserialize(whole))  # type: ignore[no-untyped-call]
    assert {name: tensor["data"] for name, tensor in stock.items()} == {
        name: array.tobytes() for name, (_, array) in arrays.items()
    }
    assert file.header is not None
    assert file.header.metadata == {"format": "pt"}


def test_arrays_replace_the_weights_at_the_top_of_the_folder(weights: Path) -> None:
    root = weights.parent
    (root / "sub").mkdir()
    (root / "config.json").write_bytes(b"{}")
    (root / "sub" / "n.safetensors").write_bytes(weights.read_bytes())
    source = ArraysSource(
        {"w": _bytes_of(TensorSpec("w", "U8", (4,)))}, FolderSource(scan(root)), metadata={}
    )
    paths = [file.path for file in source.files()]
    assert paths == ["config.json", "model.safetensors", "sub/n.safetensors"]
    assert source.replaced == ("m.safetensors",)


def test_arrays_that_do_not_fit_their_spec_are_refused() -> None:
    spec = TensorSpec("w", "F32", (2,))
    for name, array in (
        ("other", np.zeros(8, np.uint8)),
        ("w", np.zeros(7, np.uint8)),
        ("w", np.zeros((2, 4), np.uint8)),
        ("w", np.zeros(16, np.uint8)[::2]),
        ("w", np.zeros(8, np.int8)),
    ):
        with pytest.raises(InvalidError, match=name):
            ArraysSource({name: (spec, array)})  # type: ignore[dict-item]  # that is the point
