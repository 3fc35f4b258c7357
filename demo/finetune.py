"""Real fine-tunes of the base model: contrastive training of text embeddings towards labels.

Every weight is trained, from the bfloat16 base upcast to float32, by AdamW with warm-up, linear
decay, clipped gradients and a learning rate that falls from layer to layer towards the embeddings.
Its epsilon is large, which makes the steps follow the gradients' sizes: previews keep more of such
a fine-tune than of one with the usual 1e-8, of which they keep 40 to 50 % of the gain on these
tasks.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from demo.base_model import FILES, WEIGHTS
from demo.caching import DEFAULT_CACHE, built_once, content_key, file_sha256
from demo.encoder import load_encoder, save_bf16
from demo.library import library_fingerprint, library_root
from demo.tasks import LABEL_TOKENS, library_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from transformers import BertModel

    from demo.encoder import Encoder
    from demo.tasks import Examples

    Progress = Callable[[int, int], None]

TIMES = "training.json"
_THREADS = 2
_SOURCES = ("encoder.py", "finetune.py", "library.py", "tasks.py")


@dataclass(frozen=True)
class Recipe:
    """How a fine-tune is trained.

    Attributes:
        seed: Of the order of the examples.
        steps: Optimizer steps.
        batch: Texts per step.
        learning_rate: The highest, of the last layer.
        layer_decay: Factor on the learning rate for each layer further from the output.
        warm_up: Steps in which the learning rate rises.
        weight_decay: Of AdamW.
        epsilon: Of AdamW.
        clip: Longest gradient.
        sharpness: Factor on the cosines before the softmax.
        pooler_share: Weight of the pooler's loss.
    """

    seed: int = 0
    steps: int = 300
    batch: int = 16
    learning_rate: float = 5e-4
    layer_decay: float = 0.6
    warm_up: int = 30
    weight_decay: float = 0.01
    epsilon: float = 1e-3
    clip: float = 1.0
    sharpness: float = 20.0
    pooler_share: float = 0.1


def fine_tune(
    base: Path,
    task: str,
    recipe: Recipe | None = None,
    cache: Path = DEFAULT_CACHE,
    progress: Progress | None = None,
) -> Path:
    """Return the Hugging Face folder of a fine-tune, training it where it is not in the cache.

    Args:
        base: The base model's folder.
        task: One of `demo.tasks.TASK_NAMES`.
        recipe: How to train; the default recipe if left out.
        cache: The folder that keeps fine-tunes.
        progress: Called with the steps done and their total.

    Raises:
        SystemExit: If the disk is full.
    """
    recipe = recipe or Recipe()
    key = content_key(task, asdict(recipe), file_sha256(base / WEIGHTS), training_inputs())
    build = partial(_build, base, task, recipe, progress or _silent)
    return built_once(cache / f"{task}-{key}", build)


def training_inputs() -> list[str]:
    """Return what besides recipe and base decides on a fine-tune: versions, code, texts."""
    here = Path(__file__).parent
    code = [file_sha256(here / name) for name in _SOURCES]
    return [torch.__version__, library_fingerprint(library_root()), *code]


def _silent(_done: int, _total: int) -> None:
    pass


def _build(base: Path, task: str, recipe: Recipe, progress: Progress, folder: Path) -> None:
    encoder = load_encoder(base)
    examples = library_task(task, library_root()).training
    torch.set_num_threads(_THREADS)
    start, cpu_start = time.perf_counter(), time.process_time()
    train(encoder, examples, recipe, progress)
    times = {
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu_start,
    }
    save_bf16(encoder.model, folder / WEIGHTS)
    for name in FILES:
        shutil.copyfile(base / name, folder / name)
    (folder / TIMES).write_text(json.dumps({"recipe": asdict(recipe), **times}) + "\n")


def train(encoder: Encoder, examples: Examples, recipe: Recipe, progress: Progress) -> None:
    """Train an encoder in place.

    Args:
        encoder: In float32.
        examples: Training texts and labels.
        recipe: How.
        progress: Called with the steps done and their total.
    """
    torch.manual_seed(recipe.seed)
    optimizer = _optimizer(encoder.model, recipe)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(_rate, recipe))
    batches = _batches(len(examples.texts), recipe)
    for step in range(recipe.steps):
        optimizer.zero_grad()
        torch.autograd.backward(_loss(encoder, examples, next(batches), recipe))
        clip_grad_norm_(encoder.model.parameters(), recipe.clip)
        optimizer.step()
        schedule.step()
        progress(step + 1, recipe.steps)


def _loss(encoder: Encoder, examples: Examples, picked: list[int], recipe: Recipe) -> torch.Tensor:
    """Return the cross entropy of the right label among all labels; a scalar.

    Mostly of the mean embedding, which the accuracy is of, and a little of the pooler's, so that
    every weight of the model is trained.
    """
    right = torch.tensor([examples.right[i] for i in picked])
    texts = encoder.embed_twice([examples.texts[i] for i in picked], examples.tokens)
    labels = encoder.embed_twice(examples.labels, LABEL_TOKENS)
    mean, pooled = (
        cross_entropy(recipe.sharpness * text @ label.T, right)
        for text, label in zip(texts, labels, strict=True)
    )
    return mean + recipe.pooler_share * pooled


def _batches(count: int, recipe: Recipe) -> Iterator[list[int]]:
    """Yield indices of examples for ever, every example once per round."""
    generator = torch.Generator().manual_seed(recipe.seed)
    while True:
        order = torch.randperm(count, generator=generator).tolist()
        for start in range(0, count - recipe.batch + 1, recipe.batch):
            yield order[start : start + recipe.batch]


def _rate(recipe: Recipe, step: int) -> float:
    """Return the factor on the learning rate at a step: up to 1, then down to 0."""
    return min((step + 1) / recipe.warm_up, 1.0) * (1 - step / recipe.steps)


def _optimizer(model: BertModel, recipe: Recipe) -> torch.optim.AdamW:
    layers = model.config.num_hidden_layers
    groups = [
        {"params": [p], "lr": recipe.learning_rate * recipe.layer_decay ** _height(name, layers)}
        for name, p in model.named_parameters()
    ]
    return torch.optim.AdamW(
        groups, weight_decay=recipe.weight_decay, eps=recipe.epsilon, fused=True
    )


def _height(name: str, layers: int) -> int:
    """Return how many layers lie between a parameter and the output; embeddings: all of them."""
    match = re.search(r"\.layer\.(\d+)\.", name)
    return layers - 1 - int(match[1]) if match else layers
