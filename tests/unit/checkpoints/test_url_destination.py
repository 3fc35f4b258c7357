"""Files written below a URL: whole or not at all, kept where they match, others untouched."""

from __future__ import annotations

import hashlib

import fsspec
import pytest

from deltastore.checkpoints.existing import ExpectedFile
from deltastore.checkpoints.url_destination import UrlDestination
from deltastore.errors import CorruptError, ExistsError, InvalidError
from deltastore.places.place import Place


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    return f"memory://written/{abs(hash(request.node.nodeid))}"


def content(url: str) -> dict[str, bytes]:
    files = fsspec.filesystem("memory").find(url)
    start = len(url.removeprefix("memory:/")) + 1
    return {path[start:]: fsspec.filesystem("memory").cat_file(path) for path in files}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_files_appear_when_they_are_finished(url: str) -> None:
    with UrlDestination(Place(url)).sink() as sink:
        with sink.open("a/x") as writer:
            writer.write(b"12")
            writer.write(bytearray(b"3"))
            writer.write(b"")
            assert "a/x" not in content(url)
            writer.finish(sha256(b"123"))
        with sink.open("empty") as writer:
            writer.finish(sha256(b""))
        with sink.open("given up") as writer:
            writer.write(b"1")
    assert content(url) == {"a/x": b"123", "empty": b""}


def test_other_bytes_than_expected_never_appear(url: str) -> None:
    fsspec.filesystem("memory").pipe_file(f"{url}/x", b"old")
    with UrlDestination(Place(url)).sink() as sink, sink.open("x") as writer:
        writer.write(b"new")
        with pytest.raises(CorruptError, match="have SHA-256"):
            writer.finish("0" * 64)
    assert content(url) == {"x": b"old"}


def test_an_error_on_the_way_leaves_nothing(url: str) -> None:
    def fail() -> None:
        with UrlDestination(Place(url)).sink() as sink, sink.open("x") as writer:
            writer.write(b"1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert content(url) == {}


def test_what_is_there_is_compared_by_size_then_by_hash(url: str) -> None:
    for name, data in {"same": b"1234", "other": b"4321", "longer": b"12345", "alien": b""}.items():
        fsspec.filesystem("memory").pipe_file(f"{url}/{name}", data)
    wanted = [
        ExpectedFile(name, 4, sha256(b"1234")) for name in ("same", "other", "longer", "absent")
    ]
    found = UrlDestination(Place(url)).compare([*wanted, ExpectedFile("alien", 0, None)])
    assert found.same == ("same",)
    assert found.different == ("other", "longer", "alien")
    assert found.absent == ("absent",)


def test_sizes_are_of_files_only(url: str) -> None:
    fsspec.filesystem("memory").pipe_file(f"{url}/a/x", b"123")
    destination = UrlDestination(Place(url))
    assert [destination.size(path) for path in ("a/x", "a", "b")] == [3, None, None]


def test_a_file_is_no_folder_to_write_into(url: str) -> None:
    fsspec.filesystem("memory").pipe_file(url, b"123")
    with pytest.raises(ExistsError, match="is a file, not a folder"):
        UrlDestination(Place(url)).compare([ExpectedFile("x", 1, None)])


@pytest.mark.parametrize("path", ["../x", "/x", "a//b", ".deltastore/x"])
def test_paths_that_lead_elsewhere_are_refused(url: str, path: str) -> None:
    destination = UrlDestination(Place(url))
    with destination.sink() as sink, pytest.raises(InvalidError):
        sink.open(path)
    with pytest.raises(InvalidError):
        destination.compare([ExpectedFile(path, 1, None)])
    assert content(url) == {}
