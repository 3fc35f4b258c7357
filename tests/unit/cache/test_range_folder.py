"""The folder of ranges: what comes back is right, what is too much goes, a failure is a miss."""

from __future__ import annotations

import errno
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deltastore.cache import ranges
from deltastore.cache.entries import HEAD_BYTES, Entry, parse_entry
from deltastore.cache.ranges import RANGES, RangeFolder

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "packs/ab/one.safetensors"
OTHER = "packs/cd/two.safetensors"
DATA = bytes(range(200)) * 5


@pytest.fixture
def kept(tmp_path: Path) -> RangeFolder:
    return RangeFolder(tmp_path, 1 << 20)


def file_of(folder: Path, entry: Entry, key: str = KEY) -> Path:
    return folder / RANGES / key / entry.name


def test_what_was_written_is_found_and_read(kept: RangeFolder) -> None:
    entry = Entry(100, 1100)
    kept.write(KEY, entry, DATA)
    assert kept.find(KEY, 100, 1100) == [entry]
    assert kept.find(KEY, 150, 160) == [entry]
    assert kept.find(KEY, 0, 100) == []
    assert kept.find(KEY, 1100, 1200) == []
    assert kept.find(OTHER, 100, 1100) == []
    assert kept.read(KEY, entry) == DATA
    assert kept.census() == (1, len(DATA) + HEAD_BYTES)


def flip(at: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[at] ^= 1
        path.write_bytes(content)

    return damage


def resize(change: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = path.read_bytes() + b"\0" * max(0, change)
        path.write_bytes(content[: len(content) + min(0, change)])

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        *map(flip, (0, 7, 8, 39, 40, 500, -1)),
        *map(resize, (-1, 1, -len(DATA), -len(DATA) - HEAD_BYTES)),
        lambda path: path.write_bytes(b"\0" * path.stat().st_size),
    ],
    ids=[f"damage {number}" for number in range(12)],
)
def test_a_damaged_entry_is_a_miss_and_goes(
    damage: Callable[[Path], None], kept: RangeFolder, tmp_path: Path
) -> None:
    entry = Entry(0, 1000)
    kept.write(KEY, entry, DATA)
    damage(file_of(tmp_path, entry))
    assert kept.read(KEY, entry) is None
    assert not file_of(tmp_path, entry).exists()
    kept.write(KEY, entry, DATA)
    assert kept.read(KEY, entry) == DATA


@pytest.mark.parametrize(
    ("entry", "key"), [(Entry(1, 1001), KEY), (Entry(0, 1000), OTHER), (Entry(0, 1000, True), KEY)]
)
def test_an_entry_under_another_name_is_not_taken_for_that(
    entry: Entry, key: str, kept: RangeFolder, tmp_path: Path
) -> None:
    kept.write(KEY, Entry(0, 1000), DATA)
    target = file_of(tmp_path, entry, key)
    target.parent.mkdir(parents=True, exist_ok=True)
    file_of(tmp_path, Entry(0, 1000)).rename(target)
    assert kept.read(key, entry) is None


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    folder = RangeFolder(tmp_path, 10 * (1000 + HEAD_BYTES))
    entries = [Entry(1000 * n, 1000 * n + 1000) for n in range(9)]
    for age, entry in enumerate(entries):
        folder.write(KEY, entry, DATA)
        os.utime(file_of(tmp_path, entry), (age, age))
    assert folder.read(KEY, entries[0]) == DATA  # now the one used last
    for n in range(20, 23):
        folder.write(KEY, Entry(1000 * n, 1000 * n + 1000), DATA)
        assert folder.census()[1] <= 10 * (1000 + HEAD_BYTES)
    left = set(folder.find(KEY, 0, 1 << 40))
    assert entries[0] in left
    assert not {entries[1], entries[2]} & left
    assert {Entry(1000 * n, 1000 * n + 1000) for n in range(20, 23)} <= left


def test_a_range_larger_than_half_the_cache_is_not_kept(tmp_path: Path) -> None:
    folder = RangeFolder(tmp_path, 1500)
    folder.write(KEY, Entry(0, 1000), DATA)
    assert folder.census() == (0, 0)
    assert not (tmp_path / RANGES).exists()


