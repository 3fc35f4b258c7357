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


def test_numbers_of_unchanged_tensors_are_defined_or_none(tmp_path: Path) -> None:
    state = {
        "zero": torch.zeros(4),
        "nan": torch.tensor([math.nan, 1.0]),
        "inf": torch.tensor([math.inf, 1.0]),
        "flags": torch.tensor([True, False]),
        "none": torch.empty(0),
        "plain": torch.tensor([0.1, 0.2, 0.7]),
    }
    found = {change.name: change for change in diff(tmp_path, state, state).tensors}
    assert {change.status for change in found.values()} == {"unchanged"}
    numbers = {
        name: (c.norm, c.relative_norm, c.cosine, c.task_cosine, c.changed_fraction)
        for name, c in found.items()
    }
    assert numbers == {
        "zero": (0.0, None, None, None, 0.0),
        "nan": (None, None, None, None, 0.0),
        "inf": (None, None, None, None, 0.0),
        "flags": (None, None, None, None, 0.0),
        "none": (0.0, None, None, None, None),
        "plain": (0.0, 0.0, 1.0, None, 0.0),
    }


def test_task_cosines_of_unchanged_tensors(tmp_path: Path) -> None:
    state = {"moved": torch.tensor([1.0, 2.0]), "kept": torch.tensor([3.0, 4.0])}
    base = {"moved": torch.tensor([1.0, 1.0]), "kept": state["kept"]}
    found = {change.name: change for change in diff(tmp_path, state, state, base).tensors}
    assert found["moved"].task_cosine == 1.0
    assert found["kept"].task_cosine is None


def test_only_tensors_that_changed_count_in_the_whole(tmp_path: Path) -> None:
    a = {"same": torch.full((6,), 9.0), "w": torch.ones(2)}
    found = diff(tmp_path, a, a | {"w": torch.full((2,), 3.0)})
    assert found.relative_norm == pytest.approx(2.0)
    assert found.changed_fraction == pytest.approx(2 / 8)


def test_progress_is_in_bytes(tmp_path: Path) -> None:
    a = {"same": torch.zeros(4), "changed": torch.zeros(2), "gone": torch.zeros(9)}
    b = {"same": torch.zeros(4), "changed": torch.ones(2)}
    told: list[tuple[int, int]] = []
    compare(
        side(tmp_path / "a", a),
        side(tmp_path / "b", b),
        report=lambda done, whole: told.append((done, whole)),
    )
    assert told == [(8, 24), (8, 24), (24, 24)]
