"""`checkout` and `show REV:PATH` through the program: what is in the way, and what is read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.weights import fine_tuned, sha256_of_files, small_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran

    Program = Callable[..., Ran]

PROGRAM = Path(sys.executable).with_name("deltastore")


@pytest.fixture
def here(tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a store that is in force: meta/base, and me/tuned with two commits."""
    monkeypatch.setenv("DELTASTORE_STORE", "models.ds")
    write_model(tmp_path / "base", small_model(), {"docs/README.md": b"base\n"})
    write_model(tmp_path / "tuned", fine_tuned(small_model()), {"docs/README.md": b"tuned\n"})
    write_model(tmp_path / "alone", small_model(7))
    for command in (
        "init",
        "commit base --to meta/base -m base",
        "commit tuned --to me/tuned --base meta/base -m tuned",
        "commit alone --to other/alone -m alone",
    ):
        assert program(*command.split()).code == 0
    return tmp_path


def test_files_of_other_names_are_not_touched(here: Path, program: Program) -> None:
    out = here / "out"
    (out / "docs").mkdir(parents=True)
    (out / "mine.txt").write_text("mine")
    (out / "docs" / "mine.txt").write_text("mine")
    (out / ".hidden").write_text("mine")
    assert program("checkout", "me/tuned", "out").code == 0
    mine = {"mine.txt", "docs/mine.txt", ".hidden"}
    found = sha256_of_files(out)
    assert {name: found.pop(name) for name in mine} == sha256_of_files(out, mine)
    assert [(out / name).read_text() for name in mine] == ["mine"] * 3
    assert found == sha256_of_files(here / "tuned")


def test_files_that_differ_stop_it_before_anything_is_written(here: Path, program: Program) -> None:
    out = here / "out"
    (out / "docs").mkdir(parents=True)
    (out / "docs" / "README.md").write_text("mine")
    ran = program("checkout", "me/tuned", "out", "--json")
    assert ran.code == 4
    error = json.loads(ran.out)["error"]
    assert error["kind"] == "exists"
    assert "docs/README.md" in error["message"]
    assert "--overwrite" in error["hint"]
    assert set(sha256_of_files(out)) == {"docs/README.md"}
    assert (out / "docs" / "README.md").read_text() == "mine"
    assert program("checkout", "me/tuned", "out", "--overwrite").code == 0
    assert sha256_of_files(out) == sha256_of_files(here / "tuned")


@pytest.mark.parametrize("in_the_way", ["a folder", "a file as folder", "a link"])
def test_other_things_in_the_way(in_the_way: str, here: Path, program: Program) -> None:
    out, elsewhere = here / "out", here / "elsewhere"
    out.mkdir()
    elsewhere.write_text("precious")
    if in_the_way == "a folder":
        (out / "config.json").mkdir()
    elif in_the_way == "a file as folder":
        (out / "docs").write_text("file")
    else:
        (out / "config.json").symlink_to(elsewhere)
    ran = program("checkout", "me/tuned", "out", "--json")
    assert ran.code == 4
    assert json.loads(ran.out)["error"]["kind"] == "exists"
    assert not (out / "model.safetensors").exists()
    program("checkout", "me/tuned", "out", "--overwrite")
    assert elsewhere.read_text() == "precious"


def test_files_that_match_are_kept_and_the_rest_is_completed(here: Path, program: Program) -> None:
    assert program("checkout", "me/tuned", "out").code == 0
    weights = here / "out" / "model.safetensors"
    before = weights.stat()
    (here / "out" / "config.json").unlink()
    ran = program("checkout", "me/tuned", "out")
    assert ", 2 already there" in ran.out
    assert weights.stat().st_mtime_ns == before.st_mtime_ns
    assert weights.stat().st_ino == before.st_ino
    assert sha256_of_files(here / "out") == sha256_of_files(here / "tuned")
    again = program("checkout", "me/tuned", "out")
    assert "all 3 files already there" in again.out


def test_parts_of_a_version(here: Path, program: Program) -> None:
    assert program("checkout", "me/tuned", "some", "--include", "*.json").code == 0
    assert set(sha256_of_files(here / "some")) == {"config.json"}
    assert program("checkout", "me/tuned", "rest", "--exclude", "*.safetensors").code == 0
    assert set(sha256_of_files(here / "rest")) == {"config.json", "docs/README.md"}
    none = program("checkout", "me/tuned", "none", "--include", "*.bin")
    assert none.code == 3
    assert not (here / "none").exists()


