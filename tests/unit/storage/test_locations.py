"""What may be typed as a store, and what is refused without repeating a secret."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from deltastore.errors import UsageError
from deltastore.storage.local import LocalBackend
from deltastore.storage.location import open_backend, spool_folder
from deltastore.storage.memory import MemoryBackend


def test_paths_and_file_urls_are_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in ("store", "./store", tmp_path / "store", f"file://{tmp_path}/store", "~/store"):
        backend = open_backend(text)
        assert isinstance(backend, LocalBackend)
        assert backend.url == str(tmp_path / "store")
        assert spool_folder(backend, Path("/other")) == tmp_path / "store" / "tmp"
    assert isinstance(open_backend("s3:bucket"), LocalBackend)
    assert list(tmp_path.iterdir()) == []


def test_memory_is_shared_by_name_within_a_process() -> None:
    one, same = open_backend("memory://names/one"), open_backend("memory://names/one/")
    other = open_backend("memory://names/two")
    assert isinstance(one, MemoryBackend)
    one.put_immutable("x", b"1")
    assert same.exists("x")
    assert not other.exists("x")
    assert spool_folder(one, Path("/spool")) == Path("/spool")


SECRET = "hunter2-not-for-logs"  # noqa: S105 - it must not appear anywhere


@pytest.mark.parametrize(
    "url",
    [
        f"s3://key:{SECRET}@bucket/prefix",
        f"https://user:{SECRET}@host/store",
        f"sftp://user:{SECRET}@host/store",
        f"abfs://container@account/x?sig={SECRET}",
        f"https://host/store#{SECRET}",
        f"simplecache::s3://{SECRET}/x",
        f"s3://bucket/x::file:///{SECRET}",
        f"memory://user:{SECRET}@x",
        f"unknown://{SECRET}/x",
        f"reference://{SECRET}",
        f"file://host/{SECRET}",
    ],
)
def test_secrets_chains_and_strangers_are_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_backend(url)
    assert SECRET not in str(caught.value) + caught.value.hint
    assert caught.value.__cause__ is None


def test_remedies_are_given() -> None:
    with pytest.raises(UsageError) as caught:
        open_backend(f"s3://key:{SECRET}@bucket")
    assert "AWS_PROFILE" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        open_backend("gopher://x")
    assert "s3" in caught.value.hint
    with pytest.raises(UsageError, match="package"):
        open_backend("tosfs://bucket/x")
    for empty in ("", "a\0b"):
        with pytest.raises(UsageError):
            open_backend(empty)


def test_user_names_alone_are_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def noted(url: str, options: Any) -> None:
        opened.append(url)

    monkeypatch.setattr("deltastore.storage.remote.RemoteBackend", noted)
    open_backend("sftp://me@host/store")
    open_backend("abfs://container@account.dfs.core.windows.net/store")
    assert len(opened) == 2


def test_local_stores_load_no_fsspec() -> None:
    code = """
        import sys
        from deltastore.storage.location import open_backend
        from deltastore.storage.packs import PackReader
        from deltastore.storage.spool import PackSpool
        PackReader(open_backend("/nowhere"))
        open_backend("memory://x")
        heavy = {"fsspec", "s3fs", "numpy", "numba", "torch", "duckdb", "asyncio"}
        print(sorted(heavy & set(sys.modules)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
