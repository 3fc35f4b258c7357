"""What the zoo of models is made of, without any training."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

pytest.importorskip("transformers", reason="trainings need what the demo needs")

from benchmarks.proofs import zoo_models

NAMES = (
    "embeddings.word_embeddings.weight",
    "embeddings.LayerNorm.weight",
    "encoder.layer.0.attention.self.query.weight",
    "encoder.layer.0.attention.output.dense.weight",
    "encoder.layer.0.attention.output.LayerNorm.bias",
    "encoder.layer.0.output.dense.weight",
    "encoder.layer.0.output.LayerNorm.bias",
    "encoder.layer.11.intermediate.dense.bias",
    "pooler.dense.weight",
)


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(2, 3) if "LayerNorm" not in name and "bias" not in name else (3,) for name in NAMES]
    return {
        name: torch.randn(*shape, generator=generator).bfloat16()
        for name, shape in zip(NAMES, shapes, strict=True)
    }


def test_no_name_stays_and_none_is_lost() -> None:
    before = weights()
    after = zoo_models._renamed([before])
    assert len(after) == len(before)
    assert not set(after) & set(before)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), after.values(), strict=True))


def test_linear_weights_are_transposed_and_nothing_else() -> None:
    before = weights()
    after = zoo_models._transposed([before])
    turned = {name for name in before if after[name].shape != before[name].shape}
    linear = {name for name in NAMES if name.endswith("weight") and "embeddings" not in name}
    assert turned == linear
    assert all(torch.equal(after[name].T, before[name]) for name in turned)


def test_averages_and_copies() -> None:
    first, second = weights(1), weights(2)
    mean = zoo_models._average([first, second])
    name = NAMES[0]
    expected = ((first[name].float() + second[name].float()) / 2).bfloat16()
    assert torch.equal(mean[name], expected)
    copy = zoo_models._upcast([first])
    assert copy[name].dtype == torch.float32
    assert torch.equal(copy[name].bfloat16(), first[name])


def test_no_two_trainings_of_the_zoo_are_alike() -> None:
    lessons = [zoo_models._lesson(base, n) for base in zoo_models.BASES for n in range(8)]
    assert max(Counter(lessons).values()) == 1
    assert len({lesson.task for lesson in lessons}) == 4
    assert {lesson.recipe.steps for lesson in lessons} == {8, 12, 16, 24}
    assert len({lesson.recipe.seed for lesson in lessons}) == 48
    assert len({lesson.recipe.learning_rate for lesson in lessons}) == 4
