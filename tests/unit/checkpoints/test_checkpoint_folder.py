"""What a scan of files and folders finds, follows, leaves out and refuses."""

from __future__ import annotations

import errno
import json
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from deltastore.checkpoints import examining
from deltastore.checkpoints.failures import as_deltastore_error
from deltastore.checkpoints.folder import scan
from deltastore.checkpoints.patterns import matches, parse_ignore_file
from deltastore.checkpoints.safetensors_header import read_header
from deltastore.errors import AccessDeniedError, InvalidError, NotFoundError


def _weights(place: Path, *names: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.arange(3, dtype=np.float32) for name in names}, place)


def _write(place: Path, data: bytes = b"x") -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)


def _paths(found: examining.CheckpointFolder) -> list[str]:
    return [file.path for file in found.files]


def test_one_file_is_a_checkpoint(tmp_path: Path) -> None:
    _weights(tmp_path / "m.safetensors", "a")
    found = scan(tmp_path / "m.safetensors")
    (file,) = found.files
    assert (file.path, file.size) == ("m.safetensors", (tmp_path / "m.safetensors").stat().st_size)
    assert file.header is not None
    assert [entry.spec.name for entry in file.header.tensors] == ["a"]
    assert (found.skipped, found.warnings) == ((), ())


def test_a_folder_is_sorted_and_classified_by_name_and_content(tmp_path: Path) -> None:
    _weights(tmp_path / "model.safetensors", "a", "b")
    _weights(tmp_path / "sub" / "model.fp16.safetensors", "a")
    _write(tmp_path / "config.json", b"{}")
    _write(tmp_path / "empty", b"")
    _write(tmp_path / "weights.dat", (tmp_path / "model.safetensors").read_bytes())
    found = scan(tmp_path)
    assert _paths(found) == [
        "config.json",
        "empty",
        "model.safetensors",
        "sub/model.fp16.safetensors",
        "weights.dat",
    ]
    assert [file.header is not None for file in found.files] == [False, False, True, True, False]
    assert found.size == sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert found.warnings == ()


def test_housekeeping_is_left_out_and_named(tmp_path: Path) -> None:
    for name in ("keep", ".gitattributes", ".git/HEAD", ".cache/h/x.lock", "s/__pycache__/y.pyc"):
        _write(tmp_path / name)
    for name in ("s/y.lock", ".DS_Store", ".deltastore/workspace.toml", ".deltastore-0f.tmp"):
        _write(tmp_path / name)
    found = scan(tmp_path)
    assert _paths(found) == [".gitattributes", "keep"]
    assert found.skipped == (
        ".DS_Store",
        ".cache/",
        ".deltastore-0f.tmp",
        ".deltastore/",
        ".git/",
        "s/__pycache__/",
        "s/y.lock",
    )


