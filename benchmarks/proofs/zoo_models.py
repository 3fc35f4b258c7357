"""A zoo of real models: six bases, fine-tunes of each, averages and float32 versions of some.

Four of the bases descend from the first, the demo's encoder: by more training, by eight more rows
of vocabulary, under other names, with linear weights transposed. The last one shares nothing with
it but the architecture.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import torch
from safetensors.torch import load_file, save

from benchmarks.proofs.training import FLOAT32, TASKS, Training, copy_rest, random_encoder, trained
from demo.base_model import WEIGHTS, base_model
from demo.caching import built_once, content_key, file_sha256
from demo.finetune import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = ["BASES", "Specimen", "build_zoo", "training_series"]

BASES = ("real", "continued", "extended", "renamed", "transposed", "foreign")

_SHARE = 10
"""On that many fine-tunes there is one merge and one version in float32, rounded up."""

_ROWS = 8
_VOCABULARY = "embeddings.word_embeddings.weight"
_STEPS = (8, 12, 16, 24)
_RATES = (2e-5, 5e-5, 1e-4, 3e-4)
_DECAYS = (1.0, 0.8)

Weights: TypeAlias = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Specimen:
    """One version of the zoo.

    Attributes:
        name: its own.
        base: name of the base it was made from; its own for a base.
        weights: safetensors file.
    """

    name: str
    base: str
    weights: Path


def build_zoo(folder: Path, count: int = 8) -> tuple[list[Specimen], list[Specimen]]:
    """The bases, and everything made from them in a random order.

    Args:
        folder: the cache; what it lacks is trained.
        count: fine-tunes of each base.
    """
    homes = _homes(folder)
    bases = [Specimen(name, name, _formed(homes[name] / WEIGHTS, name, folder)) for name in BASES]
    tunes = [each for name in BASES for each in _tunes(homes[name], name, count, folder)]
    extra = -(-len(tunes) // _SHARE)
    draw = random.Random(1)
    rest = [*tunes, *_merges(tunes, extra, draw, folder), *_precise(homes, extra, count, folder)]
    draw.shuffle(rest)
    return bases, rest


def training_series(folder: Path, count: int, every: int) -> tuple[Path, list[Path]]:
    """The encoder's weights and checkpoints of one fine-tune of it, in order.

    Args:
        folder: the cache.
        count: checkpoints.
        every: steps between them.
    """
    real = base_model(folder)
    recipe = Recipe(
        seed=50,
        steps=count * every,
        batch=8,
        learning_rate=1e-4,
        layer_decay=0.9,
        warm_up=10,
        epsilon=1e-8,
    )
    done = trained(real, Training("package 0", recipe, every), folder)
    return real / WEIGHTS, sorted(done.glob(f"step-*/{WEIGHTS}"))


def _homes(folder: Path) -> dict[str, Path]:
    """The folder that training begins with, for each base."""
    real = base_model(folder)
    longer = Training("package 0", _recipe(100, steps=60, rate=1e-4))
    little = Training("kind", _recipe(101, steps=8, rate=5e-5))
    foreign = Training("kind", _recipe(102, steps=60, rate=5e-4))
    return {
        "real": real,
        "continued": trained(real, longer, folder),
        "extended": trained(_extended(real, folder), little, folder),
        "renamed": real,
        "transposed": real,
        "foreign": trained(random_encoder(real, folder), foreign, folder),
    }


def _tunes(home: Path, base: str, count: int, folder: Path) -> Iterator[Specimen]:
    for number in range(count):
        tuned = trained(home, _lesson(base, number), folder)
        yield Specimen(f"{base}-{number}", base, _formed(tuned / WEIGHTS, base, folder))


def _lesson(base: str, number: int) -> Training:
    """The training of one fine-tune: no two of all are alike."""
    turn = BASES.index(base)
    recipe = _recipe(
        1000 * turn + number,
        steps=_STEPS[(number + turn) % len(_STEPS)],
        rate=_RATES[(number + number // 4 + turn) % len(_RATES)],
        decay=_DECAYS[number % len(_DECAYS)],
    )
    return Training(TASKS[(number + turn // 2) % len(TASKS)], recipe)


def _recipe(seed: int, *, steps: int, rate: float, decay: float = 1.0) -> Recipe:
    return Recipe(
        seed=seed,
        steps=steps,
        batch=8,
        learning_rate=rate,
        layer_decay=decay,
        warm_up=3,
        epsilon=1e-8,
    )


def _merges(
    tunes: Sequence[Specimen], count: int, draw: random.Random, folder: Path
) -> Iterator[Specimen]:
    """Averages of two or three fine-tunes of one base, in turn."""
    for number in range(count):
        base = BASES[number % len(BASES)]
        same = [each for each in tunes if each.base == base]
        chosen = draw.sample(same, min(len(same), 2 + number % 2))
        weights = _derived("merged", [each.weights for each in chosen], _average, folder)
        yield Specimen(f"{base}-merge-{number}", base, weights)


def _precise(homes: dict[str, Path], count: int, tunes: int, folder: Path) -> Iterator[Specimen]:
    """Versions in float32: a copy of a fine-tune, what it was rounded from, one never rounded."""
    for number in range(count):
        base = BASES[(2 * number + number // 3) % len(BASES)]
        lesson = _lesson(base, tunes + number if number % 3 == 2 else number % tunes)
        tuned = trained(homes[base], lesson, folder)
        weights = tuned / FLOAT32
        if number % 3 == 0:
            weights = _derived("upcast", [tuned / WEIGHTS], _upcast, folder)
        yield Specimen(f"{base}-float32-{number}", base, _formed(weights, base, folder))


# weights made from others


def _formed(weights: Path, base: str, folder: Path) -> Path:
    """Weights as the versions of a base have them."""
    forms: dict[str, Callable[[list[Weights]], Weights]] = {
        "renamed": _renamed,
        "transposed": _transposed,
    }
    return _derived(base, [weights], forms[base], folder) if base in forms else weights


def _derived(
    name: str, sources: Sequence[Path], make: Callable[[list[Weights]], Weights], folder: Path
) -> Path:
    """A file made from others, from the cache where it is there."""

    def build(target: Path) -> None:
        made = make([load_file(source) for source in sources])
        (target / WEIGHTS).write_bytes(save(made, metadata={"format": "pt"}))

    key = content_key(name, [file_sha256(source) for source in sources])
    return built_once(folder / f"{name}-{key}", build) / WEIGHTS


def _renamed(sources: list[Weights]) -> Weights:
    return {_other_name(name): tensor for name, tensor in sources[0].items()}


def _other_name(name: str) -> str:
    """What another library might call it."""
    other = name.replace("encoder.layer.", "blocks.").replace("embeddings.", "table.")
    other = other.replace("attention.self.", "mixer.").replace("attention.output.", "join.")
    other = other.replace("LayerNorm", "norm").replace("pooler.", "head.")
    other = other.replace("intermediate.dense.", "widen.").replace("output.dense.", "narrow.")
    return f"net.{other}".replace(".weight", ".w").replace(".bias", ".b")


def _transposed(sources: list[Weights]) -> Weights:
    return {
        name: tensor.T.contiguous() if tensor.ndim == 2 and "embeddings" not in name else tensor
        for name, tensor in sources[0].items()
    }


def _average(sources: list[Weights]) -> Weights:
    first = sources[0]
    return {
        name: torch.stack([each[name].float() for each in sources]).mean(0).to(tensor.dtype)
        for name, tensor in first.items()
    }


def _upcast(sources: list[Weights]) -> Weights:
    return {name: tensor.float() for name, tensor in sources[0].items()}


def _extended(real: Path, folder: Path) -> Path:
    """The encoder with some more rows of vocabulary, drawn like the others."""
    key = content_key(_ROWS, file_sha256(real / WEIGHTS))
    return built_once(folder / f"extended-{key}", partial(_extend, real))


def _extend(real: Path, target: Path) -> None:
    weights = load_file(real / WEIGHTS)
    old = weights[_VOCABULARY].float()
    noise = torch.randn(_ROWS, old.shape[1], generator=torch.Generator().manual_seed(3))
    rows = old.mean(0) + noise * old.std(0)
    weights[_VOCABULARY] = torch.cat([old, rows]).to(torch.bfloat16)
    (target / WEIGHTS).write_bytes(save(weights, metadata={"format": "pt"}))
    copy_rest(real, target)
    config = json.loads((real / "config.json").read_text())
    config["vocab_size"] += _ROWS
    (target / "config.json").write_text(json.dumps(config))
