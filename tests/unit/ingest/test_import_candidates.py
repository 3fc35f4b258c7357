"""Names, order and clashes of what an import finds; what is remembered of earlier imports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deltastore.checkpoints.trees import LocalTree
from deltastore.errors import DeltastoreError, InvalidError, NotFoundError, UsageError
from deltastore.ingest.candidates import find_candidates, parse_target
from deltastore.ingest.remembering import Failure, Remembered
from deltastore.places.place import Listed, Listing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def candidates(
    root: Path,
    paths: Sequence[str],
    to: str = "t/{name}",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> dict[str, str]:
    """Model by path below the root, in order; a path may end in @ and a time."""
    files = []
    for text in paths:
        path, _, time = text.partition("@")
        files.append(Listed(path, path, 1, f"mtime:{time}", float(time or 0)))
    listing = Listing(tuple(sorted(files, key=lambda file: file.path)), single=False)
    found = find_candidates([(LocalTree(root), listing)], parse_target(to), include, exclude)
    return {one.source.removeprefix(f"{root}").lstrip("/"): one.model for one in found}


def test_names_are_the_last_parts_and_paths_the_whole(tmp_path: Path) -> None:
    paths = ["a/ft-1/w.safetensors", "b/ft 2+x/w.safetensors", "c/l.safetensors", "c/m.safetensors"]
    assert candidates(tmp_path, paths) == {
        "a/ft-1": "t/ft-1",
        "b/ft 2+x": "t/ft-2-x",
        "c/l.safetensors": "t/l",
        "c/m.safetensors": "t/m",
    }
    assert candidates(tmp_path, paths, "t/x-{path}@dev") == {
        "a/ft-1": "t/x-a-ft-1",
        "b/ft 2+x": "t/x-b-ft-2-x",
        "c/l.safetensors": "t/x-c-l",
        "c/m.safetensors": "t/x-c-m",
    }


def test_the_root_is_named_by_its_own_name(tmp_path: Path) -> None:
    root = tmp_path / "llama"
    for to in ("t/{name}", "t/{path}"):
        assert candidates(root, ["w.safetensors"], to) == {"": "t/llama"}
    assert candidates(root, ["w.safetensors"], "t/other") == {"": "t/other"}


def test_snapshots_of_the_hub_cache_are_named_by_their_model(tmp_path: Path) -> None:
    path = "models--meta--llama-3/snapshots/8f2c01ab/model.safetensors"
    assert list(candidates(tmp_path, [path]).values()) == ["t/llama-3"]
    alone = tmp_path / "models--gpt2/snapshots/607a30d783dfa663caf39e06633721c8d4cfcd7e"
    assert list(candidates(alone, ["model.safetensors"]).values()) == ["t/gpt2"]


def test_older_ones_come_first_and_adapters_last(tmp_path: Path) -> None:
    paths = ["new/w.safetensors@9", "old/w.safetensors@1", "also/w.safetensors@5"]
    adapter = ["lora/adapter_config.json@0", "lora/w.safetensors@0"]
    assert list(candidates(tmp_path, [*paths, *adapter])) == ["old", "also", "new", "lora"]


def test_one_name_for_two_is_refused(tmp_path: Path) -> None:
    paths = ["a/x/w.safetensors", "b/x/w.safetensors", "c/y/w.safetensors"]
    with pytest.raises(UsageError, match=rf"t/x: {tmp_path}/a/x, {tmp_path}/b/x") as caught:
        candidates(tmp_path, paths)
    assert "{path}" in caught.value.hint
    assert len(candidates(tmp_path, paths, "t/{path}")) == 3
    assert len(candidates(tmp_path, paths, exclude=["b/"])) == 2


def test_globs_hold_from_the_tree_and_from_each_checkpoint(tmp_path: Path) -> None:
    paths = ["a/w.safetensors", "b/w.safetensors", ".cache/c/w.safetensors"]
    assert list(candidates(tmp_path, paths)) == ["a", "b"]
    assert list(candidates(tmp_path, paths, exclude=["b/*"])) == ["a"]
    assert list(candidates(tmp_path, paths, include=[".cache"])) == [".cache/c", "a", "b"]


def test_the_version_is_of_what_would_be_committed(tmp_path: Path) -> None:
    def version(other: str, *exclude: str) -> str:
        files = (Listed("n.txt", "n", 1, other), Listed("w.safetensors", "w", 1, "v"))
        target, listing = parse_target("t/x"), Listing(files, single=False)
        (one,) = find_candidates([(LocalTree(tmp_path), listing)], target, (), exclude)
        return one.version

    assert version("v:1") != version("v:2")
    assert version("v:1", "*.txt") == version("v:2", "*.txt") != version("v:1")


def test_nothing_found_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no checkpoint in"):
        candidates(tmp_path, ["a/readme.md"])


@pytest.mark.parametrize(
    ("to", "error"),
    [
        ("t/{nam}", UsageError),
        ("t/{}", UsageError),
        ("t/{name}@{name}", UsageError),
        ("{name}", InvalidError),
        ("t/{name", InvalidError),
        ("t/x@a b", InvalidError),
    ],
)
def test_targets_that_are_none(to: str, error: type[DeltastoreError]) -> None:
    with pytest.raises(error):
        parse_target(to)


def test_a_checkpoint_without_a_usable_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="no model can be called that"):
        candidates(tmp_path, ["___/w.safetensors"])


FAILED = Failure("invalid", "broken", "mend it")


def test_outcomes_are_remembered_across_processes(tmp_path: Path) -> None:
    file = tmp_path / "made" / "x.jsonl"
    first = Remembered(file)
    first.add_failure("s", "1", "auto", FAILED)
    first.add_stored("s", "2", "ref", "c" * 64)
    for memory in (first, Remembered(file)):
        assert memory.failure("s", "1", "auto") == FAILED
        assert memory.stored("s", "2", "ref") == "c" * 64
        for other in (("t", "1", "auto"), ("s", "2", "auto"), ("s", "1", "none")):
            assert memory.failure(*other) is None
        assert memory.stored("s", "1", "ref") is None


@pytest.mark.parametrize("damage", [b'{"source": "s", "ver', b"\xff\xfe\0", b"[]\n1\nnull\n{}\n"])
def test_damage_loses_only_what_it_hit(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "x.jsonl"
    Remembered(file).add_failure("s", "1", "auto", FAILED)
    file.write_bytes(file.read_bytes() + damage)
    assert Remembered(file).failure("s", "1", "auto") == FAILED


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = Remembered(tmp_path / "file" / "x.jsonl")
    memory.add_failure("s", "1", "auto", FAILED)
    assert memory.failure("s", "1", "auto") == FAILED