def test_show_prints_a_file_byte_for_byte(here: Path) -> None:
    for path in ("model.safetensors", "docs/README.md"):
        command = [str(PROGRAM), "show", f"me/tuned:{path}"]
        shown = subprocess.run(command, cwd=here, capture_output=True, check=True).stdout
        assert shown == (here / "tuned" / path).read_bytes()


def objects(store: Path) -> dict[str, Path]:
    return {path.stem: path for path in (store / "packs").rglob("*.safetensors")}


def reading(program: Program, store: Path, revision: str, here: Path) -> bool:
    """Whether a version can be checked out of this store, and is right."""
    out = here / f"out-{store.name}"
    shutil.rmtree(out, ignore_errors=True)
    if program("-s", str(store), "checkout", revision, str(out)).code:
        return False
    return sha256_of_files(out) == sha256_of_files(here / revision.partition("/")[2])


def test_reading_a_version_needs_its_own_packs_only(here: Path, program: Program) -> None:
    """Every pack of the others may be gone: each is deleted, and stays so if it was not missed."""
    store = here / "copy.ds"
    shutil.copytree(here / "models.ds", store)
    needed = set()
    for name, path in objects(store).items():
        content = path.read_bytes()
        path.unlink()
        if not reading(program, store, "me/tuned", here):
            path.write_bytes(content)
            needed.add(name)
    gone = objects(here / "models.ds").keys() - needed
    assert gone
    assert reading(program, store, "me/tuned", here)
    assert not reading(program, store, "other/alone", here)
    before = program("-s", "models.ds", "checkout", "me/tuned", "whole", "--json")
    after = program("-s", str(store), "checkout", "me/tuned", "part", "--json")
    fetched = [json.loads(ran.out)["result"]["fetched_bytes"] for ran in (before, after)]
    assert fetched[0] == fetched[1]


def test_what_is_read_does_not_grow_with_other_models(here: Path, program: Program) -> None:
    def fetched(out: str) -> int:
        ran = program("checkout", "me/tuned", out, "--json")
        count: int = json.loads(ran.out)["result"]["fetched_bytes"]
        return count

    before = fetched("one")
    whole = sum(path.stat().st_size for path in objects(here / "models.ds").values())
    assert before < whole
    for number in range(5):
        write_model(here / "more", small_model(20 + number))
        assert program("commit", "more", "--to", f"more/m{number}", "-m", "x").code == 0
    assert fetched("two") < before + 15_000  # five log entries of about 2 kB


def test_no_catalog_and_no_cache_are_needed(
    here: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an empty home, from a store that may only be read."""
    empty = here / "empty-home"
    empty.mkdir()
    monkeypatch.setenv("HOME", str(empty))
    monkeypatch.setenv("XDG_CACHE_HOME", str(empty / "cache"))
    before = sorted((here / "models.ds").rglob("*"))
    assert program("checkout", "me/tuned", "out").code == 0
    assert sha256_of_files(here / "out") == sha256_of_files(here / "tuned")
    assert list(empty.rglob("*")) == []
    assert sorted((here / "models.ds").rglob("*")) == before


def test_a_preview_reads_preview_packs_and_the_base_only(here: Path, program: Program) -> None:
    """The packs that only the exact layer is in may be gone."""
    store = here / "copy.ds"
    shutil.copytree(here / "models.ds", store)
    for path in objects(store).values():
        if b'"class":"exact"' in path.read_bytes()[:4096].replace(b": ", b":"):
            path.unlink()
    ran = program("-s", str(store), "checkout", "me/tuned", "rough", "--fidelity", "preview")
    assert ran.code == 0, ran.err
    failed = program("-s", str(store), "checkout", "me/tuned", "out", "--json")
    assert failed.code == 6
    assert json.loads(failed.out)["error"]["kind"] == "missing_object"
    assert not (here / "out" / "model.safetensors").exists()


def test_an_export_of_one_file_minds_that_file_only(here: Path, program: Program) -> None:
    out = here / "out"
    out.mkdir()
    (out / "model.safetensors.index.json").write_text("{}")
    (out / "config.json").write_text("mine")
    assert program("export", "me/tuned", "out/part.safetensors", "--tensors", "norm").code == 0
    again = program("export", "me/tuned", "out/part.safetensors", "--json")
    assert again.code == 4
    assert "part.safetensors" in json.loads(again.out)["error"]["message"]
    assert program("export", "me/tuned", "out").code == 4
    assert (out / "config.json").read_text() == "mine"
    assert not (out / "model.safetensors").exists()
