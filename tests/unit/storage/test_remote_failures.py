"""What fsspec's many exceptions become, what is tried again, and what is not."""

from __future__ import annotations

import errno
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from deltastore.errors import (
    AccessDeniedError,
    CorruptError,
    DeltastoreError,
    MissingObjectError,
    NoSpaceError,
    StorageError,
    UnreachableError,
    UnsupportedError,
)
from deltastore.places import requests
from deltastore.places.inflight import InFlight
from deltastore.places.requests import ATTEMPTS
from deltastore.storage.remote import RemoteBackend

if TYPE_CHECKING:
    from pathlib import Path


class NoCredentialsError(Exception):
    """As botocore calls its own."""


class FlakyFilesystem:
    """Stands before fsspec's memory file system and fails on demand."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.failures: list[Exception] = []
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append(name)
            if self.failures:
                raise self.failures.pop(0)
            return method(*arguments, **options)

        return call if callable(method) else method


@pytest.fixture
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> RemoteBackend:
    monkeypatch.setattr(requests, "FIRST_PAUSE", 0.001)
    found = RemoteBackend(f"memory://flaky/{request.node.name}", {})
    found.put_immutable("one", b"one")
    found._fs = FlakyFilesystem(found._fs)
    return found


TRANSIENT = [
    TimeoutError("read timed out"),
    ConnectionResetError("reset"),
    OSError(errno.EBUSY, "SlowDown"),
    OSError(errno.EREMOTEIO, "InternalError"),
    RuntimeError("some client's own class"),
]


@pytest.mark.parametrize("trouble", TRANSIENT, ids=str)
def test_passing_trouble_is_waited_out(backend: RemoteBackend, trouble: Exception) -> None:
    backend._fs.failures = [trouble] * (ATTEMPTS - 1)
    assert backend.get("one", max_bytes=10) == b"one"
    backend._fs.failures = [trouble] * (ATTEMPTS - 1)
    backend.put_immutable("two", b"two")
    backend._fs.failures = [trouble] * ATTEMPTS
    with pytest.raises(UnreachableError, match="one"):
        backend.get_range("one", 0, 1)
    assert backend.traffic.requests == 1 + 3 * ATTEMPTS


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (PermissionError("Forbidden"), AccessDeniedError),
        (FileNotFoundError("one"), MissingObjectError),
        (OSError(errno.ENOSPC, "full"), NoSpaceError),
        (OSError(errno.ENOSYS, "NotImplemented"), UnreachableError),
        (NoCredentialsError("Unable to locate credentials"), AccessDeniedError),
    ],
)
def test_other_trouble_is_reported_at_once(
    backend: RemoteBackend, trouble: Exception, error: type[DeltastoreError]
) -> None:
    backend._fs.failures = [trouble]
    with pytest.raises(error, match="one") as caught:
        backend.get("one", max_bytes=10)
    assert backend.url in str(caught.value)
    assert backend._fs.calls == ["cat_file"]


def test_a_creation_is_never_repeated(backend: RemoteBackend) -> None:
    """Its outcome is unknown, and only reading the entry back settles it."""
    for trouble in TRANSIENT:
        backend._fs.calls.clear()
        backend._fs.failures = [trouble]
        with pytest.raises(UnreachableError, match="log/1"):
            backend.put_if_absent("log/1", b"entry")
        assert backend._fs.calls == ["pipe_file"]
    assert backend.put_if_absent("log/1", b"entry") is True
    assert backend.put_if_absent("log/1", b"other") is False


def test_a_lost_race_is_told_from_other_refusals(backend: RemoteBackend) -> None:
    backend._fs.failures = [FileExistsError("At least one of the pre-conditions")]
    assert backend.put_if_absent("log/2", b"entry") is False
    backend._fs.failures = [OSError(errno.EINVAL, "PreconditionFailed")]
    with pytest.raises(UnreachableError):
        backend.put_if_absent("log/3", b"entry")


def test_the_answer_to_a_range_beyond_the_end(backend: RemoteBackend) -> None:
    """EINVAL stands for that and for worse: the size tells."""
    backend._fs.failures = [OSError(errno.EINVAL, "InvalidRange")]
    with pytest.raises(CorruptError, match="0 bytes from 3"):
        backend.get_range("one", 3, 5)
    backend._fs.failures = [OSError(errno.EINVAL, "AuthorizationHeaderMalformed")]
    with pytest.raises(UnreachableError, match="Malformed"):
        backend.get_range("one", 0, 2)


def test_an_upload_that_did_not_arrive_is_noticed(
    backend: RemoteBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deltastore.storage.remote.CHUNK", 10)
    source = tmp_path / "source"
    source.write_bytes(b"x" * 100)
    assert backend.put_immutable("two", source) == 100
    monkeypatch.setattr(backend, "size", lambda _: 99)
    with pytest.raises(UnreachableError, match="not all of it arrived"):
        backend.put_immutable("three", source)


def test_folders_are_made_where_there_are_folders(backend: RemoteBackend) -> None:
    backend._fs.failures = [FileNotFoundError("no folder")]
    backend.put_immutable("packs/aa/1", b"one")
    assert backend._fs.calls == ["pipe_file", "makedirs", "pipe_file"]


def test_a_place_without_times_says_so(backend: RemoteBackend) -> None:
    backend._fs._inner.modified = raising(NotImplementedError("no times"))
    with pytest.raises(UnsupportedError, match="does not tell"):
        backend.now()
    assert list(backend.list("probe")) == []


def raising(reason: Exception) -> Any:
    def fail(*_: Any) -> None:
        raise reason

    return fail


def test_another_process_may_not_use_it(backend: RemoteBackend) -> None:
    backend._requests._process = -1
    for use in (
        lambda: backend.get("one", max_bytes=9),
        lambda: backend.get_ranges("one", [(0, 1), (2, 1)]),
        lambda: backend.put_if_absent("log/1", b"x"),
        lambda: backend.delete_many(["one"]),
    ):
        with pytest.raises(StorageError, match="forked") as caught:
            use()
        assert "spawn" in caught.value.hint
    assert backend._fs.calls == []


def test_what_is_under_way_is_bounded() -> None:
    gate = InFlight(3, 100)
    running: list[int] = []
    seen: list[tuple[int, int]] = []
    lock = threading.Lock()

    def work(size: int) -> None:
        with gate.admit(size):
            with lock:
                running.append(size)
                seen.append((len(running), sum(running)))
            time.sleep(0.005)
            with lock:
                running.remove(size)

    sizes = [30, 60, 500, 1, 1, 1, 1, 90, 20, 40] * 3
    threads = [threading.Thread(target=work, args=(size,)) for size in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == len(sizes)
    assert max(count for count, _ in seen) == 3
    assert all(total <= 100 or count == 1 for count, total in seen)