def test_include_brings_back_and_exclude_wins(tmp_path: Path) -> None:
    for name in ("a.lock", "b.lock", ".cache/c.txt", ".cache/d.txt", "optimizer.pt", "keep"):
        _write(tmp_path / name)
    _write(tmp_path / ".deltastoreignore", b"# big\n\noptimizer.pt\n")
    assert _paths(scan(tmp_path)) == [".deltastoreignore", "keep"]
    found = scan(
        tmp_path,
        include=["*.lock", ".cache/c.txt", "optimizer.pt"],
        exclude=["b.lock", ".deltastoreignore"],
    )
    assert _paths(found) == [".cache/c.txt", "a.lock", "keep", "optimizer.pt"]
    assert found.skipped == (".cache/d.txt", ".deltastoreignore", "b.lock")


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.lock", "a/b.lock", True),
        ("*.lock", "a.lock/b", True),
        ("sub/*.bin", "sub/x.bin", True),
        ("sub/*.bin", "top/sub/x.bin", False),
        ("sub/*.bin", "sub/deep/x.bin", False),
        ("**/x.bin", "x.bin", True),
        ("a/**/x.bin", "a/b/c/x.bin", True),
        ("a/**", "a/b", True),
        ("**/**", "a/b", True),
        ("a/**/b", "a/c", False),
        ("", "a", False),
        ("/", "a", False),
        ("/x", "x", True),
        ("x/", "x", False),
        ("x/", "x/y", True),
        ("x/", "x/", True),
        ("checkpoint-[0-9]*/", "runs/checkpoint-12/a", True),
        ("X", "x", False),
        ("/".join(["**"] * 40) + "/nope", "/".join("a" * 400), False),
    ],
)
def test_patterns(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected


def test_an_ignore_file_is_checked(tmp_path: Path) -> None:
    assert parse_ignore_file("# c\n\n  a*  \nb/\n") == ("a*", "b/")
    _write(tmp_path / "keep")
    for data, reason in ((b"!a", "not supported"), (b"\xff", "UTF-8"), (b"x" * 2**21, "more than")):
        _write(tmp_path / ".deltastoreignore", data)
        with pytest.raises(InvalidError, match=reason):
            scan(tmp_path)


def test_a_hub_cache_snapshot_commits_as_it_is(tmp_path: Path) -> None:
    _weights(tmp_path / "blobs" / "0123", "a")
    _write(tmp_path / "blobs" / "4567", b"{}")
    snapshot = tmp_path / "snapshots" / "rev"
    (snapshot / "sub").mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to("../../blobs/0123")
    (snapshot / "sub" / "config.json").symlink_to("../../../blobs/4567")
    found = scan(snapshot)
    assert _paths(found) == ["model.safetensors", "sub/config.json"]
    assert found.files[0].header is not None
    assert found.warnings == ()
    (told,) = scan(tmp_path).warnings
    assert told.startswith(f"{tmp_path}: looks like a Hugging Face cache")
    assert told.endswith(f"; commit {snapshot} alone")


def test_links_to_folders_are_followed_each_time(tmp_path: Path) -> None:
    _write(tmp_path / "real" / "x")
    root = tmp_path / "root"
    root.mkdir()
    for name in ("a", "b"):
        (root / name).symlink_to(tmp_path / "real")
    assert _paths(scan(root)) == ["a/x", "b/x"]
    (tmp_path / "link").symlink_to(root)
    assert _paths(scan(tmp_path / "link")) == ["a/x", "b/x"]


@pytest.mark.parametrize("target", [".", "..", "../root/sub"])
def test_a_link_in_a_circle_is_refused_unless_left_out(tmp_path: Path, target: str) -> None:
    sub = tmp_path / "root" / "sub"
    _write(sub / "x")
    (sub / "again").symlink_to(target if target != "../root/sub" else sub)
    with pytest.raises(InvalidError, match="again: a link to a folder that it is in"):
        scan(tmp_path / "root")
    assert _paths(scan(tmp_path / "root", exclude=["again"])) == ["sub/x"]


def test_links_to_nowhere_and_to_themselves_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "keep")
    (tmp_path / "gone").symlink_to("nowhere")
    with pytest.raises(InvalidError, match="gone: a link that leads nowhere"):
        scan(tmp_path)
    (tmp_path / "gone").unlink()
    (tmp_path / "self").symlink_to("self")
    with pytest.raises(InvalidError, match="self: too many levels"):
        scan(tmp_path)
    assert scan(tmp_path, exclude=["self"]).skipped == ("self",)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidError, match="pipe: a named pipe"):
        scan(tmp_path)
    with pytest.raises(InvalidError, match="pipe: a named pipe"):
        scan(tmp_path / "pipe")
    (tmp_path / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "sock"))
        with pytest.raises(InvalidError, match="sock: a socket"):
            scan(tmp_path)
    with pytest.raises(InvalidError, match="a character device"):
        scan(Path("/dev/null"))


def test_nothing_to_commit_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="absent"):
        scan(tmp_path / "absent")
    with pytest.raises(InvalidError, match="holds no files"):
        scan(tmp_path)
    _write(tmp_path / ".git" / "HEAD")
    with pytest.raises(InvalidError, match="holds no files") as caught:
        scan(tmp_path)
    assert ".git/" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    _write(tmp_path / "secret")
    (tmp_path / "secret").chmod(0)
    with pytest.raises(AccessDeniedError, match="secret"):
        scan(tmp_path)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, "no_space"),
        (errno.EDQUOT, "no_space"),
        (errno.EFBIG, "no_space"),
        (errno.EACCES, "access_denied"),
        (errno.EROFS, "access_denied"),
        (errno.ENOENT, "not_found"),
        (errno.ELOOP, "invalid"),
        (errno.ENAMETOOLONG, "invalid"),
        (errno.EIO, "unreachable"),
        (None, "unreachable"),
    ],
)
def test_what_the_system_refuses_has_a_kind_and_names_the_file(code: Any, kind: str) -> None:
    error = as_deltastore_error(OSError(code, "x") if code else OSError("odd"), "some/file")
    assert error.kind == kind
    assert str(error).startswith("some/file: ")


