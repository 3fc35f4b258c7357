"""What of a tree is a checkpoint, and how the tree is listed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from deltastore.checkpoints.finding import FoundCheckpoint, find_checkpoints
from deltastore.checkpoints.trees import LocalTree
from deltastore.errors import InvalidError, NotFoundError
from deltastore.places.place import Listed, Listing

if TYPE_CHECKING:
    from pathlib import Path


def listing(*paths: str) -> Listing:
    return Listing(tuple(Listed(path, f"k/{path}", 1, "v:1", 1.0) for path in sorted(paths)), False)


def found(*paths: str) -> dict[str, list[str]]:
    checkpoints = find_checkpoints(listing(*paths))
    return {one.path: [file.path for file in one.files] for one in checkpoints}


def test_folders_with_weights_are_checkpoints_with_all_that_is_in_them() -> None:
    assert found(
        "a/model.safetensors", "a/config.json", "a/sub/x.txt", "deep/er/b/w.safetensors", "notes"
    ) == {
        "a": ["config.json", "model.safetensors", "sub/x.txt"],
        "deep/er/b": ["w.safetensors"],
    }


def test_the_tree_itself_may_be_one() -> None:
    assert list(found("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")) == [
        ""
    ]
    assert list(found("model.safetensors.index.json", "README.md")) == [""]


def test_nothing_inside_a_checkpoint_is_another() -> None:
    inside = found("a/config.json", "a/model.safetensors", "a/checkpoint-5/model.safetensors")
    assert list(inside) == ["a"]


@pytest.mark.parametrize("mark", ["model_index.json", "modules.json"])
def test_a_pipeline_has_its_weights_in_subfolders(mark: str) -> None:
    assert list(found(f"p/{mark}", "p/unet/w.safetensors", "p/vae/w.safetensors")) == ["p"]
    assert found(f"p/{mark}", "p/unet/w.bin") == {}


def test_files_of_different_models_are_checkpoints_each() -> None:
    assert found("loras/a.safetensors", "loras/b.safetensors", "loras/readme.txt") == {
        "loras/a.safetensors": ["a.safetensors"],
        "loras/b.safetensors": ["b.safetensors"],
    }


def test_a_stray_file_does_not_swallow_the_folders_beside_it() -> None:
    assert list(found("x.safetensors", "a/model.safetensors", "b/model.safetensors")) == [
        "a",
        "b",
        "x.safetensors",
    ]


def test_a_folder_ends_where_names_that_begin_alike_go_on() -> None:
    assert found("a/w.safetensors", "a-b/w.safetensors", "a.b/w.safetensors", "a0/w.safetensors")[
        "a"
    ] == ["w.safetensors"]


def test_stores_are_passed_over() -> None:
    packs = ("models.ds/FORMAT", "models.ds/log/0", "models.ds/packs/ab/ab.safetensors")
    assert list(found(*packs, "a/w.safetensors")) == ["a"]
    assert list(found(*packs[::2])) == ["models.ds/packs/ab"]


def test_versions_tell_every_kind_of_change() -> None:
    def version(path: str = "x", size: int = 1, tag: str = "v", *more: Listed) -> str:
        return FoundCheckpoint("", (Listed(path, "k", size, tag), *more)).version()

    other = Listed("y", "k", 1, "v")
    values = {
        version(),
        version("z"),
        version("x", 2),
        version("x", 1, "w"),
        version("x", 1, "v", other),
    }
    assert len(values) == 5
    assert version() == version()


def written(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"1")


def test_a_local_tree_follows_links_and_leaves_circles(tmp_path: Path) -> None:
    written(tmp_path / "blobs", "w")
    written(tmp_path / "tree", "a/config.json")
    (tmp_path / "tree/a/w.safetensors").symlink_to(tmp_path / "blobs/w")
    (tmp_path / "tree/a/up").symlink_to(tmp_path / "tree")
    (tmp_path / "tree/b").symlink_to(tmp_path / "tree/a")
    tree = LocalTree(tmp_path / "tree")
    assert [one.path for one in find_checkpoints(tree.list())] == ["a", "b"]


def test_what_cannot_be_read_fails_its_own_checkpoint_only(tmp_path: Path) -> None:
    written(tmp_path, "good/x.lock", "dangling/config.json", "pipe/config.json")
    for name in ("good", "dangling", "pipe"):
        (tmp_path / name / "w.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    (tmp_path / "dangling/gone").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe/fifo")
    tree = LocalTree(tmp_path)
    dangling, good, pipe = find_checkpoints(tree.list())
    assert tree.scan(good, include=(), exclude=()).skipped == ("x.lock",)
    for one, told in ((dangling, "leads nowhere"), (pipe, "a named pipe")):
        with pytest.raises(InvalidError, match=told):
            tree.scan(one, include=(), exclude=())
        tree.scan(one, include=(), exclude=("gone", "fifo"))


def test_one_local_file_is_a_tree(tmp_path: Path) -> None:
    written(tmp_path, "w.safetensors")
    (one,) = find_checkpoints(LocalTree(tmp_path / "w.safetensors").list())
    assert (one.single, one.url("/t/w.safetensors"), one.size) == (True, "/t/w.safetensors", 1)
    with pytest.raises(NotFoundError):
        LocalTree(tmp_path / "nowhere").list()


def test_an_ignore_file_of_a_checkpoint_holds_for_it(tmp_path: Path) -> None:
    written(tmp_path, "a/notes.txt", "b/notes.txt")
    for name in "ab":
        (tmp_path / name / "w.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    (tmp_path / "a/.deltastoreignore").write_text("notes.txt\n")
    tree = LocalTree(tmp_path)
    first, second = find_checkpoints(tree.list())
    assert tree.scan(first, include=(), exclude=()).skipped == ("notes.txt",)
    assert tree.scan(second, include=(), exclude=()).skipped == ()
