"""How much the demo's numbers depend on the seed: `python -m demo.survey --seeds 0 1 2`."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save

import deltastore
from demo.base_model import WEIGHTS, base_model
from demo.caching import DEFAULT_CACHE
from demo.finetune import TIMES, Recipe, fine_tune
from demo.measure import held_out_accuracy
from demo.peers import EMBEDDING_MARK, xor_planes_bytes
from demo.preview import preview_error, preview_tensor, relative_change
from demo.tasks import TASK_NAMES

if TYPE_CHECKING:
    import numpy as np


def main() -> None:
    """Print one line per task and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    options = parser.parse_args()
    base = base_model(options.cache)
    for task in TASK_NAMES:
        for seed in options.seeds:
            tuned = fine_tune(base, task, Recipe(seed=seed), options.cache)
            times = json.loads((tuned / TIMES).read_text())
            print(
                f"{task} seed {seed}: {times['wall_s']:.0f} s, {times['cpu_s']:.0f} CPU s", end="; "
            )
            print(learnt(base, tuned, task, options.cache), end="; ")
            print(stored(base, tuned), flush=True)


def learnt(base: Path, tuned: Path, task: str, cache: Path) -> str:
    """Say how far the weights moved and what that does to the accuracy."""
    before, after = _bits(base / WEIGHTS), _bits(tuned / WEIGHTS)
    shown = {name: preview_tensor(before[name], after[name]) for name in before}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / WEIGHTS
        tensors = {
            name: torch.from_numpy(bits).view(torch.bfloat16) for name, bits in shown.items()
        }
        path.write_bytes(save(tensors))
        preview = held_out_accuracy(base, task, path, cache)
    first, last = (held_out_accuracy(base, task, p / WEIGHTS, cache) for p in (base, tuned))
    return (
        f"change {relative_change(before, after):.4f},"
        f" accuracy {first:.3f} {preview:.3f} {last:.3f}"
        f" (preview keeps {(preview - first) / (last - first):.2f} of the gain),"
        f" preview error {preview_error(before, after, shown):.3f}"
    )


def stored(base: Path, tuned: Path) -> str:
    """Say what the store and its peer take, for all tensors and without embeddings."""
    parts = []
    for embeddings in (True, False):
        ours = _store_bytes(base, tuned, embeddings=embeddings)
        theirs = xor_planes_bytes(base / WEIGHTS, tuned / WEIGHTS, embeddings=embeddings)
        which = "all tensors" if embeddings else "without embeddings"
        parts.append(f"{which}: {ours} bytes, XOR {theirs}, ratio {theirs / ours:.3f}")
    return ", ".join(parts)


def _bits(path: Path) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.uint16]]]:
    return {name: tensor.view(torch.uint16).numpy() for name, tensor in load_file(path).items()}


def _store_bytes(base: Path, tuned: Path, *, embeddings: bool) -> int:
    """Return what one more commit adds to a store that has the base, in bytes."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for which, folder in (("base", base), ("tuned", tuned)):
            tensors = load_file(folder / WEIGHTS)
            kept = {n: t for n, t in tensors.items() if embeddings or EMBEDDING_MARK not in n}
            (work / which).mkdir()
            (work / which / WEIGHTS).write_bytes(save(kept))
        store = deltastore.init(str(work / "store"))
        store.commit(work / "base", to="demo/base", message="base")
        commit = store.commit(work / "tuned", to="demo/tuned", base="demo/base", message="tuned")
        return commit.stored_bytes


if __name__ == "__main__":
    main()
