"""The proof in benchmarks/zoo.py on models that fit a test, and that it can fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from benchmarks import zoo
from deltastore.ingest.basing import Based

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

State = dict[str, torch.Tensor]


def model(seed: int) -> State:
    generator = torch.Generator().manual_seed(seed)

    def matrix(*shape: int) -> torch.Tensor:
        return (torch.randn(*shape, generator=generator) * 0.05).bfloat16()

    layers = {f"{n}.{name}": matrix(96, 96) for n in range(2) for name in "qkv"}
    return {"embed": matrix(200, 96), **layers, "up": matrix(96, 192), "norm": torch.ones(96)}


def tuned(state: State, seed: int, scale: float = 3e-4) -> State:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (each.float() + torch.randn(each.shape, generator=generator) * scale).to(each.dtype)
        for name, each in state.items()
    }


def transposed(state: State) -> State:
    return {name: each.T.contiguous() if "." in name else each for name, each in state.items()}


def renamed(state: State) -> State:
    return {f"net/{name}": each for name, each in state.items()}


def average(states: list[State]) -> State:
    return {
        name: torch.stack([state[name].float() for state in states]).mean(0).to(each.dtype)
        for name, each in states[0].items()
    }


def a_zoo(folder: Path) -> list[tuple[str, Path]]:
    first, other = model(1), model(2)
    tunes = [tuned(first, seed, scale) for seed, scale in ((3, 1e-4), (4, 3e-4), (5, 6e-4))]
    versions = {
        "first": first,
        "other": other,
        "turned": transposed(first),
        "named": renamed(first),
        **{f"tune-{at}": each for at, each in enumerate(tunes)},
        "other-tune": tuned(other, 6),
        "turned-tune": transposed(tuned(first, 7)),
        "named-tune": renamed(tuned(first, 8)),
        "more": tuned(tunes[2], 9, 1e-4),
        "merge": average(tunes[:2]),
        "single": {name: each.float() for name, each in tunes[1].items()},
        "alone": model(10),
    }
    places = []
    for name, state in versions.items():
        place = folder / "weights" / name / "model.safetensors"
        place.parent.mkdir(parents=True)
        save_file(state, place)
        places.append((name, place))
    return places


def test_the_best_of_all_references_is_chosen(tmp_path: Path) -> None:
    verdict = zoo.Verdict(list(zoo.judged(tmp_path / "store", tmp_path, a_zoo(tmp_path))))
    assert verdict.right == 1.0, zoo.table(verdict.judged)
    by_name = {each.name: each for each in verdict.judged}
    assert len(by_name) == 13
    assert by_name["alone"].chosen is None
    assert by_name["more"].chosen == "tune-2"
    assert by_name["single"].chosen == "tune-1"
    assert by_name["single"].nbytes < by_name["single"].found.whole / 10
    assert all(each.times.looking < each.times.whole for each in verdict.judged)
    assert 0 < verdict.time_share < verdict.time_share_following
    # the tensors that were encoded on trial are those that were stored
    one = by_name["tune-2"]
    assert one.nbytes < one.commit.stored_bytes < one.nbytes + 60_000
    text = zoo.summary(verdict)
    assert "13 of 13 right (100.0%, at least 99%)" in text
    assert "WRONG" not in text


def test_no_base_is_judged_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "choose_base", lambda *_: Based())
    versions = [each for each in a_zoo(tmp_path) if each[0] in ("first", "other", "tune-1")]
    verdict = zoo.Verdict(list(zoo.judged(tmp_path / "store", tmp_path, versions)))
    assert [(each.name, each.right) for each in verdict.judged] == [
        ("other", True),
        ("tune-1", False),
    ]
    assert not verdict.passed
    assert "WRONG: tune-1: none (nothing was near); better: first" in zoo.summary(verdict)
