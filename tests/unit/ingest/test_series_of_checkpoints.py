"""The proof in benchmarks/series.py on a small made-up training, and that it can fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from benchmarks import series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

State = dict[str, torch.Tensor]


def noise(seed: int, scale: float) -> torch.Tensor:
    return torch.randn(320, 256, generator=torch.Generator().manual_seed(seed)) * scale


def written(folder: Path, states: list[State]) -> list[Path]:
    places = []
    for number, state in enumerate(states):
        place = folder / f"step-{number}" / "model.safetensors"
        place.parent.mkdir()
        save_file({name: each.bfloat16() for name, each in state.items()}, place)
        places.append(place)
    return places


def run(folder: Path, change: Callable[[State, State, int], State]) -> series.Compared:
    base = {name: noise(seed, 0.05) for seed, name in enumerate("abc")}
    states = [base]
    for number in range(1, 8):
        states.append(change(base, states[-1], number))
    first, *rest = written(folder, states)
    return series.compared(folder, first, rest)


def test_a_branch_takes_less_than_its_checkpoints_alone(tmp_path: Path) -> None:
    def trained(_base: State, last: State, number: int) -> State:
        return {
            name: e + noise(100 * number + ord(name), 6e-4 / number**1.5)
            for name, e in last.items()
        }

    found = run(tmp_path, trained)
    assert found.passed, series.table(found)
    assert found.mean < 0.75
    assert max(found.line.deepest) == 4
    assert max(found.apart.deepest) == 1
    assert set(found.apart.parents) == {0.0}
    assert max(found.line.parents) == 1.0
    # the fifth is as far from a keyframe as is allowed, so the base stands in for the parent
    assert 0.0 in found.line.parents[4:]
    assert "the last one came back" in series.summary(found)


def test_what_does_not_follow_its_parent_is_not_small_enough(tmp_path: Path) -> None:
    def unrelated(base: State, _last: State, number: int) -> State:
        return {name: e + noise(100 * number + ord(name), 4e-4) for name, e in base.items()}

    found = run(tmp_path, unrelated)
    assert found.mean > 0.95
    assert not found.passed
    assert found.intact
    assert set(found.line.parents) == {0.0}
