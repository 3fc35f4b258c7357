"""Checkpoints and stores that a page's sessions find in their folder."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

import deltastore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    Weights = dict[str, npt.NDArray[np.float32]]

__all__ = [
    "base_weights",
    "chat_store",
    "fine_tuned",
    "finetunes",
    "nightly_job",
    "safetensors_bytes",
    "small_models",
    "small_store",
    "training_run",
    "trials",
    "write_checkpoint",
]

LAYERS, WIDTH, WORDS = 4, 192, 800
NIGHTLY = """\
deltastore commit out --to team/nightly --base meta/llama -m "$SHA" \\
  --meta run=$RUN --metric mmlu=$MMLU --json > commit.json || exit $?
"""
TRIALS = {"lr-1e-5": 0.52, "lr-3e-5": 0.61, "lr-1e-4": 0.58, "lr-3e-4": 0.41, "lr-1e-3": 0.23}
"""Five short runs, by the learning rate, and what each scored."""


@contextmanager
def small_models(folder: Path) -> Iterator[Mapping[str, str]]:
    """`llama/` and two fine-tunes of it, `ft-math/` and `ft-code/`, of 3.7 MB each, in bfloat16."""
    base = base_weights()
    write_checkpoint(folder / "llama", base, "A small model.\n")
    for seed, name in enumerate(("math", "code"), start=1):
        text = f"The small model, trained on {name}.\n"
        write_checkpoint(folder / f"ft-{name}", fine_tuned(base, seed), text)
    yield {}


@contextmanager
def small_store(folder: Path) -> Iterator[Mapping[str, str]]:
    """The small models, committed to `models.ds` as the tutorial does."""
    with small_models(folder), deltastore.init(str(folder / "models.ds")) as store:
        store.commit(folder / "llama", to="meta/llama", message="as released")
        for name, message in (("math", "sft, 3 epochs"), ("code", "sft on code")):
            store.commit(folder / f"ft-{name}", to=f"me/{name}", base="meta/llama", message=message)
    yield {}


@contextmanager
def chat_store(folder: Path) -> Iterator[Mapping[str, str]]:
    """`models.ds` with a base and `team/chat`, and beside it `chat-v2/`, trained on from there."""
    base = base_weights()
    write_checkpoint(folder / "llama", base, "A small model.\n")
    first = fine_tuned(base, 1)
    write_checkpoint(folder / "chat", first, "Trained to chat.\n")
    write_checkpoint(folder / "chat-v2", fine_tuned(first, 2, 1e-4), "Trained to chat, longer.\n")
    with deltastore.init(str(folder / "models.ds"), author="Ada <ada@example.org>") as store:
        store.commit(folder / "llama", to="meta/llama", message="as released")
        store.commit(folder / "chat", to="team/chat", base="meta/llama", message="first")
    yield {}


@contextmanager
def nightly_job(folder: Path) -> Iterator[Mapping[str, str]]:
    """The small store, a trained model in `out/`, and the script of a nightly job."""
    with small_store(folder):
        (folder / "ft-math").rename(folder / "out")
        (folder / "nightly.sh").write_text(NIGHTLY)
        yield {}


@contextmanager
def training_run(folder: Path) -> Iterator[Mapping[str, str]]:
    """The base in a store, and three saves of one training run beside it, each a step further."""
    weights = base_weights()
    write_checkpoint(folder / "llama", weights, "A small model.\n")
    with deltastore.init(str(folder / "models.ds")) as store:
        store.commit(folder / "llama", to="meta/llama", message="as released")
    (folder / "out").mkdir()
    for number, size in enumerate((8e-4, 2e-4, 1e-4), start=1):
        weights = fine_tuned(weights, number, size)
        text = f"Saved after {500 * number} steps.\n"
        write_checkpoint(folder / "out" / f"checkpoint-{500 * number}", weights, text)
    yield {}


@contextmanager
def finetunes(folder: Path) -> Iterator[Mapping[str, str]]:
    """`llama/`, and `finetunes/`: four of it, a copy of one, a broken one, one of another model."""
    base, place = base_weights(layers=1), folder / "finetunes"
    write_checkpoint(folder / "llama", base, "A small model.\n")
    for seed, name in enumerate(("ft-0411", "ft-0412", "ft-0413", "old/ft-0007")):
        write_checkpoint(place / name, fine_tuned(base, seed), f"This is {name}.\n")
    write_checkpoint(place / "old" / "ft-0412-copy", fine_tuned(base, 1), "A copy.\n")
    write_checkpoint(place / "ft-0414", fine_tuned(base, 9), "Cut short.\n")
    os.truncate(place / "ft-0414" / "model.safetensors", 300_000)
    foreign = {
        f"encoder.{name}": weights[:, :64] for name, weights in base.items() if weights.ndim > 1
    }
    write_checkpoint(place / "bert-tiny", foreign, "Another kind of model.\n")
    yield {}


@contextmanager
def trials(folder: Path) -> Iterator[Mapping[str, str]]:
    """A store with a base, five trial runs that say how they scored, and a model in use."""
    base = base_weights(layers=1)
    write_checkpoint(folder / "llama", base, "A small model.\n")
    with deltastore.init(str(folder / "models.ds"), author="Ada <ada@example.org>") as store:
        store.commit(folder / "llama", to="meta/llama", message="as released")
        for seed, (name, score) in enumerate(TRIALS.items()):
            write_checkpoint(folder / name, fine_tuned(base, seed), f"Trained with {name}.\n")
            store.commit(
                folder / name,
                to=f"trial/{name}",
                base="meta/llama",
                message=f"short run, {name}",
                metrics={"mmlu": score},
            )
        store.commit(
            folder / "lr-3e-5",
            to="team/chat",
            base="meta/llama",
            message="the best of the short runs",
            metrics={"mmlu": TRIALS["lr-3e-5"]},
        )
    yield {}


def base_weights(layers: int = LAYERS) -> Weights:
    """Normally distributed weights under the names of a small Llama."""
    random = np.random.default_rng(0)
    shapes = {"model.embed_tokens.weight": (WORDS, WIDTH), "model.norm.weight": (WIDTH,)}
    for layer in range(layers):
        name = f"model.layers.{layer}."
        shapes[f"{name}input_layernorm.weight"] = (WIDTH,)
        shapes |= {f"{name}self_attn.{part}_proj.weight": (WIDTH, WIDTH) for part in "qkvo"}
        shapes[f"{name}mlp.up_proj.weight"] = (4 * WIDTH, WIDTH)
        shapes[f"{name}mlp.down_proj.weight"] = (WIDTH, 4 * WIDTH)
    return {
        name: (random.standard_normal(shape) / 20).astype(np.float32)
        for name, shape in shapes.items()
    }


def fine_tuned(base: Weights, seed: int, size: float = 2e-4) -> Weights:
    """Small changes to every matrix of the layers, as training makes; the rest stays as it is."""
    random = np.random.default_rng(seed)
    return {
        name: (weights + random.laplace(0, size, weights.shape)).astype(np.float32)
        if "proj" in name
        else weights
        for name, weights in base.items()
    }


def write_checkpoint(folder: Path, weights: Weights, readme: str) -> None:
    """A Hugging Face folder: weights in bfloat16, configuration, model card."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(safetensors_bytes(weights))
    config = {"model_type": "llama", "hidden_size": WIDTH, "num_hidden_layers": LAYERS}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "README.md").write_text(readme)


def safetensors_bytes(weights: Weights) -> bytes:
    """The file that `save_file` of safetensors writes, which needs torch for bfloat16."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, array in weights.items():
        raw = bfloat16_bytes(array)
        header[name] = {
            "dtype": "BF16",
            "shape": array.shape,
            "data_offsets": (len(data), len(data) + len(raw)),
        }
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def bfloat16_bytes(array: npt.NDArray[np.float32]) -> bytes:
    """Little-endian bfloat16, rounded to the nearest, ties to even; the input is finite."""
    bits = np.ascontiguousarray(array).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded >> np.uint32(16)).astype("<u2").tobytes()
