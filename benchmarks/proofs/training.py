"""Short real trainings of the demo's encoder, cached by the content of what they depend on.

Every weight is trained, by AdamW, on one of four small tasks made from the demo's two.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path

import torch
from safetensors.torch import save
from transformers import BertConfig, BertModel

from demo.base_model import FILES, WEIGHTS
from demo.caching import built_once, content_key, file_sha256
from demo.encoder import load_encoder, save_bf16
from demo.finetune import Recipe, train, training_inputs
from demo.library import library_root
from demo.tasks import Examples, library_task

__all__ = ["FLOAT32", "TASKS", "Training", "copy_rest", "random_encoder", "trained"]

TASKS = ("kind", "package 0", "package 4", "package 8")
"""The demo's first task, and its second one a third of its labels at a time."""

FLOAT32 = "float32.safetensors"
"""The weights as they were trained, before they are rounded."""

_LABELS = 4
_TOKENS = 24
"""Texts are cut after this many tokens: steps are short."""


@dataclass(frozen=True, slots=True)
class Training:
    """What an encoder is trained on, and how.

    Attributes:
        task: one of `TASKS`.
        recipe: steps, learning rate, seed and the rest.
        every: weights are also kept after each that many steps; 0 for the last step only.
    """

    task: str
    recipe: Recipe
    every: int = 0


def trained(start: Path, training: Training, folder: Path) -> Path:
    """The folder of a trained encoder; it is trained where the cache does not have it.

    Args:
        start: Hugging Face folder of the encoder to begin with.
        training: what is done with it.
        folder: the cache.

    Returns:
        A Hugging Face folder in bfloat16 with the weights in float32 beside it; weights kept on
        the way are `step-NNNN/model.safetensors` in it.
    """
    torch.set_num_threads(1)
    parts = (asdict(training), file_sha256(start / WEIGHTS), *training_inputs(), _code())
    build = partial(_train, start, training)
    return built_once(folder / f"trained-{content_key(*parts)}", build)


def random_encoder(start: Path, folder: Path) -> Path:
    """A folder like another one, with weights drawn at random."""
    key = content_key(file_sha256(start / "config.json"), torch.__version__, _code())
    return built_once(folder / f"random-{key}", partial(_draw, start))


@cache
def _code() -> str:
    return file_sha256(Path(__file__))


def _train(start: Path, training: Training, folder: Path) -> None:
    encoder = load_encoder(start)

    def keep(done: int, _total: int) -> None:
        if training.every and done % training.every == 0:
            place = folder / f"step-{done:04}"
            place.mkdir()
            save_bf16(encoder.model, place / WEIGHTS)

    train(encoder, _examples(training.task), training.recipe, keep)
    save_bf16(encoder.model, folder / WEIGHTS)
    weights = {name: each.detach() for name, each in encoder.model.state_dict().items()}
    (folder / FLOAT32).write_bytes(save(weights, metadata={"format": "pt"}))
    copy_rest(start, folder)


def _draw(start: Path, folder: Path) -> None:
    torch.manual_seed(7)
    save_bf16(BertModel(BertConfig.from_pretrained(start)), folder / WEIGHTS)
    copy_rest(start, folder)


def copy_rest(start: Path, folder: Path) -> None:
    """Copy what a model's folder has besides weights."""
    for name in FILES:
        shutil.copyfile(start / name, folder / name)


@cache
def _examples(task: str) -> Examples:
    name, _, first = task.partition(" ")
    examples = library_task(name, library_root()).training
    labels = range(int(first or 0), int(first or 0) + _LABELS)
    kept = [at for at, right in enumerate(examples.right) if right in labels]
    return replace(
        examples,
        labels=tuple(examples.labels[at] for at in labels),
        texts=tuple(examples.texts[at] for at in kept),
        right=tuple(examples.right[at] - labels[0] for at in kept),
        tokens=_TOKENS,
    )