def test_pickles_are_kept_as_blobs_with_a_warning(tmp_path: Path) -> None:
    zipped = b"PK\x03\x04" + bytes(26) + b"archive/data.pkl" + bytes(40)
    _write(tmp_path / "a.bin")
    _write(tmp_path / "b.pt", zipped)
    _write(tmp_path / "noname", zipped)
    _write(tmp_path / "old", b"\x80\x02\x8a\nl\xfc\x9cF")
    _write(tmp_path / "text.zip", b"PK\x03\x04" + bytes(26) + b"readme.txt")
    _write(tmp_path / "utf8", b"\x80\x20 not a pickle")
    found = scan(tmp_path)
    assert all(file.header is None for file in found.files)
    assert [text.split(":")[0] for text in found.warnings] == ["a.bin", "b.pt", "noname", "old"]
    assert all("never loaded" in text for text in found.warnings)


def test_a_large_file_pointer_is_recognized(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
    _write(tmp_path / "tokenizer.model", pointer)
    assert "Git LFS pointer" in scan(tmp_path).warnings[0]
    _write(tmp_path / "m.safetensors", pointer)
    with pytest.raises(InvalidError, match="Git LFS pointer") as caught:
        scan(tmp_path)
    assert "git lfs pull" in caught.value.hint


def test_an_invalid_safetensors_file_is_named(tmp_path: Path) -> None:
    _write(tmp_path / "sub" / "m.safetensors", b"nonsense")
    with pytest.raises(InvalidError, match=r"sub/m\.safetensors: no safetensors file"):
        scan(tmp_path)


def test_a_path_that_cannot_be_kept_is_named(tmp_path: Path) -> None:
    _write(tmp_path / "a:b")
    with pytest.raises(InvalidError, match="'a:b': has a backslash or a colon"):
        scan(tmp_path)
    (tmp_path / "a:b").rename(tmp_path / os.fsdecode(b"\xff"))
    with pytest.raises(InvalidError, match="not valid Unicode"):
        scan(tmp_path)


def test_paths_that_differ_in_case_are_a_warning(tmp_path: Path) -> None:
    _write(tmp_path / "README.md")
    _write(tmp_path / "readme.MD")
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system does not tell case")
    assert scan(tmp_path).warnings == ("paths 'README.md' and 'readme.MD' differ only in case",)


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "m.safetensors"
    _weights(place, "a")

    def meddle(*args: Any, **names: Any) -> Any:
        header = read_header(*args, **names)
        with place.open("ab") as file:
            file.write(b"more")
        return header

    monkeypatch.setattr(examining, "read_header", meddle)
    with pytest.raises(InvalidError, match="changed while it was being read"):
        scan(tmp_path)


def _sharded(root: Path, weight_map: dict[str, Any]) -> None:
    _weights(root / "model-00001-of-00002.safetensors", "a", "b")
    _weights(root / "model-00002-of-00002.safetensors", "c")
    index = {"metadata": {"total_size": 36.0}, "weight_map": weight_map}
    _write(root / "model.safetensors.index.json", json.dumps(index).encode())


_FIRST, _SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def test_a_whole_index_passes(tmp_path: Path) -> None:
    _sharded(tmp_path / "unet", {"a": _FIRST, "b": _FIRST, "c": _SECOND})
    assert scan(tmp_path).warnings == ()


@pytest.mark.parametrize(
    ("weight_map", "reason"),
    [
        ({"a": "absent.safetensors"}, "names files that are not there: sub/absent.safetensors"),
        ({"a": "../x.safetensors"}, "names files that are not there"),
        ({"a": "config.json"}, "not safetensors: sub/config.json"),
        ({"a": _SECOND}, f"tensors that are not there: 'a' in sub/{_SECOND}"),
        ({f"n{index}": _FIRST for index in range(9)}, "and 4 more"),
        ({"a": 1}, "no weight_map"),
        ([], "no weight_map"),
    ],
)
def test_an_index_that_lies_is_refused(tmp_path: Path, weight_map: Any, reason: str) -> None:
    _sharded(tmp_path / "sub", weight_map)
    _write(tmp_path / "sub" / "config.json", b"{}")
    with pytest.raises(InvalidError, match=reason) as caught:
        scan(tmp_path)
    assert "sub/model.safetensors.index.json" in str(caught.value)


def test_an_index_that_is_no_json_is_refused(tmp_path: Path) -> None:
    _write(tmp_path / "m.safetensors.index.json", b'{"weight_map": {}')
    with pytest.raises(InvalidError, match=r"m\.safetensors\.index\.json: not valid JSON"):
        scan(tmp_path)


def test_tensors_that_an_index_forgets_are_a_warning(tmp_path: Path) -> None:
    _sharded(tmp_path, {"a": _FIRST, "c": _SECOND})
    (warning,) = scan(tmp_path).warnings
    assert "does not list" in warning
    assert f"'b' in {_FIRST}" in warning
