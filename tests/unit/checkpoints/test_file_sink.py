"""Writing files into a folder: whole or not at all, never outside, nothing left behind."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deltastore.checkpoints.existing import ExistingFiles, ExpectedFile, compare_existing
from deltastore.checkpoints.writing import FileSink
from deltastore.errors import CorruptError, ExistsError, InvalidError, NoSpaceError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, temporary files included; None for folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def _put(folder: Path, path: str, data: bytes, expected: str | None = "") -> None:
    with FileSink(folder) as sink, sink.open(path) as writer:
        writer.write(data)
        writer.finish(_sha256(data) if expected == "" else expected)


def test_a_file_appears_whole_when_it_is_finished(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with FileSink(out) as sink:
        with sink.open("a/b/c.bin") as writer:
            writer.write(b"abc")
            writer.write(np.arange(6, dtype=np.uint16).reshape(2, 3))
            writer.write(np.zeros((0, 3), np.float32))
            writer.write(memoryview(b"xyz"))
            assert not (out / "a/b/c.bin").exists()
            writer.finish(None)
            assert (out / "a/b/c.bin").read_bytes() == b"abc\0\0\1\0\2\0\3\0\4\0\5\0xyz"
        with sink.open("empty") as writer:
            writer.finish(_sha256(b""))
    assert _tree(out).keys() == {"a", "a/b", "a/b/c.bin", "empty"}


def test_new_files_obey_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        _put(tmp_path, "x", b"1")
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_what_is_there_is_replaced_at_the_end_only(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    with FileSink(tmp_path) as sink, sink.open("x") as writer:
        writer.write(b"new")
        assert (tmp_path / "x").read_bytes() == b"old"
        writer.finish(_sha256(b"new"))
    assert _tree(tmp_path) == {"x": b"new"}


def test_other_bytes_than_expected_leave_everything_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(CorruptError, match=f"x: .*{_sha256(b'new')}"):
        _put(tmp_path, "x", b"new", expected=_sha256(b"other"))
    with pytest.raises(CorruptError):
        _put(tmp_path, "deep/er/y", b"new", expected=_sha256(b"other"))
    assert _tree(tmp_path) == {"x": b"old"}


def test_leaving_without_finishing_leaves_nothing(tmp_path: Path) -> None:
    with FileSink(tmp_path) as sink:
        with sink.open("x") as writer:
            writer.write(b"1")
        writer.abort()
        sink.open("y").write(b"2")
    assert _tree(tmp_path) == {}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_after_any_exception_neither_files_nor_new_folders_are_left(
    tmp_path: Path, error: type[BaseException]
) -> None:
    (tmp_path / "kept").mkdir()

    def fail() -> None:
        with FileSink(tmp_path) as sink:
            with sink.open("kept/done") as writer:
                writer.finish(None)
            sink.open("a/b/x").write(b"1")
            sink.open("kept/new/x").write(b"1")
            raise error

    with pytest.raises(error):
        fail()
    assert _tree(tmp_path) == {"kept": None, "kept/done": b""}


def test_a_target_that_was_made_goes_again_when_nothing_was_written(tmp_path: Path) -> None:
    with pytest.raises(CorruptError):
        _put(tmp_path / "out", "a/x", b"1", expected=_sha256(b"2"))
    assert _tree(tmp_path) == {}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    real, calls = os.write, 0

    def filling(descriptor: int, data: Any) -> int:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(code, "full")
        return real(descriptor, memoryview(data)[:3])

    monkeypatch.setattr("deltastore.checkpoints.writing.os.write", filling)
    with pytest.raises(NoSpaceError, match="sub/x: "):
        _put(tmp_path, "sub/x", b"123456")
    assert calls == 2
    assert _tree(tmp_path) == {}


def test_a_folder_in_place_of_the_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(ExistsError, match="a folder has that name"):
        _put(tmp_path, "x", b"1")
    (tmp_path / "f").write_bytes(b"old")
    with pytest.raises(ExistsError, match="no folder"):
        _put(tmp_path, "f/y", b"1")
    with pytest.raises(ExistsError, match="file exists"):
        _put(tmp_path / "f", "y", b"1")
    assert _tree(tmp_path) == {"x": None, "f": b"old"}


def test_a_name_too_long_for_the_file_system_is_invalid(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="name too long"):
        _put(tmp_path, "x" * 300, b"1")
    assert _tree(tmp_path) == {}


def test_misuse_is_told(tmp_path: Path) -> None:
    sink = FileSink(tmp_path)
    with pytest.raises(UsageError, match="with block"):
        sink.open("x")
    with sink, sink.open("x") as writer:
        writer.finish(None)
        with pytest.raises(UsageError, match="finished"):
            writer.write(b"1")
        with pytest.raises(UsageError, match="finished"):
            writer.finish(None)
    assert _tree(tmp_path) == {"x": b""}


def test_several_threads_may_write_into_one_folder(tmp_path: Path) -> None:
    def put(sink: FileSink, index: int) -> None:
        for part in range(10):
            with sink.open(f"d{part}/e/{index}") as writer:
                writer.write(bytes([index]))
                writer.finish(_sha256(bytes([index])))

    with FileSink(tmp_path) as sink:
        threads = [threading.Thread(target=put, args=(sink, index)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    files = {path: data for path, data in _tree(tmp_path).items() if data is not None}
    assert files == {f"d{part}/e/{i}": bytes([i]) for part in range(10) for i in range(8)}


def test_existing_files_are_told_apart_by_content(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "same").write_bytes(b"12")
    (tmp_path / "other").write_bytes(b"34")
    (tmp_path / "longer").write_bytes(b"123")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"12")
    (tmp_path / "link").symlink_to("d/same")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "unrelated").write_bytes(b"12")
    names = ("d/same", "other", "longer", "folder", "file/x", "link", "dangling", "pipe")
    expected = [ExpectedFile(name, 2, _sha256(b"12")) for name in (*names, "new", "new/x", "d/y")]
    with pytest.raises(InvalidError, match="folder of"):
        compare_existing(tmp_path, expected)
    expected = [file for file in expected if file.path != "new"]
    found = compare_existing(tmp_path, [*expected, ExpectedFile("unrelated", 2, None)])
    assert found == ExistingFiles(
        same=("d/same", "link"),
        different=("other", "longer", "folder", "file/x", "dangling", "pipe", "unrelated"),
        absent=("new/x", "d/y"),
    )


def test_nothing_exists_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    found = compare_existing(tmp_path / "absent", [ExpectedFile("x", 0, _sha256(b""))])
    assert found == ExistingFiles((), (), ("x",))
    assert not (tmp_path / "absent").exists()
