"""The numbers of `diff`, with PyTorch in double precision as the oracle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from deltastore.checkpoints.folder import scan
from deltastore.checkpoints.source import FolderSource
from deltastore.materialize.compare import compare
from deltastore.materialize.sides import SourceSide

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.history.diff import NamedTensor
    from deltastore.materialize.tensors import Bytes
    from deltastore.results import Diff

State = dict[str, torch.Tensor]


def side(folder: Path, state: State, note: str = "") -> SourceSide:
    folder.mkdir()
    save_file(state, folder / "model.safetensors")
    if note:
        (folder / "note.txt").write_text(note)
    return SourceSide(FolderSource(scan(folder)))


def diff(tmp_path: Path, a: State, b: State, base: State | None = None) -> Diff:
    first, second = side(tmp_path / "a", a), side(tmp_path / "b", b)

    def read(tensor: NamedTensor) -> Bytes | None:
        if base is None:
            return None
        found: Bytes = base[tensor.spec.name].reshape(-1).view(torch.uint8).numpy()
        return found

    return compare(first, second, read)


@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.float8_e4m3fn]
)
def test_norms_and_cosines(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    base = torch.randn(300, 40).to(dtype)
    a = (base.float() + 0.2 * torch.randn(300, 40)).to(dtype)
    b = (base.float() + 0.2 * torch.randn(300, 40)).to(dtype)
    (change,) = diff(tmp_path, {"w": a}, {"w": b}, {"w": base}).tensors
    x, y, o = (t.double().reshape(-1) for t in (a, b, base))
    assert change.status == "changed"
    assert change.norm == pytest.approx((y - x).norm().item())
    assert change.relative_norm == pytest.approx(((y - x).norm() / x.norm()).item())
    assert change.cosine == pytest.approx((x @ y / (x.norm() * y.norm())).item())
    task = (x - o) @ (y - o) / ((x - o).norm() * (y - o).norm())
    assert change.task_cosine == pytest.approx(task.item(), abs=1e-9)
    bits = a.view(torch.uint8).reshape(300 * 40, -1) != b.view(torch.uint8).reshape(300 * 40, -1)
    assert change.changed_fraction == pytest.approx(bits.any(dim=1).double().mean().item())


def test_statuses_and_files(tmp_path: Path) -> None:
    one = torch.ones(4)
    a: State = {name: one.clone() for name in ("same", "gone", "shape", "type")}
    b: State = {name: one.clone() for name in ("same", "new")}
    b |= {"shape": torch.ones(5), "type": one.half()}
    found = compare(side(tmp_path / "a", a), side(tmp_path / "b", b, note="x"))
    statuses = {change.name: change.status for change in found.tensors}
    assert statuses == {
        "same": "unchanged",
        "gone": "removed",
        "new": "added",
        "shape": "reshaped",
        "type": "retyped",
    }
    assert {file.path: file.status for file in found.files} == {
        "model.safetensors": "changed",
        "note.txt": "added",
    }
    assert not found.same


def test_undefined_numbers_are_none(tmp_path: Path) -> None:
    zero, one = torch.zeros(4), torch.ones(4)
    nan = torch.tensor([math.nan, 1, 2, 3])
    found = diff(tmp_path, {"from0": zero, "nan": one}, {"from0": one, "nan": nan})
    by_name = {change.name: change for change in found.tensors}
    assert by_name["from0"].relative_norm is None
    assert by_name["from0"].norm == pytest.approx(2.0)
    assert by_name["nan"].norm is None
    assert by_name["nan"].changed_fraction == pytest.approx(0.5 + 0.25)


def test_the_most_changed_come_first(tmp_path: Path) -> None:
    a = {name: torch.ones(8) for name in ("small", "large", "none")}
    b = {"small": a["small"] * 1.01, "large": a["large"] * 3, "none": a["none"]}
    names = [change.name for change in diff(tmp_path, a, b).tensors]
    assert names == ["large", "small", "none"]
