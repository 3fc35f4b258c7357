"""Disks that fill: a limit on file sizes, and a small file system. Nothing is half-visible."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.proofs.auditing import broken_tensors, census, findings, leftovers
from benchmarks.proofs.checkpoints import Synthetic, write_checkpoint
from benchmarks.proofs.programs import INSTALLED, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FAMILY = Synthetic(tensors=4, rows=512, columns=512)
KIB = 1024
FILLER = "filler"


def deltastore(*arguments: str, limit: int | None = None) -> tuple[int, dict[str, Any], str]:
    """Exit code, document and standard error of the program; `limit` bounds what files may hold."""

    def bound() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [*INSTALLED, *arguments, "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        preexec_fn=bound,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


def commit(store: Path, source: Path, to: str, **options: Any) -> tuple[int, dict[str, Any], str]:
    base = () if to == "me/base" else ("--base", "me/base")
    place = ("-s", str(store), "commit", str(source))
    return deltastore(*place, "--to", to, *base, "-m", "x", **options)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base and a fine-tune."""
    folder = tmp_path_factory.mktemp("sources")
    for variant, name in enumerate(("base", "tuned")):
        write_checkpoint(folder / name, FAMILY, variant=variant)
    return folder / "base", folder / "tuned"


def started(store: Path, base: Path) -> None:
    assert deltastore("-s", str(store), "init")[0] == 0
    assert commit(store, base, "me/base")[0] == 0


def refused(answer: tuple[int, dict[str, Any], str]) -> None:
    """It ended as a full disk should end it."""
    code, document, err = answer
    assert (code, document["error"]["kind"]) == (7, "no_space"), (document, err)
    assert "Traceback" not in err


def unchanged(store: Path, before: int) -> None:
    """Nothing was recorded, nothing temporary is left, and everything verifies."""
    found = census(store)
    assert found.entries == before
    assert not found.dangling
    assert leftovers(store) == []
    assert findings(store) == ()
    assert broken_tensors(store) == ()


@pytest.mark.parametrize("limit", [1 * KIB, 70 * KIB, 300 * KIB])
def test_a_file_size_limit_stops_a_commit_whole(
    tmp_path: Path, sources: tuple[Path, Path], limit: int
) -> None:
    store = tmp_path / "store"
    started(store, sources[0])
    refused(commit(store, sources[1], "me/tuned", limit=limit))
    unchanged(store, 2)
    assert commit(store, sources[1], "me/tuned")[0] == 0


def test_a_file_size_limit_stops_a_checkout_whole(
    tmp_path: Path, sources: tuple[Path, Path]
) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    started(store, sources[0])
    place = ("-s", str(store), "checkout", "me/base", str(out))
    refused(deltastore(*place, limit=700 * KIB))
    assert not (out / "model.safetensors").exists()
    assert leftovers(tmp_path) == []
    assert deltastore(*place)[0] == 0
    for file in sources[0].iterdir():
        assert (out / file.name).read_bytes() == file.read_bytes()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a file system of some bytes; skips where mounting is not allowed."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(size: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"needs to mount a tmpfs: {done.stderr.strip()}")
        return place

    yield mount
    if os.path.ismount(place):
        subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path, left: int) -> None:
    """Leave that many bytes."""
    status = os.statvfs(disk)
    (disk / FILLER).write_bytes(bytes(status.f_bavail * status.f_frsize - left))


@pytest.mark.parametrize("left", [0, 200 * KIB, 400 * KIB])
def test_a_full_disk_stops_a_commit_whole(
    small_disk: Callable[[int], Path], sources: tuple[Path, Path], left: int
) -> None:
    disk = small_disk(8 << 20)
    store = disk / "store"
    started(store, sources[0])
    fill(disk, left)
    refused(commit(store, sources[1], "me/tuned"))
    (disk / FILLER).unlink()
    unchanged(store, 2)
    assert commit(store, sources[1], "me/tuned")[0] == 0


@pytest.mark.parametrize("left", [64 * KIB, 500 * KIB])
def test_a_full_disk_stops_a_branch_or_lets_it_be_made(
    small_disk: Callable[[int], Path], sources: tuple[Path, Path], left: int
) -> None:
    """The probe before a process's first write races eight creations, which need some space."""
    disk = small_disk(8 << 20)
    store = disk / "store"
    started(store, sources[0])
    fill(disk, left)
    answer = deltastore("-s", str(store), "branch", "me/base@other", "me/base")
    if answer[0] == 0:
        assert census(store).entries == 3
    else:
        refused(answer)
        unchanged(store, 2)


def test_a_full_disk_stops_a_checkout_whole(
    small_disk: Callable[[int], Path], sources: tuple[Path, Path], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    started(store, sources[0])
    disk = small_disk(1 << 20)
    refused(deltastore("-s", str(store), "checkout", "me/base", str(disk / "out")))
    assert not (disk / "out" / "model.safetensors").exists()
    assert leftovers(disk) == []


def test_init_on_a_full_disk_leaves_no_store(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(1 << 20)
    fill(disk, 0)
    refused(deltastore("-s", str(disk / "store"), "init"))
    (disk / FILLER).unlink()
    assert not (disk / "store" / "FORMAT").exists()
    assert deltastore("-s", str(disk / "store"), "init")[0] == 0
