"""Places that may not be written or read, are no store, or need a newer program."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from blake3 import blake3

from benchmarks.proofs.auditing import census, leftovers
from benchmarks.proofs.checkpoints import Synthetic, write_checkpoint
from benchmarks.proofs.programs import INSTALLED, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAMILY = Synthetic(tensors=2, rows=64, columns=64)


def answer(*arguments: str, powers: bool = True) -> tuple[int, str]:
    """Exit code and kind of the error; an empty kind for success.

    Args:
        arguments: of the program.
        powers: keep root's right to pass by permissions, if the tests have it.
    """
    done = subprocess.run(
        [*(() if powers else powerless()), *INSTALLED, *arguments, "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert "Traceback" not in done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, document.get("error", {"kind": ""})["kind"]


def powerless() -> tuple[str, ...]:
    """What makes a program subject to permissions even as root."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv to be subject to permissions")
    return ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder with a store of one version, and checkpoints beside it."""
    write_checkpoint(tmp_path / "base", FAMILY)
    write_checkpoint(tmp_path / "tuned", FAMILY, variant=1)
    store = ("-s", str(tmp_path / "store"))
    assert answer(*store, "init") == (0, "")
    assert answer(*store, "commit", str(tmp_path / "base"), "--to", "me/x", "-m", "x") == (0, "")
    yield tmp_path
    for folder in (tmp_path, *(each for each in tmp_path.rglob("*") if each.is_dir())):
        folder.chmod(0o755)


def forbid_writing(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


def test_a_store_that_may_not_be_written(place: Path) -> None:
    store = ("-s", str(place / "store"))
    commit = ("commit", str(place / "tuned"), "--to", "me/x", "-m", "x")
    forbid_writing(place / "store")
    assert answer(*store, *commit, powers=False) == (7, "access_denied")
    assert answer(*store, "branch", "me/x@b", "me/x", powers=False) == (7, "access_denied")
    assert answer(*store, "log", "me/x", powers=False) == (0, "")
    assert answer(*store, "checkout", "me/x", str(place / "out"), powers=False) == (0, "")
    assert census(place / "store").entries == 2
    assert leftovers(place / "store") == []


def test_a_folder_that_may_not_be_written(place: Path) -> None:
    store, shut = ("-s", str(place / "store")), place / "shut"
    shut.mkdir(mode=0o555)
    checkout = ("checkout", "me/x", str(shut / "out"))
    assert answer(*store, *checkout, powers=False) == (7, "access_denied")
    assert answer("-s", str(shut / "new"), "init", powers=False) == (7, "access_denied")
    assert list(shut.iterdir()) == []


def test_a_store_that_may_not_be_read(place: Path) -> None:
    (place / "store").chmod(0o000)
    store = ("-s", str(place / "store"))
    assert answer(*store, "log", "me/x", powers=False) == (7, "access_denied")


def test_a_checkpoint_that_may_not_be_read(place: Path) -> None:
    (place / "tuned" / "model.safetensors").chmod(0o000)
    store = ("-s", str(place / "store"))
    commit = ("commit", str(place / "tuned"), "--to", "me/x", "-m", "x")
    assert answer(*store, *commit, powers=False) == (7, "access_denied")
    assert census(place / "store").entries == 2


def test_something_that_is_no_store(place: Path) -> None:
    for path in (place / "base", place / "absent", place / "base" / "config.json"):
        assert answer("-s", str(path), "log", "me/x") == (3, "not_a_store")
        commit = ("commit", str(place / "tuned"), "--to", "me/x", "-m", "x")
        assert answer("-s", str(path), *commit) == (3, "not_a_store")
    assert sorted(file.name for file in (place / "base").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    assert not (place / "absent").exists()


def every_command(place: Path) -> Iterator[tuple[int, str]]:
    store = ("-s", str(place / "store"))
    yield answer(*store, "commit", str(place / "tuned"), "--to", "me/x", "-m", "x")
    yield answer(*store, "checkout", "me/x", str(place / "out"))
    yield answer(*store, "log", "me/x")
    yield answer(*store, "branch")
    yield answer(*store, "fsck")
    yield answer(*store, "init")


def test_a_store_of_a_newer_format(place: Path) -> None:
    form = place / "store" / "FORMAT"
    form.write_bytes(form.read_bytes().replace(b'"deltastore":1', b'"deltastore":2'))
    assert set(every_command(place)) == {(5, "newer_format")}
    assert census(place / "store").entries == 2


def announce(store: Path, need: str) -> None:
    """Append an entry of a newer program, which announces what it relies on."""
    v = census(store).entries
    before = (store / "log" / f"{v - 1:020}").read_bytes().split(b"\n")
    head = json.loads(before[0])
    txn: dict[str, Any] = {"txn": "0" * 32, "op": "upgrade", "actor": "a", "meta": None}
    txn |= {"time": "2030-01-01T00:00:00Z", "message": "", "refs": [], "commits": []}
    body = _canonical({"txns": [txn], "add": [], "condemn": [], "absent": []})
    prev, named = blake3(before[0]).hexdigest(), blake3(body).hexdigest()
    line = _canonical({**head, "v": v, "prev": prev, "body": named, "needs": [need]})
    lines = (line, body, blake3(line).hexdigest().encode(), b"")
    (store / "log" / f"{v:020}").write_bytes(b"\n".join(lines))


def _canonical(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def test_a_need_that_forbids_reading(place: Path) -> None:
    announce(place / "store", "r:quantum")
    assert set(list(every_command(place))[:5]) == {(5, "newer_format")}
    assert not (place / "out").exists()
    assert census(place / "store").entries == 3


def test_a_need_that_forbids_writing_leaves_reading(place: Path) -> None:
    announce(place / "store", "w:quantum")
    commit, checkout, log, branch, fsck, _ = every_command(place)
    assert commit == (5, "newer_format")
    assert {checkout, log, branch, fsck} == {(0, "")}
    assert census(place / "store").entries == 3
    assert leftovers(place / "store") == []
