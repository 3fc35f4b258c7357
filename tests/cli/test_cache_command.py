"""`deltastore cache`: what it shows, what it frees, and the settings behind it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deltastore.cache.entries import HEAD_BYTES, Entry
from deltastore.cache.ranges import RangeFolder

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import FakeStore, Ran

    Program = Callable[..., Ran]

KEY = "packs/ab/one.safetensors"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with one piece of 2,000 bytes."""
    monkeypatch.setenv("DELTASTORE_CACHE", str(tmp_path / "cache"))
    kept = RangeFolder(tmp_path / "cache", 1 << 20)
    kept.write(KEY, Entry(0, 2000 - HEAD_BYTES), b"x" * (2000 - HEAD_BYTES))
    return tmp_path / "cache"


def test_it_shows_folder_size_and_limit(folder: Path, program: Program) -> None:
    ran = program("cache")
    assert ran.code == 0
    assert ran.out == f"cache    {folder}\nholds    2.00 kB in 1 piece, at most 20.0 GB\n"
    assert ran.err == ""


def test_its_document(folder: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTASTORE_CACHE_SIZE", "5GB")
    assert json.loads(program("cache", "--json").out) == {
        "deltastore": 1,
        "command": "cache",
        "result": {
            "folder": str(folder),
            "limit": 5_000_000_000,
            "bytes": 2000,
            "entries": 1,
            "freed_bytes": 0,
        },
    }


def test_clearing_empties_it(folder: Path, program: Program) -> None:
    ran = program("cache", "--clear")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("freed 2.00 kB\n")
    assert "holds    0 B in 0 pieces" in ran.out
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    again = program("cache", "--clear", "--json")
    assert json.loads(again.out)["result"]["freed_bytes"] == 0


def test_an_absent_cache_is_empty(tmp_path: Path, program: Program) -> None:
    ran = program("cache")
    assert ran.code == 0
    assert "holds    0 B in 0 pieces" in ran.out
    assert str(tmp_path / "home") in ran.out


def test_what_cannot_be_removed_is_told(
    folder: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    ran = program("cache", "--clear", "--json")
    assert ran.code == 7
    assert json.loads(ran.out)["error"]["kind"] == "access_denied"
    assert str(folder) in ran.err


@pytest.mark.parametrize("size", ["-5", "lots", "20 GX"])
def test_a_wrong_size_is_refused_with_its_place(
    size: str, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELTASTORE_CACHE_SIZE", size)
    ran = program("cache", "--json")
    assert ran.code == 5
    error = json.loads(ran.out)["error"]
    assert error["kind"] == "invalid"
    assert "DELTASTORE_CACHE_SIZE" in error["message"]
    assert "20GB" in error["message"]


def test_no_cache_is_said(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTASTORE_CACHE_SIZE", "0")
    assert "not used: cache_size is 0" in program("cache").out


def test_the_settings_reach_the_store(
    store: FakeStore, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELTASTORE_CACHE", "/somewhere")
    monkeypatch.setenv("DELTASTORE_CACHE_SIZE", "512 MiB")
    assert program("show", "me/math").code == 0
    assert store.options["cache"] == "/somewhere"
    assert store.options["cache_size"] == 512 << 20


def test_the_size_is_kept_as_it_was_typed(program: Program, lonely_user: Path) -> None:
    assert program("config", "cache_size", "50GB").code == 0
    assert program("config", "cache_size").out == "50000000000\n"
    (file,) = lonely_user.rglob("config.toml")
    assert 'cache_size = "50GB"' in file.read_text()


def test_the_settings_table_knows_the_default(program: Program) -> None:
    (line,) = (line for line in program("config").out.splitlines() if "cache_size" in line)
    assert "20 GB" in line
