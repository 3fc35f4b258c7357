"""What is at a URL: listed, read in ranges, written whole; and what is told when it is not so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fsspec
import pytest

from deltastore.errors import (
    AccessDeniedError,
    InvalidError,
    NotFoundError,
    UnreachableError,
    UnsupportedError,
    UsageError,
)
from deltastore.places import requests
from deltastore.places.place import Place
from deltastore.places.writing import PlaceWriter

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "hunter2-not-for-logs"  # noqa: S105 - it must not appear anywhere


@pytest.fixture
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(requests, "FIRST_PAUSE", 0.001)
    return f"memory://places/{abs(hash(request.node.nodeid))}"


def put(url: str, content: bytes) -> None:
    fsspec.filesystem("memory").pipe_file(url, content)


def names(url: str) -> list[str]:
    return [file.path for file in Place(url).list().files]


def test_a_folder_is_listed_below_itself_only(url: str) -> None:
    put(f"{url}/a/x", b"12345")
    put(f"{url}/a/b/y", b"")
    put(f"{url}/ab/z", b"1")
    listing = Place(f"{url}/a/").list()
    assert not listing.single
    assert [(file.path, file.size) for file in listing.files] == [("b/y", 0), ("x", 5)]
    assert all(file.version and file.modified > 0 for file in listing.files)


def test_a_file_is_listed_by_its_name(url: str) -> None:
    put(f"{url}/a/x", b"12345")
    place = Place(f"{url}/a/x")
    listing = place.list()
    assert (listing.single, listing.files[0].path) == (True, "x")
    assert place.read(listing.files[0], 1, 3) == b"234"
    assert place.where("x") == f"{url}/a/x"


def test_nothing_is_not_found(url: str) -> None:
    with pytest.raises(NotFoundError, match="there is nothing"):
        Place(url).list()
    assert Place(url).find("x") is None


def test_a_look_shows_what_the_listing_showed_until_it_is_written_again(url: str) -> None:
    put(f"{url}/x", b"12345")
    place = Place(url)
    listed = place.list().files[0]
    assert place.look(listed) == place.find("x") == listed
    put(f"{url}/x", b"54321")
    assert place.look(listed).version != listed.version


@pytest.mark.parametrize("content", [b"123", None])
def test_fewer_bytes_than_listed_mean_that_it_changed(url: str, content: bytes | None) -> None:
    put(f"{url}/x", b"12345")
    place = Place(url)
    listed = place.list().files[0]
    if content is None:
        fsspec.filesystem("memory").rm(f"{url}/x")
    else:
        put(f"{url}/x", content)
    with pytest.raises(InvalidError, match="changed while it was being read"):
        place.read(listed, 2, 3)
    with pytest.raises(InvalidError, match="changed while it was being read"):
        place.later(listed, 2, 3).result()


class Stubborn:
    """A file system of which some methods answer otherwise."""

    def __init__(self, inner: Any, **answers: Callable[..., Any]) -> None:
        self._inner = inner
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        return self._answers.get(name) or getattr(self._inner, name)


def answering(place: Place, **answers: Callable[..., Any]) -> Place:
    place.filesystem = Stubborn(place.filesystem, **answers)
    return place


def test_a_server_without_ranges_is_refused(url: str) -> None:
    put(f"{url}/x", b"12345")
    place = answering(Place(url), cat_file=lambda *_, **__: b"12345")
    with pytest.raises(UnsupportedError, match="ignores ranges"):
        place.read(place.list().files[0], 1, 2)


def test_names_without_sizes_are_looked_at(url: str) -> None:
    put(f"{url}/x", b"12345")
    key = next(iter(fsspec.filesystem("memory").find(url)))
    bare = {key: {"name": key, "type": "file", "size": None}}
    place = answering(Place(url), find=lambda *_, **__: bare)
    assert place.list().files[0].size == 5
    unsized = answering(place, info=lambda *_: {"type": "file"})
    with pytest.raises(UnsupportedError, match="does not tell its size"):
        unsized.list()


def test_passing_trouble_is_waited_out_and_refusals_are_not(url: str) -> None:
    put(f"{url}/x", b"12345")
    place = Place(url)
    listed = place.list().files[0]
    troubles: list[Exception] = [TimeoutError("slow"), ConnectionResetError("reset")]

    def cat(*_: Any, **__: Any) -> bytes:
        if troubles:
            raise troubles.pop()
        return b"23"

    answering(place, cat_file=cat)
    assert place.read(listed, 1, 2) == b"23"
    troubles += [TimeoutError("slow")] * 3
    with pytest.raises(UnreachableError, match="slow"):
        place.read(listed, 1, 2)
    troubles.append(PermissionError("Forbidden"))
    with pytest.raises(AccessDeniedError):
        place.read(listed, 1, 2)


def test_what_is_written_shows_when_it_is_finished(url: str) -> None:
    put(f"{url}/old", b"1")
    writer = PlaceWriter(Place(url), "a/x")
    writer.write(memoryview(b"123"))
    writer.write(memoryview(b"45"))
    assert "a/x" not in names(url)
    writer.finish()
    assert names(url) == ["a/x", "old"]
    assert fsspec.filesystem("memory").cat_file(f"{url}/a/x") == b"12345"


def test_what_is_given_up_leaves_nothing(url: str) -> None:
    put(f"{url}/old", b"1")
    writer = PlaceWriter(Place(url), "old")
    writer.write(memoryview(b"123"))
    writer.abort()
    writer.abort()
    assert names(url) == ["old"]
    assert fsspec.filesystem("memory").cat_file(f"{url}/old") == b"1"


def test_what_did_not_arrive_whole_never_shows(url: str) -> None:
    put(f"{url}/old", b"1")
    place = answering(Place(url), info=lambda *_: {"size": 2})
    writer = PlaceWriter(place, "x")
    writer.write(memoryview(b"123"))
    with pytest.raises(UnreachableError, match="not all of it arrived"):
        writer.finish()
    assert names(url) == ["old"]


@pytest.mark.parametrize(
    "text",
    [
        f"s3://key:{SECRET}@bucket/x",
        f"sftp://me:{SECRET}@host/x",
        f"https://host/x?token={SECRET}",
        f"memory://x::s3://{SECRET}",
        f"nowhere://{SECRET}",
        f"zip://{SECRET}",
    ],
)
def test_secrets_chains_and_strangers_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Place(text)
    assert SECRET not in str(caught.value) + caught.value.hint


def test_paths_are_no_urls() -> None:
    with pytest.raises(UsageError, match="not a URL"):
        Place("folder")
