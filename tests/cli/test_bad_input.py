"""What bad input gets: kind, exit code, a message that names it, and a store as it was before."""

from __future__ import annotations

import json
import os
import socket
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest

from deltastore.checkpoints import paths
from deltastore.history import manifests
from tests.cli.weights import assembled, safetensors_file, sha256_of_files, small_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran

    Program = Callable[..., Ran]
    Refusal = Callable[..., dict[str, str]]


@pytest.fixture
def here(tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a store that holds me/base; the store is in force."""
    monkeypatch.setenv("DELTASTORE_STORE", "models.ds")
    write_model(tmp_path / "base", small_model())
    assert program("init").code == 0
    assert program("commit", "base", "--to", "me/base", "-m", "base").code == 0
    return tmp_path


@pytest.fixture
def refused(here: Path, program: Program) -> Refusal:
    """Run a command that has to fail: what it says, the same as text and as a document.

    Nothing may be left in the store by it, and nothing in the folder.
    """

    def call(*arguments: str, kind: str, code: int) -> dict[str, str]:
        before = standing(here)
        ran = program(*arguments, "--json")
        document: dict[str, Any] = json.loads(ran.out)
        error: dict[str, str] = document["error"]
        assert (error["kind"], ran.code) == (kind, code), ran.err
        assert document["command"] == arguments[0]
        assert "result" not in document
        assert ran.err == program(*arguments).err
        lines = ran.err.splitlines()
        assert lines[0].startswith("error: ")
        assert not any("Traceback" in line for line in lines)
        assert standing(here) == before
        return error

    return call


def standing(here: Path) -> dict[str, str]:
    """All files but those of the cache, which may be deleted at any moment."""
    found = sha256_of_files(here)
    return {name: digest for name, digest in found.items() if not name.startswith("home/.cache/")}


def commit_refused(refused: Refusal, path: str, kind: str = "invalid", code: int = 5) -> str:
    """A commit that has to fail, and for what reason; the remedy comes after a line feed."""
    error = refused("commit", path, "--to", "me/x", "-m", "m", kind=kind, code=code)
    return f"{error['message']}\n{error['hint']}"


def entry(dtype: str = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def lying(**tensors: object) -> bytes:
    return json.dumps(tensors).encode()


GOOD = safetensors_file(small_model())
HEADERS = {
    "an empty file": (b"", "0 bytes are too few"),
    "a length cut short": (b"\x10\0\0", "3 bytes are too few"),
    "a header cut short": (GOOD[:100], "truncated"),
    "data cut short": (GOOD[:-1], "the header describes 86080 bytes of data"),
    "data after the end": (GOOD + b"\0", "the header describes 86080 bytes of data"),
    "a length of 2^63": (b"\xff" * 7 + b"\x7f" + b"{}", "header of 9223372036854775807 bytes"),
    "no JSON": (assembled(b"{nope}", b""), "not valid JSON"),
    "no object": (assembled(b"[]", b""), "not a JSON object"),
    "not UTF-8": (assembled(b'{"\xff": 1}', b""), "not valid JSON"),
    "a name twice": (
        assembled(b'{"a": %b, "a": %b}' % ((lying(x=1),) * 2), bytes(8)),
        "duplicate key 'a'",
    ),
    "overlapping tensors": (
        assembled(lying(a=entry(), b=entry(offsets=(4, 12))), bytes(12)),
        "'b'",
    ),
    "a gap between tensors": (
        assembled(lying(a=entry(), b=entry(offsets=(12, 20))), bytes(20)),
        "'b'",
    ),
    "offsets that run backwards": (assembled(lying(a=entry(offsets=(8, 0))), bytes(8)), "'a'"),
    "offsets beyond the file": (assembled(lying(a=entry(offsets=(0, 800))), bytes(8)), "'a'"),
    "a shape of another size": (assembled(lying(a=entry(shape=(3,))), bytes(8)), "'a'"),
    "a negative dimension": (assembled(lying(a=entry(shape=(-2,))), bytes(8)), "'a'"),
    "an astronomic shape": (assembled(lying(a=entry(shape=(2**40, 2**40))), bytes(8)), "'a'"),
    "an unknown dtype": (assembled(lying(a=entry("F7")), bytes(8)), "F7"),
    "a missing field": (assembled(lying(a={"dtype": "F32"}), bytes(8)), "'a'"),
    "remarks that are no text": (assembled(b'{"__metadata__": {"a": 1}}', b""), "__metadata__"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_broken_safetensors_files(name: str, here: Path, refused: Refusal) -> None:
    content, reason = HEADERS[name]
    write_model(here / "bad", {}, {"model.safetensors": content})
    said = commit_refused(refused, "bad")
    assert "model.safetensors" in said
    assert reason in said


def test_a_header_larger_than_allowed_is_not_read(here: Path, refused: Refusal) -> None:
    """A sparse file: its header would be 100 MB."""
    write_model(here / "bad", {})
    with (here / "bad" / "model.safetensors").open("wb") as file:
        file.write((100_000_009).to_bytes(8, "little") + b"{")
        file.truncate(100_000_100)
    assert "100000009 bytes" in commit_refused(refused, "bad")


def test_a_git_lfs_pointer(here: Path, refused: Refusal) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    write_model(here / "bad", {}, {"model.safetensors": pointer})
    said = commit_refused(refused, "bad")
    assert "Git LFS pointer" in said
    assert "git lfs pull" in said


INDEXES = {
    "a file that is not there": ({"norm": "missing.safetensors"}, "missing.safetensors"),
    "a tensor that is not there": ({"nope": "model.safetensors"}, "'nope' in model.safetensors"),
    "a file outside": ({"norm": "../base/model.safetensors"}, "../base/model.safetensors"),
    "a file that is no safetensors": ({"norm": "config.json"}, "config.json"),
}


@pytest.mark.parametrize("name", INDEXES)
def test_shard_indexes_that_lie(name: str, here: Path, refused: Refusal) -> None:
    weight_map, reason = INDEXES[name]
    index = json.dumps({"weight_map": weight_map}).encode()
    write_model(here / "bad", small_model(), {"model.safetensors.index.json": index})
    said = commit_refused(refused, "bad")
    assert "model.safetensors.index.json" in said
    assert reason in said


@pytest.mark.parametrize("index", [b"", b"[]", b"{}", b'{"weight_map": {"a": 1}}', b"\xff"])
def test_shard_indexes_that_are_none(index: bytes, here: Path, refused: Refusal) -> None:
    write_model(here / "bad", small_model(), {"model.safetensors.index.json": index})
    assert "model.safetensors.index.json" in commit_refused(refused, "bad")


@pytest.mark.parametrize("name", ["nul", "COM1.txt", "a\\b", "c:d", "end.", "tab\there", "é"])
def test_names_that_some_system_misreads(name: str, here: Path, refused: Refusal) -> None:
    odd = unicodedata.normalize("NFD", name)
    write_model(here / "bad", small_model(), {odd: b"x"})
    said = commit_refused(refused, "bad")
    assert repr(odd) in said
    assert "--exclude" in said


def test_things_that_are_no_files(here: Path, refused: Refusal) -> None:
    write_model(here / "bad", small_model())
    os.mkfifo(here / "bad" / "pipe")
    assert "pipe" in commit_refused(refused, "bad")
    (here / "bad" / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(here / "bad" / "sock"))
        assert "sock" in commit_refused(refused, "bad")
    (here / "bad" / "sock").unlink()
    (here / "bad" / "loop").symlink_to(".")
    assert "loop" in commit_refused(refused, "bad")
    (here / "bad" / "loop").unlink()
    (here / "bad" / "dangling").symlink_to("nowhere")
    assert "dangling" in commit_refused(refused, "bad")


def test_nothing_to_commit(here: Path, refused: Refusal) -> None:
    assert "no such file" in commit_refused(refused, "nothing", "not_found", 3)
    (here / "empty").mkdir()
    assert "empty" in commit_refused(refused, "empty")
    (here / "empty" / ".git").mkdir()
    (here / "empty" / ".git" / "x").write_text("x")
    assert "--include" in commit_refused(refused, "empty")


@pytest.mark.parametrize(
    "target",
    ["../x", "/abs/x", "x", "a/b/c", "a/..", "a/b@../c", "a/b@/c", "a/b@x..y", "a/b@c@d", "a/b@.x"],
)
def test_models_and_branches_that_are_no_names(target: str, refused: Refusal) -> None:
    error = refused("commit", "base", "--to", target, "-m", "m", kind="invalid", code=5)
    assert error["hint"]


def test_a_path_with_a_nul(refused: Refusal) -> None:
    assert repr("base\0x") in commit_refused(refused, "base\0x")
    refused("checkout", "me/base", "out\0", kind="invalid", code=5)


REVISIONS = {
    "me/bas": "me/base",
    "mee/base": "me/base",
    "me/base@mian": "me/base@main",
    "me/base@v9": "main",
    "me/base~5": "me/base",
    "me/base@{7}": "me/base",
    "ffffffffffff": "",
}


@pytest.mark.parametrize("revision", REVISIONS)
def test_revisions_that_are_not_there(revision: str, refused: Refusal) -> None:
    for command in (("log",), ("show",), ("ls", "--tensors"), ("checkout", "out"), ("stats",)):
        arguments = (command[0], revision, *command[1:])
        error = refused(*arguments, kind="not_found", code=3)
        assert revision.partition("~")[0].partition("@{")[0] in error["message"]
        assert REVISIONS[revision] in error["hint"] + error["message"]
        assert error["hint"]


@pytest.mark.parametrize("path", ["confg.json", "../base/config.json", "/etc/passwd", "."])
def test_files_of_a_version_that_are_not_there(path: str, here: Path, program: Program) -> None:
    ran = program("show", f"me/base:{path}")
    assert (ran.code, ran.out) == (3, "")
    assert path in ran.err
    assert "config.json" in ran.err


def test_tensors_and_files_that_are_not_there(refused: Refusal) -> None:
    refused("checkout", "me/base", "out", "--include", "zzz*", kind="not_found", code=3)
    refused("export", "me/base", "x.safetensors", "--tensors", "zzz*", kind="not_found", code=3)


def test_places_that_are_no_store(here: Path, refused: Refusal) -> None:
    for place in ("nowhere", "base"):
        error = refused("log", "me/x", "-s", place, kind="not_a_store", code=3)
        assert place in error["message"]
        assert "deltastore init" in error["hint"]


def test_a_file_instead_of_a_store(here: Path, refused: Refusal) -> None:
    refused("log", "me/x", "-s", "base/config.json", kind="not_a_store", code=3)


def change_format(here: Path, **changes: object) -> None:
    place = here / "models.ds" / "FORMAT"
    place.chmod(0o644)
    place.write_text(json.dumps(json.loads(place.read_text()) | changes) + "\n")


READING = (("log", "me/base"), ("ls",), ("checkout", "me/base", "out"), ("fsck",))
WRITING = (("commit", "base", "--to", "me/y", "-m", "m"), ("tag", "me/base@v1"), ("init",))


@pytest.mark.parametrize("command", [*READING, *WRITING], ids=" ".join)
def test_a_store_of_a_newer_format(command: tuple[str, ...], here: Path, refused: Refusal) -> None:
    change_format(here, deltastore=2)
    error = refused(*command, kind="newer_format", code=5)
    assert "2" in error["message"]
    assert error["hint"]


@pytest.mark.parametrize("command", [*READING, *WRITING], ids=" ".join)
def test_a_format_that_is_damaged(command: tuple[str, ...], here: Path, refused: Refusal) -> None:
    place = here / "models.ds" / "FORMAT"
    place.chmod(0o644)
    place.write_bytes(b'{"deltastore": 1, ')
    error = refused(*command, kind="not_a_store", code=3)
    assert "FORMAT" in error["message"]
    assert "restore FORMAT" in error["hint"]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_store_that_lost_its_log(command: tuple[str, ...], here: Path, program: Program) -> None:
    for path in (here / "models.ds" / "log").iterdir():
        path.unlink()
    ran = program(*command, "--json")
    assert ran.code == 6
    document = json.loads(ran.out)
    found = document["result"]["findings"] if "result" in document else [document["error"]]
    assert {item["kind"] for item in found} <= {"corrupt", "missing_object"}
    assert found


@pytest.mark.parametrize(
    "path", ["../escaped", "/escaped", "a/../../escaped", "a\0b", "nul", ".deltastore/x"]
)
def test_a_store_whose_version_has_names_that_escape(
    path: str, here: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store was written by a program that checks nothing; ours does when it reads."""
    encode = manifests.Manifest.encode
    with monkeypatch.context() as lax:
        for module in (paths, manifests):
            lax.setattr(module, "check_path", lambda text: text)

        def hostile(self: manifests.Manifest) -> bytes:
            return encode(self).replace(b'"config.json"', json.dumps(path).encode())

        lax.setattr(manifests.Manifest, "encode", hostile)
        (here / "model").mkdir()
        (here / "model" / "config.json").write_text("harm")
        assert program("commit", "model", "--to", "evil/model", "-m", "m").code == 0
    before = standing(here)
    for command in (("checkout", "evil/model", "out"), ("show", "evil/model"), ("fsck",)):
        ran = program(*command, "--json")
        assert ran.code == 6, ran.out
    assert standing(here) == before
    assert program("checkout", "me/base", "fine").code == 0


def test_what_this_version_does_not_do(refused: Refusal) -> None:
    for command in (
        ("commit", "hf:meta/llama", "--to", "me/y", "-m", "m"),
        ("checkout", "me/base", "hf:meta/llama"),
        ("export", "me/base", "hf:meta/llama"),
        ("diff", "me/base", "hf:meta/llama"),
    ):
        error = refused(*command, kind="unsupported", code=5)
        assert "hf: is not supported" in error["message"]
        assert "hf download" in error["hint"]


USAGE = (
    ("commit", "base", "--to", "me/y"),
    ("commit", "base", "-m", "m"),
    ("commit", "base", "--to", "me/y", "-m", "m", "--preview", "2"),
    ("commit", "base", "--to", "me/y", "-m", "m", "--meta", "novalue"),
    ("commit", "base", "--to", "me/y", "-m", "m", "--metric", "a=b"),
    ("checkout", "me/base"),
    ("checkout", "me/base", "out", "--fidelity", "rough"),
    ("log",),
    ("log", "me/base", "-n", "0"),
    ("branch", "me/base", "me/base"),
    ("tag", "me/base", "-d"),
    ("show", "me/base:config.json"),
    ("export", "me/base", "out", "--dtype", "int5"),
)


@pytest.mark.parametrize("command", USAGE, ids=" ".join)
def test_calls_that_are_wrong(command: tuple[str, ...], here: Path, program: Program) -> None:
    before = standing(here)
    ran = program(*command, "--json")
    assert ran.code == 2
    assert json.loads(ran.out)["error"]["kind"] == "usage"
    assert ran.err.startswith("error: ")
    assert standing(here) == before
