"""Exported files, and how far an export says it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file

import deltastore
from deltastore.errors import ExistsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deltastore import Store

STATE = {f"w{number}": torch.full((50, 50), float(number)) for number in range(4)}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "config.json").write_text("{}")
    with deltastore.init(tmp_path / "store", threads=1) as opened:
        opened.commit(STATE, to="me/a", message="m", files=tmp_path / "beside")
        yield opened


@pytest.mark.parametrize("shard", [None, 25_000])
def test_progress_is_in_bytes_and_ends_at_their_sum(
    store: Store, tmp_path: Path, shard: int | None
) -> None:
    told: list[tuple[str, int, int]] = []
    done = store.export(
        "me/a",
        tmp_path / "out",
        max_shard_size=shard,
        progress=lambda stage, part, whole: told.append((stage, part, whole)),
    )
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    assert (done.files, done.bytes) == (len(files), size)
    assert {(stage, whole) for stage, _, whole in told} == {("export", size)}
    parts = [part for _, part, _ in told]
    assert parts == sorted(parts)
    assert parts[-1] == size
    weights: dict[str, torch.Tensor] = {}
    for path in (tmp_path / "out").glob("*.safetensors"):
        weights |= load_file(path)
    assert all(weights[name].equal(tensor) for name, tensor in STATE.items())


def test_converted_and_selected(store: Store, tmp_path: Path) -> None:
    store.export("me/a", tmp_path / "x.safetensors", tensors="w[12]", dtype="float16")
    found = load_file(tmp_path / "x.safetensors")
    assert {name: (tensor.dtype, tensor[0, 0].item()) for name, tensor in found.items()} == {
        "w1": (torch.float16, 1.0),
        "w2": (torch.float16, 2.0),
    }


def test_nothing_is_replaced(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.json").write_text("mine")
    with pytest.raises(ExistsError, match=r"config\.json"):
        store.export("me/a", tmp_path / "out")
    assert (tmp_path / "out" / "config.json").read_text() == "mine"
