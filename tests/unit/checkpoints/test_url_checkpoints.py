"""Checkpoints at URLs: what is read of them, in which requests, and that nothing else differs."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import pytest
from safetensors.numpy import save

from deltastore.checkpoints import url_files
from deltastore.checkpoints.folder import scan
from deltastore.checkpoints.source import FolderSource
from deltastore.checkpoints.url_files import UrlFile, UrlOrigin
from deltastore.checkpoints.url_folder import scan_url
from deltastore.errors import InvalidError, NotFoundError
from deltastore.places.place import Place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CHUNK = 100


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    return f"memory://urls/{abs(hash(request.node.nodeid))}"


def put(url: str, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        fsspec.filesystem("memory").pipe_file(f"{url}/{path}", content)


class Counted:
    """A file system that notes which bytes of which file are asked for."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.ranges: list[tuple[str, int, int]] = []
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self._inner, name)

    def cat_file(self, path: str, start: int, end: int) -> bytes:
        self.ranges.append((path.rpartition("/")[2], start, end))
        return bytes(self._inner.cat_file(path, start=start, end=end))


def counted(url: str) -> tuple[Place, Counted]:
    place = Place(url)
    place.filesystem = found = Counted(place.filesystem)
    return place, found


def opened(url: str, content: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[UrlFile, Counted]:
    monkeypatch.setattr(url_files, "CHUNK", CHUNK)
    put(url, {"x": content})
    place, found = counted(url)
    return UrlOrigin(place, place.list().files[0]).open(), found


CONTENT = bytes(range(256)) * 8


def test_what_is_read_in_order_is_read_ahead_in_pieces(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, found = opened(url, CONTENT, monkeypatch)
    got = b"".join(file.read_at(start, 64) for start in range(0, len(CONTENT), 64))
    assert got == CONTENT
    first, *rest = found.ranges
    assert first == ("x", 0, 64)
    assert rest == [("x", at, min(at + CHUNK, len(CONTENT))) for at in range(0, len(CONTENT), 100)]


def test_at_most_a_few_pieces_are_ahead(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file, found = opened(url, CONTENT, monkeypatch)
    file.read_at(0, 10)
    file.read_at(10, 10)
    file._place._pool.shutdown(wait=True)
    assert max(end for _, _, end in found.ranges) == CHUNK * (1 + url_files.AHEAD)
    assert len(file._pieces) == 1 + url_files.AHEAD
    file.close()
    assert not file._pieces


def test_what_is_read_out_of_order_is_read_alone(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file, found = opened(url, CONTENT, monkeypatch)
    buffer = np.zeros(250, np.uint8)
    file.read_into(1000, buffer.data)
    assert buffer.tobytes() == CONTENT[1000:1250]
    assert file.read_at(5, 3) == CONTENT[5:8]
    assert found.ranges == [("x", 1000, 1100), ("x", 1100, 1200), ("x", 1200, 1250), ("x", 5, 8)]


def test_a_small_file_is_read_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file, found = opened(url, CONTENT[:CHUNK], monkeypatch)
    for _ in range(2):
        assert [file.read_at(at, 25) for at in range(0, 100, 25)]
    assert found.ranges == [("x", 0, CHUNK)]


def test_several_threads_read_one_file(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file, _ = opened(url, CONTENT, monkeypatch)
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda at: file.read_at(at, 37), range(0, 37 * 50, 37)))
    assert b"".join(parts) == CONTENT[: 37 * 50]


def test_reading_beyond_the_end_asks_for_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file, found = opened(url, CONTENT, monkeypatch)
    with pytest.raises(InvalidError, match="truncated: byte 2049 is wanted of 2048"):
        file.read_at(2000, 49)
    with pytest.raises(InvalidError, match="truncated"):
        file.read_into(2**40, bytearray(1))
    assert found.ranges == []


@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT[:-1], None])
def test_a_file_that_is_not_as_it_was_listed_is_invalid(
    url: str, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    file, _ = opened(url, CONTENT, monkeypatch)
    file.check_unchanged()
    fsspec.filesystem("memory").rm(f"{url}/x")
    if content is not None:
        put(url, {"x": content})
    with pytest.raises(InvalidError, match="changed while it was being read"):
        file.check_unchanged()


WEIGHTS = save({"a": np.arange(6, dtype=np.float32), "b": np.ones((2, 3), np.int16)})
TREE = {
    "model.safetensors": WEIGHTS,
    "sub/more.safetensors": WEIGHTS,
    "config.json": b"{}",
    "empty": b"",
    ".git/objects/x": b"1",
    "a.lock": b"",
    "sub/__pycache__/y": b"2",
    "notes.txt": b"3",
    "old/optimizer.pt": b"\x80\x02x",
}
RULES: list[tuple[tuple[str, ...], tuple[str, ...], str | None]] = [
    ((), (), None),
    ((".git",), (), None),
    (("*.lock",), ("sub/",), None),
    ((), ("optimizer.*", "*.json"), None),
    (("notes.txt",), (), "notes.txt\n# no\nold/\n"),
    (("old/*",), ("**/x",), "old\n"),
]


def written(folder: Path, files: Mapping[str, bytes]) -> Path:
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return folder


@pytest.mark.parametrize(("include", "exclude", "ignore"), RULES)
def test_a_url_is_scanned_by_the_rules_of_folders(
    url: str, tmp_path: Path, include: tuple[str, ...], exclude: tuple[str, ...], ignore: str | None
) -> None:
    files = TREE | ({".deltastoreignore": ignore.encode()} if ignore is not None else {})
    put(url, files)
    there = scan_url(Place(url), include=include, exclude=exclude)
    here = scan(written(tmp_path, files), include=include, exclude=exclude)
    assert [file.path for file in there.files] == [file.path for file in here.files]
    assert [file.header for file in there.files] == [file.header for file in here.files]
    assert (there.skipped, there.warnings, there.size) == (here.skipped, here.warnings, here.size)


def test_a_scan_lists_once_and_reads_only_heads(url: str) -> None:
    large = save({"a": np.zeros(100_000, np.float64)})
    put(url, {"model.safetensors": large, "optimizer.bin": bytes(10_000), "config.json": b"{}"})
    place, found = counted(url)
    scan_url(place)
    assert sorted(found.ranges) == [
        ("config.json", 0, 2),
        ("model.safetensors", 0, 64 << 10),
        ("optimizer.bin", 0, 256),
    ]
    assert found.calls.count("find") == 1
    assert "info" not in found.calls


def test_a_long_header_is_read_by_ranges(url: str) -> None:
    many = save({f"tensor.{n:05d}": np.zeros(1, np.uint8) for n in range(2000)})
    put(url, {"model.safetensors": many})
    place, found = counted(url)
    (file,) = scan_url(place).files
    assert file.header is not None
    assert len(file.header.tensors) == 2000
    whole = len(file.header.raw)
    assert found.ranges == [("model.safetensors", 0, 64 << 10), ("model.safetensors", 0, whole)]


def test_a_source_reads_what_the_folder_has(url: str) -> None:
    put(url, TREE)
    for file in FolderSource(scan_url(Place(url))).files():
        with file:
            assert b"".join(file.chunks()) == TREE[file.path]
            assert file.sha256() == hashlib.sha256(TREE[file.path]).hexdigest()
            for entry in file.header.tensors if file.header else ():
                begin = file.header.data_start + entry.begin if file.header else 0
                read = file.read_tensor(entry).tobytes()
                assert read == TREE[file.path][begin : begin + entry.nbytes]


def test_a_blob_that_is_replaced_before_it_is_read_is_invalid(url: str) -> None:
    put(url, {"config.json": b"{1}"})
    (file,) = FolderSource(scan_url(Place(url))).files()
    put(url, {"config.json": b"{2}"})
    with file, pytest.raises(InvalidError, match="changed"):
        list(file.chunks())


def test_one_file_is_a_checkpoint(url: str) -> None:
    put(url, {"m.safetensors": WEIGHTS})
    found = scan_url(Place(f"{url}/m.safetensors"))
    assert [(file.path, file.origin.name) for file in found.files] == [
        ("m.safetensors", f"{url}/m.safetensors")
    ]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"m.safetensors": WEIGHTS[:-1]}, "the file has 35"),
        ({"m.safetensors": b"version https://git-lfs.github.com/spec/v1"}, "Git LFS pointer"),
        ({"a/../m": b"1"}, "has the part '..'"),
        ({"x.lock": b"1"}, "holds no files"),
        (
            {"m.safetensors.index.json": b'{"weight_map": {"a": "gone"}}'},
            "are not there",
        ),
        ({".deltastoreignore": b"\xff", "x": b""}, "not UTF-8"),
    ],
)
def test_broken_checkpoints_are_invalid(url: str, files: dict[str, bytes], told: str) -> None:
    put(url, files)
    with pytest.raises(InvalidError, match=told):
        scan_url(Place(url))


def test_nothing_is_not_found(url: str) -> None:
    with pytest.raises(NotFoundError):
        scan_url(Place(url))
