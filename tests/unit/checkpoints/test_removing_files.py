"""Files are removed where they are, and folders with nothing left in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deltastore.checkpoints.removing import remove_files
from deltastore.errors import InvalidError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path


def test_empty_folders_go_others_stay(tmp_path: Path) -> None:
    for path in ("a/b/c/one", "a/two", "x/one", "x/mine"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    remove_files(tmp_path, ["a/b/c/one", "x/one"])
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == ["a", "a/two", "x", "x/mine"]
    remove_files(tmp_path, ["a/two", "x/mine"])
    assert tmp_path.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_link_goes_and_its_target_stays(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "target")
    remove_files(tmp_path, ["folder/link"])
    assert (tmp_path / "target").read_text() == "kept"
    assert not (tmp_path / "folder").exists()


def test_nothing_is_removed_through_a_linked_folder(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "file").write_text("kept")
    (inside / "link").symlink_to(outside)
    with pytest.raises(InvalidError, match="is a link"):
        remove_files(inside, ["link/file"])
    assert (outside / "file").read_text() == "kept"


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        remove_files(tmp_path, ["absent"])
