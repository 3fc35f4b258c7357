"""Manifest paths that try to leave the folder, and folders laid out to lead writes outside."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest

from deltastore.checkpoints import paths as paths_module
from deltastore.checkpoints.existing import ExpectedFile, compare_existing
from deltastore.checkpoints.paths import check_path, check_paths
from deltastore.checkpoints.writing import FileSink
from deltastore.errors import ExistsError, InvalidError

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = [
    "",
    "/",
    "/etc/passwd",
    "//host/share",
    ".",
    "..",
    "../x",
    "a/../../x",
    "a/..",
    "./a",
    "a/./b",
    "a//b",
    "a/",
    "a\0b",
    "a\nb",
    "a\x1b[2Jb",
    "a\x7f",
    "a\x85b",
    "a\\..\\b",
    "C:",
    "C:x",
    "file:stream",
    "a.",
    "a ",
    "a./b",
    "a /b",
    "...",
    "con",
    "Con.json",
    "a/NUL",
    "nul.tar.gz",
    "aux",
    "PRN.txt",
    "COM0",
    "com9.x",
    "LPT1/b",
    ".deltastore",
    ".Deltastore/workspace.toml",
    "a/.DELTASTORE/x",
    ".delta\u017ftore",
    "cafe\u0301",
    "\ud800",
    "a" * 1025,
    "é" * 513,
]


@pytest.mark.parametrize("path", HOSTILE)
def test_a_hostile_path_is_refused_before_any_file_is_touched(tmp_path: Path, path: str) -> None:
    out = tmp_path / "out"
    with pytest.raises(InvalidError, match="path ") as caught:
        check_path(path)
    assert repr(path) in str(caught.value)
    with pytest.raises(InvalidError), FileSink(out) as sink:
        sink.open(path)
    with pytest.raises(InvalidError):
        compare_existing(out, [ExpectedFile(path, 0, None)])
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    "path",
    [
        "model.safetensors",
        "...a",
        ".gitignore",
        ".deltastoreignore",
        "a b/c d",
        "console",
        "COM10",
        "COM",
        "connect.json",
        "caf\u00e9/日本語/🙂",
        "~",
        "-rf",
        "$(x)",
        "a" * 1024,
    ],
)
def test_an_unusual_but_harmless_path_is_kept(path: str) -> None:
    assert check_path(path) == path
    assert check_paths([path]) == ()


@pytest.mark.parametrize("paths", [["a", "a"], ["a", "a/b"], ["a/b/c", "a.b", "a/b"]])
def test_paths_that_cannot_both_exist_are_refused(paths: list[str]) -> None:
    for order in (paths, paths[::-1]):
        with pytest.raises(InvalidError, match="path 'a"):
            check_paths(order)


def test_paths_that_clash_on_some_file_systems_are_a_warning() -> None:
    assert check_paths(["a", "b"]) == ()
    assert check_paths(["A", "a"]) == ("paths 'A' and 'a' differ only in case",)
    assert check_paths(["straße", "STRASSE"]) == (
        "paths 'STRASSE' and 'straße' differ only in case",
    )
    assert check_paths(["A", "a/b"]) == ("paths 'A' and 'a/b' clash where case does not count",)


def test_too_many_paths_are_refused_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths_module, "MAX_FILES", 3)
    assert check_paths(["1", "2", "3"]) == ()
    taken = []

    def endless() -> object:
        for index in range(10**9):
            taken.append(index)
            yield str(index)

    with pytest.raises(InvalidError, match="more than 3 files"):
        check_paths(endless())  # type: ignore[arg-type]  # a generator whose type says less
    assert len(taken) == 4


def _write(folder: Path, path: str, data: bytes = b"evil") -> None:
    with FileSink(folder) as sink, sink.open(path) as writer:
        writer.write(data)
        writer.finish(hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("target", ["outside", "../outside", "out/inside", "nowhere"])
@pytest.mark.parametrize("path", ["link/x", "link/sub/x", "real/link/x"])
def test_no_write_goes_through_a_link_below_the_target(
    tmp_path: Path, target: str, path: str
) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    for folder in (out / "real", out / "inside", outside / "sub"):
        folder.mkdir(parents=True)
    (outside / "x").write_bytes(b"mine")
    place = out / path.partition("link")[0] / "link"
    place.symlink_to(target if target.startswith("..") else tmp_path / target)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InvalidError, match="'link' on its way is a link"):
        _write(out, path)
    with pytest.raises(InvalidError, match="'link' on its way is a link"):
        compare_existing(out, [ExpectedFile(path, 4, None)])
    assert sorted(tmp_path.rglob("*")) == before
    assert (outside / "x").read_bytes() == b"mine"


def test_a_link_with_the_file_s_own_name_is_replaced_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    out = tmp_path / "out"
    out.mkdir()
    for name, target in (("a", victim), ("b", tmp_path / "nowhere"), ("c", tmp_path)):
        (out / name).symlink_to(target)
        _write(out, name)
        assert not (out / name).is_symlink()
        assert (out / name).read_bytes() == b"evil"
    assert victim.read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "victim"]


def test_the_target_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    _write(tmp_path / "out", "a/x")
    assert (tmp_path / "real" / "a" / "x").read_bytes() == b"evil"


def test_a_folder_swapped_for_a_link_while_writing_changes_nothing(tmp_path: Path) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    with FileSink(out) as sink, sink.open("d/x") as writer:
        writer.write(b"1")
        (out / "d").rename(out / "moved")
        (out / "d").symlink_to(outside)
        writer.finish(None)
    assert list(outside.iterdir()) == []
    assert (out / "moved" / "x").read_bytes() == b"1"


def test_a_pipe_with_the_file_s_name_blocks_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "d" / "p")
    found = compare_existing(tmp_path, [ExpectedFile("x", 0, hashlib.sha256().hexdigest())])
    assert found.different == ("x",)
    with pytest.raises(ExistsError, match="'p' on its way is there and no folder"):
        _write(tmp_path, "d/p/x")
    _write(tmp_path, "x")
    assert (tmp_path / "x").read_bytes() == b"evil"


def _python(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_file_size_limit_leaves_no_file(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands for a disk that fills in the middle of a file."""
    code = """
        import pathlib, resource, sys
        from deltastore.checkpoints.writing import FileSink
        from deltastore.errors import NoSpaceError
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        try:
            with FileSink(pathlib.Path(sys.argv[1])) as sink:
                with sink.open("small") as writer:
                    writer.write(bytes(10_000))
                    writer.finish(None)
                with sink.open("sub/big") as writer:
                    for _ in range(100):
                        writer.write(bytes(999))
                    writer.finish(None)
        except NoSpaceError as error:
            print(error)
    """
    process = _python(code, str(tmp_path))
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert "sub/big: " in output
    assert [path.name for path in tmp_path.rglob("*")] == ["small"]


def test_ctrl_c_at_any_time_leaves_whole_files_only(tmp_path: Path) -> None:
    code = """
        import pathlib, sys
        from deltastore.checkpoints.writing import FileSink
        with FileSink(pathlib.Path(sys.argv[1])) as sink:
            print("ready", flush=True)
            for index in range(1_000_000):
                with sink.open(f"d{index % 7}/{index % 50}") as writer:
                    for _ in range(8):
                        writer.write(bytes(8192))
                    writer.finish(None)
    """
    interrupted = 0
    for round_ in range(12):
        out = tmp_path / str(round_)
        process = _python(code, str(out))
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.003 * round_)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        interrupted += "KeyboardInterrupt" in errors
        files = [path for path in out.rglob("*") if path.is_file()]
        assert all(path.stat().st_size == 65536 for path in files)
        assert not [path for path in out.rglob("*") if path.name.endswith(".tmp")]
    assert interrupted == 12
