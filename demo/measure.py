"""Accuracies that are computed once per weights and task."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from demo.base_model import WEIGHTS
from demo.caching import DEFAULT_CACHE, built_once, content_key, file_sha256
from demo.encoder import load_encoder
from demo.finetune import training_inputs
from demo.library import library_root
from demo.tasks import accuracy, library_task

if TYPE_CHECKING:
    from pathlib import Path

_RESULT = "accuracy.json"


def held_out_accuracy(
    model: Path, task: str, weights: Path | None = None, cache: Path = DEFAULT_CACHE
) -> float:
    """Return a model's accuracy on a task's held-out texts.

    Args:
        model: A Hugging Face folder with config, tokenizer and weights.
        task: One of `demo.tasks.TASK_NAMES`.
        weights: A safetensors file to take the weights from instead of the folder's own.
        cache: The folder that keeps results.
    """
    weights = weights or model / WEIGHTS
    key = content_key(task, file_sha256(weights), training_inputs())
    folder = built_once(cache / f"accuracy-{key}", partial(_measure, model, weights, task))
    return float(json.loads((folder / _RESULT).read_text()))


def _measure(model: Path, weights: Path, task: str, folder: Path) -> None:
    examples = library_task(task, library_root()).held_out
    found = accuracy(load_encoder(model, weights), examples)
    (folder / _RESULT).write_text(json.dumps(found))
