"""Hashes are remembered of files that were not touched, and of no others."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastore.checkpoints import remembered
from deltastore.checkpoints.access import LocalFile
from deltastore.checkpoints.remembered import RACY_NANOSECONDS, RememberedHashes

if TYPE_CHECKING:
    from pathlib import Path

LATER = 3 * RACY_NANOSECONDS


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that were opened to be hashed."""
    opened: list[str] = []

    class Counting(LocalFile):
        def __init__(self, path: Path) -> None:
            opened.append(path.name)
            super().__init__(path)

    monkeypatch.setattr(remembered, "LocalFile", Counting)
    return opened


@pytest.fixture
def hours_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system's clock, as the hashes ask for it, is ahead of when files were made."""
    real = remembered._clock_of
    monkeypatch.setattr(remembered, "_clock_of", lambda folder: real(folder) + LATER)


def look(folder: Path, *names: str) -> dict[str, str]:
    hashes = RememberedHashes(folder / "hashes.json")
    found = {name: hashes.sha256(name, folder / name) for name in names}
    hashes.save(names)
    return found


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_an_untouched_file_is_read_once(
    tmp_path: Path, reads: list[str], hours_later: None
) -> None:
    (tmp_path / "a").write_bytes(b"one")
    assert look(tmp_path, "a") == look(tmp_path, "a") == {"a": sha256(b"one")}
    assert reads == ["a"]


def test_a_young_file_is_read_every_time(tmp_path: Path, reads: list[str]) -> None:
    (tmp_path / "a").write_bytes(b"one")
    assert look(tmp_path, "a") == look(tmp_path, "a")
    assert reads == ["a", "a"]


def test_a_file_with_the_same_size_and_a_forged_time_is_read_again(
    tmp_path: Path, reads: list[str], hours_later: None
) -> None:
    place = tmp_path / "a"
    place.write_bytes(b"one")
    look(tmp_path, "a")
    before = place.stat()
    place.write_bytes(b"two")
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = place.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (
        (before.st_size, before.st_mtime_ns, before.st_ino)
    )
    assert look(tmp_path, "a") == {"a": sha256(b"two")}


def test_a_file_that_was_moved_into_place_is_read_again(
    tmp_path: Path, reads: list[str], hours_later: None
) -> None:
    (tmp_path / "a").write_bytes(b"one")
    look(tmp_path, "a")
    before = (tmp_path / "a").stat()
    (tmp_path / "b").write_bytes(b"two")
    os.utime(tmp_path / "b", ns=(before.st_atime_ns, before.st_mtime_ns))
    (tmp_path / "b").replace(tmp_path / "a")
    assert look(tmp_path, "a") == {"a": sha256(b"two")}


def test_only_files_that_are_still_there_are_kept(tmp_path: Path, hours_later: None) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    look(tmp_path, "a", "b")
    look(tmp_path, "a")
    assert list(json.loads((tmp_path / "hashes.json").read_text())["files"]) == ["a"]


def test_a_folder_that_cannot_be_written_costs_time_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    hashes = RememberedHashes(tmp_path / "absent" / "hashes.json")
    assert hashes.sha256("a", tmp_path / "a") == sha256(b"one")
    hashes.save(["a"])
    assert not (tmp_path / "absent").exists()


@given(
    damage=st.one_of(
        st.binary(max_size=64),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ).map(lambda value: json.dumps({"version": 1, "files": value}).encode()),
        st.just(b"[" * 100_000),
        st.just(b'{"version": 1, "files": {"a": [1, 2, 3, 4, 5]}}'),
        st.just(b'{"version": 1, "files": {"a": [1, true, 3, 4, "%s"]}}' % (b"0" * 64)),
    )
)
def test_a_damaged_memory_is_no_memory(
    damage: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "a").write_bytes(b"one")
    (folder / "hashes.json").write_bytes(damage)
    assert look(folder, "a") == {"a": sha256(b"one")}
