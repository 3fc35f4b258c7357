"""Checking out into folders that hold some of the files already."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import deltastore
from deltastore.errors import CorruptError, ExistsError

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.results import CheckoutResult

WEIGHTS = ("a/model.safetensors", "b/model.safetensors")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> deltastore.Store:
    """A base and a fine-tune of it: two files with previews and one without."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkout")
    opened = deltastore.init(folder / "store")
    base = {path: torch.randn(256, 256).bfloat16() for path in WEIGHTS}
    moved = {path: w + 0.01 * torch.randn(256, 256).bfloat16() for path, w in base.items()}
    for name, version in (("base", base), ("tuned", moved)):
        for path, weight in version.items():
            (folder / name / path).parent.mkdir(parents=True)
            save_file({"w": weight}, folder / name / path)
        (folder / name / "config.json").write_text(f'{{"name": "{name}"}}')
    opened.commit(folder / "base", to="me/model", message="base")
    opened.commit(folder / "tuned", to="me/tuned", base="me/model", message="tuned")
    return opened


def preview(store: deltastore.Store, out: Path) -> CheckoutResult:
    return store.checkout("me/tuned", out, fidelity="preview")


def test_a_preview_that_is_there_is_kept(store: deltastore.Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = preview(store, out)
    before = {path: (out / path).stat().st_ino for path in WEIGHTS}
    second = preview(store, out)
    assert (first.kept, second.kept, second.files, second.bytes) == (0, 3, 3, first.bytes)
    assert {path: (out / path).stat().st_ino for path in WEIGHTS} == before


def test_a_preview_that_was_interrupted_goes_on(store: deltastore.Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    preview(store, out)
    whole = {path: (out / path).read_bytes() for path in WEIGHTS}
    (out / WEIGHTS[1]).unlink()
    assert preview(store, out).kept == 2
    assert {path: (out / path).read_bytes() for path in WEIGHTS} == whole


@pytest.mark.parametrize("at", [-1, 0])
def test_another_file_of_the_same_size_is_in_the_way(
    store: deltastore.Store, tmp_path: Path, at: int
) -> None:
    out = tmp_path / "out"
    preview(store, out)
    content = bytearray((out / WEIGHTS[0]).read_bytes())
    content[at] ^= 1
    (out / WEIGHTS[0]).write_bytes(content)
    with pytest.raises(ExistsError, match=WEIGHTS[0]):
        preview(store, out)
    assert (out / WEIGHTS[0]).read_bytes() == content


def test_exact_files_are_in_the_way_of_a_preview_and_the_other_way_round(
    store: deltastore.Store, tmp_path: Path
) -> None:
    exact, previewed = tmp_path / "exact", tmp_path / "preview"
    store.checkout("me/tuned", exact)
    preview(store, previewed)
    with pytest.raises(ExistsError):
        preview(store, exact)
    with pytest.raises(ExistsError):
        store.checkout("me/tuned", previewed)
    with safe_open(previewed / WEIGHTS[0], "np") as file:
        assert file.metadata() == {"deltastore.fidelity": "preview"}


def test_a_preview_replaces_files_of_its_size_when_told_to(
    store: deltastore.Store, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    preview(store, out)
    whole = (out / WEIGHTS[0]).read_bytes()
    (out / WEIGHTS[0]).write_bytes(bytes(len(whole)))
    store.checkout("me/tuned", out, fidelity="preview", overwrite=True)
    assert (out / WEIGHTS[0]).read_bytes() == whole


def test_nothing_is_rebuilt_for_files_of_another_size(
    store: deltastore.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_many(*_arguments: object) -> object:
        raise CorruptError("it was rebuilt")

    for path in WEIGHTS:
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_bytes(b"something else")
    monkeypatch.setattr("deltastore.materialize.tensors.TensorReader.read_many", read_many)
    with pytest.raises(ExistsError):
        preview(store, tmp_path)


def test_links_to_files_of_the_right_size_are_compared_too(
    store: deltastore.Store, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    preview(store, out)
    (out / WEIGHTS[0]).rename(tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", out / WEIGHTS[0])
    assert preview(store, out).kept == 3


@pytest.mark.parametrize("fidelity", ["exact", "preview"])
def test_progress_ends_at_the_whole_with_files_written_or_kept(
    store: deltastore.Store, tmp_path: Path, fidelity: deltastore.results.Fidelity
) -> None:
    for _ in range(2):
        calls: list[tuple[int, int]] = []
        found = store.checkout(
            "me/tuned",
            tmp_path / "out",
            fidelity=fidelity,
            progress=lambda _stage, done, total: calls.append((done, total)),  # noqa: B023
        )
        assert calls[-1] == (found.bytes, found.bytes)
