"""What a full disk, a refusal, a kill and a poor file system leave behind: nothing half-visible."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from deltastore.errors import (
    AccessDeniedError,
    MissingObjectError,
    NoSpaceError,
    UnreachableError,
)
from deltastore.places.failures import failure_of
from deltastore.storage import durable
from deltastore.storage.local import LocalBackend

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


FULL = """
import resource, sys
from pathlib import Path
from deltastore.errors import NoSpaceError
from deltastore.ids import bytes_digest
from deltastore.storage.local import LocalBackend
from deltastore.storage.records import Kind, Representation
from deltastore.storage.spool import PackSpool

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
store = LocalBackend(sys.argv[1])
store.put_if_absent("log/0", b"x" * 1000)
source = Path(sys.argv[1]) / ".." / "source"
item = Representation(Kind.TENSOR, bytes_digest(b""), "dense/1", 1 << 20, 1, "U8", (1 << 20,))

def spool():
    with PackSpool(store.spool_folder, "test") as spool:
        spool.add("whole", item, [b"x" * 200_000])
        spool.finish()

def large():
    from deltastore.storage import packing
    packing._IN_MEMORY = 1000
    spool()

for write in (
    lambda: store.put_if_absent("log/1", b"x" * 200_000),
    lambda: store.put_immutable("packs/aa/1", b"x" * 200_000),
    lambda: store.overwrite("log/HINT", b"x" * 200_000),
    spool,
    large,
):
    try:
        write()
    except NoSpaceError as reason:
        assert sys.argv[1] in str(reason), reason
        assert reason.hint
        print("full")
"""


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = run(FULL, str(store))
    assert done.stdout.split() == ["full"] * 5, done.stderr
    assert files(store) == ["log/0"]


KILLED = """
import os, signal, sys
from deltastore.storage import local
from deltastore.storage.local import LocalBackend

