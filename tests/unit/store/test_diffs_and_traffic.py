"""What `diff` counts, which base it takes, and what results say was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

import deltastore
from deltastore.errors import InvalidError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore import Store

WEIGHTS = {"w": torch.arange(64.0).reshape(8, 8)}


def two_files(folder: Path, values: tuple[list[float], list[float]]) -> Path:
    for part, numbers in zip(("unet", "vae"), values, strict=True):
        (folder / part).mkdir(parents=True)
        save_file({"x": torch.tensor(numbers)}, folder / part / "model.safetensors")
    return folder


def test_a_diff_reports_bytes(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    with deltastore.init(tmp_path / "store", threads=1) as store:
        store.commit(WEIGHTS, to="me/a", message="1")
        store.commit({"w": WEIGHTS["w"] + 1}, to="me/a", message="2")
        store.diff("me/a", progress=lambda stage, done, all_: told.append((stage, done, all_)))
    assert told == [("diff", 256, 256)]


def test_a_first_version_is_better_compared_with_its_base(tmp_path: Path) -> None:
    with deltastore.init(tmp_path / "store", threads=1) as store:
        base = store.commit(WEIGHTS, to="me/base", message="m").commit
        store.commit({"w": WEIGHTS["w"] + 1}, to="me/a", message="m", base="me/base")
        for name, other in (("me/a", f"with its base: diff {base[:12]} me/a"), ("me/base", "A B")):
            with pytest.raises(NotFoundError, match="no parent to compare with") as caught:
                store.diff(name)
            assert caught.value.hint.endswith(other)


def test_the_base_of_a_tensor_is_that_of_its_own_file(tmp_path: Path) -> None:
    base = two_files(tmp_path / "0", ([0.0, 0.0], [5.0, 5.0]))
    with deltastore.init(tmp_path / "store", threads=1) as store:
        store.commit(base, to="me/base", message="m")
        for number, values in enumerate((([1.0, 0.0], [6.0, 5.0]), ([0.0, 1.0], [7.0, 5.0])), 1):
            folder = two_files(tmp_path / str(number), values)
            store.commit(folder, to="me/a", message="m", base="me/base")
        found = {change.name: change.task_cosine for change in store.diff("me/a").tensors}
    assert found == {
        "x": pytest.approx(0.0),
        "vae/model.safetensors:x": pytest.approx(1.0),
    }


@pytest.mark.parametrize("operation", ["checkout", "export"])
def test_finding_the_version_counts_as_read(operation: str, tmp_path: Path) -> None:
    with deltastore.init("memory://traffic-" + tmp_path.name, threads=1) as store:
        store.commit(WEIGHTS, to="me/a", message="m")
        fresh: Store = deltastore.open(store.url, threads=1)
    before = fresh._traffic()
    done = getattr(fresh, operation)("me/a", tmp_path / "out")
    fetched, requests = fresh._traffic_since(before)
    assert (done.fetched_bytes, done.requests) == (fetched, requests)
    assert requests


def test_a_folder_without_a_slash_in_front_is_a_revision_and_the_hint_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me" / "new").mkdir(parents=True)
    with deltastore.init(tmp_path / "store", threads=1) as store:
        store.commit(WEIGHTS, to="me/old", message="m")
        with pytest.raises(NotFoundError, match="me/new: no such model") as caught:
            store.diff("me/old", "me/new")
        assert caught.value.hint == "a revision was looked for; the folder here is ./me/new"
        (tmp_path / "me" / "file").write_text("x")
        with pytest.raises(NotFoundError) as caught:
            store.diff("me/file")
        assert "the file here is ./me/file" in caught.value.hint
        with pytest.raises(NotFoundError) as caught:
            store.diff("me/odl")
        assert caught.value.hint == "did you mean me/old?"
        (tmp_path / "me" / "new" / "out").mkdir()
        with pytest.raises(InvalidError) as deeper:
            store.diff("me/old", "me/new/out")
        assert deeper.value.hint.endswith("the folder here is ./me/new/out")
