"""The contract over HTTP, what requests cost, and servers that misbehave."""

from __future__ import annotations

import os
import secrets
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from deltastore.errors import (
    AccessDeniedError,
    MissingObjectError,
    StorageError,
    UnreachableError,
)
from deltastore.storage.location import open_backend
from deltastore.storage.probe import probe
from deltastore.testing.backend_contract import BackendContract, ObjectContract

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.storage.backend import Backend

pytestmark = pytest.mark.s3


class TestMoto(BackendContract):
    @pytest.fixture
    def backend(self, s3_url: str, s3_options: dict[str, Any]) -> Backend:
        self.options = s3_options
        return open_backend(s3_url, **s3_options)

    def again(self, backend: Backend) -> Backend:
        return open_backend(backend.url, **self.options)


class TestRclone(ObjectContract):
    """Fit for reading and for a single declared writer."""

    large = 6 << 20  # rclone keeps multipart uploads in memory; one part is enough here

    @pytest.fixture
    def backend(self, rclone_url: str, rclone_options: dict[str, Any]) -> Backend:
        self.options = rclone_options
        return open_backend(rclone_url, **rclone_options)

    def again(self, backend: Backend) -> Backend:
        return open_backend(backend.url, **self.options)

    def test_ignored_conditional_creation_is_found_out(self, backend: Backend) -> None:
        found = backend.capabilities()
        assert found.tier == "C"
        assert "ignored" in found.detail
        assert list(backend.list("probe")) == []

    def test_creation_is_exclusive(self, backend: Backend) -> None:
        """The negative control itself: this server lets a second creation win, silently."""
        assert backend.put_if_absent("log/1", b"first") is True
        assert backend.put_if_absent("log/1", b"second") is True
        assert backend.get("log/1", max_bytes=99) == b"second"


@pytest.fixture
def backend(s3_url: str, s3_options: dict[str, Any]) -> Backend:
    return open_backend(s3_url, **s3_options)


def requests(backend: Backend) -> int:
    return backend.traffic.requests or 0


def test_reads_cost_one_request_each(backend: Backend) -> None:
    body = secrets.token_bytes(1 << 20)
    backend.put_immutable("one", body)
    before = requests(backend)
    backend.get("one", max_bytes=1 << 20)
    backend.get_prefix("one", 100)
    backend.get_range("one", 5, 100)
    assert requests(backend) - before == 3
    backend.get_ranges("one", [(start, 500) for start in range(0, 1 << 20, 10_000)])
    assert requests(backend) - before == 4
    assert backend.exists("one")
    assert requests(backend) - before == 5


def test_moto_really_gets_no_other_requests(
    s3_url: str, s3_options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted at the client's own door: no HEAD, no listing beside a GET."""
    backend = open_backend(s3_url, **s3_options)
    backend.put_immutable("one", b"x" * 1000)
    filesystem: Any = backend._fs  # type: ignore[attr-defined]
    calls: list[str] = []
    original = filesystem._call_s3

    async def counted(method: str, *args: Any, **kwargs: Any) -> Any:
        calls.append(method)
        return await original(method, *args, **kwargs)

    monkeypatch.setattr(filesystem, "_call_s3", counted)
    backend.get("one", max_bytes=5000)
    backend.get_range("one", 10, 10)
    backend.exists("one")
    with pytest.raises(MissingObjectError):
        backend.get("two", max_bytes=10)
    backend.put_if_absent("log/1", b"one")
    backend.put_if_absent("log/1", b"two")
    assert calls == ["get_object"] * 4 + ["put_object"] * 2


def test_the_verdict_names_its_evidence(backend: Backend) -> None:
    found = probe(backend, rounds=4)
    assert found.tier == "A"
    assert found.detail == "4 of 4 create races had one winner"


def test_wrong_places_and_refused_connections(s3_options: dict[str, Any], s3_url: str) -> None:
    nowhere = open_backend("s3://no-such-bucket/x", **s3_options)
    with pytest.raises(StorageError, match="no-such-bucket"):
        nowhere.put_if_absent("log/1", b"one")
    with pytest.raises(MissingObjectError):
        nowhere.get("FORMAT", max_bytes=10)
    closed = {**s3_options, "client_kwargs": {"endpoint_url": "http://127.0.0.1:9"}}
    with pytest.raises(UnreachableError, match="FORMAT"):
        open_backend(s3_url, **closed).get("FORMAT", max_bytes=10)


def test_credentials_appear_in_no_error(s3_endpoint: str, s3_url: str) -> None:
    missing = {"anon": False, "profile": "no-such-profile-here"}
    with pytest.raises((AccessDeniedError, UnreachableError)) as caught:
        open_backend(s3_url, **missing, client_kwargs={"endpoint_url": s3_endpoint}).get(
            "FORMAT", max_bytes=10
        )
    assert "profile" in str(caught.value).lower() + caught.value.hint.lower()


def test_uploads_in_parts_hold_little_memory(backend: Backend, tmp_path: Path) -> None:
    """Four parts of 8 MiB and copies of them; left alone, s3fs takes the whole file."""
    source = tmp_path / "large"
    with source.open("wb") as file:
        file.truncate(160 << 20)
    tracemalloc.start()
    backend.put_immutable("packs/aa/large", source)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 << 20
    assert backend.size("packs/aa/large") == 160 << 20


def test_a_forked_child_is_told(backend: Backend) -> None:
    backend.put_immutable("one", b"x")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            backend.get("one", max_bytes=10)
            answer = b"read"
        except StorageError as reason:
            answer = str(reason).encode()
        os.write(writer, answer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert b"before this process was forked" in pipe.read()
    os.waitpid(child, 0)