def test_a_cache_of_no_size_keeps_nothing(tmp_path: Path) -> None:
    RangeFolder(tmp_path, 0).write(KEY, Entry(0, 1000), DATA)
    assert list(tmp_path.iterdir()) == []


def test_what_killed_writers_left_goes_once_it_is_old(tmp_path: Path) -> None:
    parent = tmp_path / RANGES / KEY
    parent.mkdir(parents=True)
    old, fresh = parent / f".{'0' * 16}", parent / f".{'1' * 16}"
    for path in (old, fresh):
        path.write_bytes(DATA)
    long_ago = time.time() - ranges.UNFINISHED_SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    folder = RangeFolder(tmp_path, 1 << 20)
    folder.write(KEY, Entry(0, 1000), DATA)
    assert (old.exists(), fresh.exists()) == (False, True)
    assert folder.census()[0] == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_failing_disk_turns_the_cache_off_with_one_warning(
    number: int,
    kept: RangeFolder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept.write(KEY, Entry(0, 1000), DATA)
    attempts = []

    def fail(*_: object) -> None:
        attempts.append(1)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(ranges, "write_entry", fail)
    with caplog.at_level(logging.WARNING):
        for n in range(3):
            kept.write(OTHER, Entry(n, n + 1000), DATA)
    assert len(attempts) == 1
    (told,) = caplog.messages
    assert os.strerror(number) in told
    assert kept.read(KEY, Entry(0, 1000)) == DATA


def test_a_file_in_the_way_turns_the_cache_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / RANGES).write_text("a file")
    folder = RangeFolder(tmp_path, 1 << 20)
    folder.write(KEY, Entry(0, 1000), DATA)
    folder.write(KEY, Entry(0, 1000), DATA)
    assert folder.find(KEY, 0, 1000) == []
    assert len(caplog.messages) == 1


def test_a_real_write_that_fails_leaves_nothing(
    kept: RangeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Path:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Path, "replace", fail)
    kept.write(KEY, Entry(0, 1000), DATA)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_cleared_folder_is_made_again(kept: RangeFolder, tmp_path: Path) -> None:
    kept.write(KEY, Entry(0, 1000), DATA)
    assert RangeFolder(tmp_path, 1).clear() == 1000 + HEAD_BYTES
    assert kept.read(KEY, Entry(0, 1000)) is None
    kept.write(KEY, Entry(0, 1000), DATA)
    assert kept.read(KEY, Entry(0, 1000)) == DATA


def test_clearing_removes_ours_and_nothing_else(kept: RangeFolder, tmp_path: Path) -> None:
    kept.write(KEY, Entry(0, 1000), DATA)
    theirs = [
        tmp_path / "thesis.tex",
        tmp_path / RANGES / "thesis.tex",
        tmp_path / RANGES / KEY / "thesis.tex",
        tmp_path / RANGES / KEY / "5-3",
        tmp_path / RANGES / KEY / ".hidden",
    ]
    for path in theirs:
        path.write_text("mine")
    kept.clear()
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(theirs)


def test_forgetting_drops_one_object(kept: RangeFolder) -> None:
    for key in (KEY, OTHER):
        kept.write(key, Entry(0, 1000), DATA)
    kept.forget(KEY)
    assert kept.read(KEY, Entry(0, 1000)) is None
    assert kept.read(OTHER, Entry(0, 1000)) == DATA


@pytest.mark.parametrize(
    "name", ["", "1", "1-", "5-5", "9-3", "1-2-endless", "-1-2", "a-b", "1-2 "]
)
def test_other_names_are_no_entries(name: str) -> None:
    assert parse_entry(name) is None


def test_names_come_back() -> None:
    for entry in (Entry(0, 1), Entry(7, 1 << 32, True)):
        assert parse_entry(entry.name) == entry


def test_a_folder_that_may_not_be_looked_into_is_a_miss(
    kept: RangeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.write(KEY, Entry(0, 1000), DATA)

    def refuse(*_: object, **__: object) -> os.stat_result:
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(os, "stat", refuse)
    monkeypatch.setattr(os, "listdir", refuse)
    found = kept.find(KEY, 0, 1000)
    monkeypatch.undo()
    assert found == []