store = LocalBackend(sys.argv[1])
store.put_if_absent("log/0", b"zero")

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(local, sys.argv[2], die)
store.put_if_absent("log/1", b"one")
"""


@pytest.mark.parametrize("moment", ["sync", "link_exclusively"])
def test_a_kill_before_the_link_leaves_nothing_visible(tmp_path: Path, moment: str) -> None:
    done = run(KILLED, str(tmp_path), moment)
    assert done.returncode == -signal.SIGKILL
    store = LocalBackend(tmp_path)
    assert list(store.list("")) == ["log/0"]
    assert not store.exists("log/1")
    assert len(files(tmp_path)) == 2
    assert store.put_if_absent("log/1", b"another") is True


def test_an_interrupt_removes_the_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    store = LocalBackend(tmp_path)
    for name in ("sync", "link_exclusively"):
        with monkeypatch.context() as patch:
            patch.setattr(f"deltastore.storage.local.{name}", interrupt)
            with pytest.raises(KeyboardInterrupt):
                store.put_if_absent("log/1", b"one")
    assert files(tmp_path) == []


def raising(number: int) -> Any:
    def fail(*_: Any, **__: Any) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, NoSpaceError),
        (errno.EDQUOT, NoSpaceError),
        (errno.EFBIG, NoSpaceError),
        (errno.EACCES, AccessDeniedError),
        (errno.EROFS, AccessDeniedError),
        (errno.EIO, UnreachableError),
        (errno.ESTALE, UnreachableError),
    ],
)
def test_errors_name_place_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    store = LocalBackend(tmp_path)
    monkeypatch.setattr("deltastore.storage.local.sync", raising(number))
    writes: list[Callable[[], object]] = [
        lambda: store.put_if_absent("log/1", b"one"),
        lambda: store.put_immutable("log/1", b"one"),
    ]
    for write in writes:
        with pytest.raises(error, match="log/1") as caught:
            write()
        assert str(tmp_path) in str(caught.value)
        assert getattr(caught.value, "hint", "")
    assert files(tmp_path) == []


def test_reading_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalBackend(tmp_path)
    store.put_immutable("FORMAT", b"{}")
    monkeypatch.setattr(os, "open", raising(errno.EACCES))
    with pytest.raises(AccessDeniedError, match="FORMAT"):
        store.get("FORMAT", max_bytes=10)


def test_folders_and_files_are_not_confused(tmp_path: Path) -> None:
    store = LocalBackend(tmp_path)
    store.put_immutable("packs/aa/1", b"x")
    for read in (
        lambda: store.get("packs/aa", max_bytes=9),
        lambda: store.get("packs/aa/1/2", max_bytes=9),
        lambda: store.size("packs"),
    ):
        with pytest.raises(MissingObjectError):
            read()


def test_without_hard_links_creation_is_still_exclusive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", raising(errno.EPERM))
    store = LocalBackend(tmp_path / "store")
    assert store.put_if_absent("log/1", b"one") is True
    assert store.put_if_absent("log/1", b"two") is False
    assert store.get("log/1", max_bytes=9) == b"one"
    source = tmp_path / "source"
    source.write_bytes(b"copied")
    assert store.put_immutable("packs/aa/1", source) == 6
    assert source.exists()
    found = store.capabilities()
    assert found.tier == "B"
    assert "hard links" in found.detail
    assert files(tmp_path / "store") == ["log/1", "packs/aa/1"]


def test_a_torn_direct_creation_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", raising(errno.ENOSPC))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        durable.create_directly(tmp_path / "entry", b"one")
    assert files(tmp_path) == []


def test_a_link_whose_answer_was_lost_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def repeated(old: Path, new: Path) -> None:
        link(old, new)
        raise FileExistsError(errno.EEXIST, "a repeated request")

    monkeypatch.setattr(os, "link", repeated)
    store = LocalBackend(tmp_path)
    assert store.put_if_absent("log/1", b"one") is True
    monkeypatch.setattr(os, "link", link)
    assert store.put_if_absent("log/1", b"two") is False


def test_a_file_on_another_disk_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalBackend(tmp_path / "store")
    source = tmp_path / "source"
    source.write_bytes(b"x" * 10_000_000)
    monkeypatch.setattr(os, "link", raising(errno.EXDEV))
    assert store.put_immutable("packs/aa/1", source) == 10_000_000
    assert store.get("packs/aa/1", max_bytes=1 << 24) == source.read_bytes()
    monkeypatch.setattr(os, "link", raising(errno.EIO))
    with pytest.raises(UnreachableError):
        store.put_immutable("packs/aa/2", source)


def test_every_new_name_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, then its folder after the link; parents of folders that are new to this process."""
    synced: list[str] = []
    real = durable.sync

    def noted(path: Path) -> None:
        name = "entry" if path.name.startswith(".") else str(path.relative_to(tmp_path))
        exists = (tmp_path / "a/b/store/log/1").exists()
        synced.append(f"{name}{' after' if exists else ''}")
        real(path)

    monkeypatch.setattr("deltastore.storage.local.sync", noted)
    store = LocalBackend(tmp_path / "a/b/store")
    store.put_if_absent("log/1", b"one")
    assert set(synced[:-2]) == {".", "a", "a/b", "a/b/store"}
    assert synced[-2:] == ["entry", "a/b/store/log after"]
    synced.clear()
    store.put_if_absent("log/2", b"two")
    assert synced == ["entry after", "a/b/store/log after"]


def test_exceptions_are_classified_by_number_then_class() -> None:
    assert isinstance(failure_of(PermissionError("no"), "x"), AccessDeniedError)
    assert isinstance(failure_of(FileNotFoundError("no"), "x"), MissingObjectError)
    assert isinstance(failure_of(TimeoutError(), "x"), UnreachableError)
    assert "TimeoutError" in str(failure_of(TimeoutError(), "x"))


@pytest.mark.parametrize("number", [0, errno.EXDEV, errno.ENOSYS, errno.EINVAL])
def test_copies_within_the_kernel_or_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    if number:
        monkeypatch.setattr(os, "copy_file_range", raising(number), raising=False)
    body = os.urandom(100_000)
    with (tmp_path / "old").open("wb+") as old, (tmp_path / "new").open("wb") as new:
        old.write(body)
        new.write(b"head")
        durable.append_copy(old, len(body), new)
    assert (tmp_path / "new").read_bytes() == b"head" + body


def test_a_copy_onto_a_full_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "copy_file_range", raising(errno.ENOSPC), raising=False)
    with (tmp_path / "old").open("wb+") as old, (tmp_path / "new").open("wb") as new:
        old.write(b"body")
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            durable.append_copy(old, 4, new)
