"""What a page's sessions find in their folder: small checkpoints, or a bucket."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import numpy as np

import deltastore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    import numpy.typing as npt

    Weights = dict[str, npt.NDArray[np.float32]]

__all__ = ["FIXTURES"]

LAYERS, WIDTH, WORDS = 4, 192, 800


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
def bucket(folder: Path) -> Iterator[Mapping[str, str]]:
    """An S3 service with the empty bucket `team-models`, in a process of its own."""
    log = folder.parent / "moto.log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [sys.executable, "-c", "from moto.server import main; main(['-p', '0'])"],
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        address = wait_for_address(log)
        if request(address, "PUT", "/team-models") != HTTPStatus.OK:
            msg = f"{address}: no bucket could be made"
            raise RuntimeError(msg)
        yield {
            "AWS_ENDPOINT_URL": f"http://{address}",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.terminate()
        server.wait()


def wait_for_address(log: Path) -> str:
    """Host and port that the server's log names, once it answers.

    Raises:
        TimeoutError: it did not within a minute.
    """
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = re.search(r"http://(127\.0\.0\.1:\d+)", log.read_text())
        if found and request(found[1], "GET", "/moto-api/") == HTTPStatus.OK:
            return found[1]
        time.sleep(0.1)
    msg = f"no S3 service within a minute: {log.read_text()}"
    raise TimeoutError(msg)


def request(address: str, method: str, path: str) -> int | None:
    """The status of an HTTP request, or None when nobody listens."""
    connection = HTTPConnection(address, timeout=30)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    except ConnectionError:
        return None
    finally:
        connection.close()


def base_weights() -> Weights:
    """Normally distributed weights under the names of a small Llama."""
    random = np.random.default_rng(0)
    shapes = {"model.embed_tokens.weight": (WORDS, WIDTH), "model.norm.weight": (WIDTH,)}
    for layer in range(LAYERS):
        name = f"model.layers.{layer}."
        shapes[f"{name}input_layernorm.weight"] = (WIDTH,)
        shapes |= {f"{name}self_attn.{part}_proj.weight": (WIDTH, WIDTH) for part in "qkvo"}
        shapes[f"{name}mlp.up_proj.weight"] = (4 * WIDTH, WIDTH)
        shapes[f"{name}mlp.down_proj.weight"] = (WIDTH, 4 * WIDTH)
    return {
        name: (random.standard_normal(shape) / 20).astype(np.float32)
        for name, shape in shapes.items()
    }


def fine_tuned(base: Weights, seed: int) -> Weights:
    """Small changes to every matrix of the layers, as training makes; the rest stays as it is."""
    random = np.random.default_rng(seed)
    return {
        name: (weights + random.laplace(0, 2e-4, weights.shape)).astype(np.float32)
        if "proj" in name
        else weights
        for name, weights in base.items()
    }


def write_checkpoint(folder: Path, weights: Weights, readme: str) -> None:
    """A Hugging Face folder: weights in bfloat16, configuration, model card."""
    folder.mkdir()
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


FIXTURES: Mapping[str, Callable[[Path], AbstractContextManager[Mapping[str, str]]]] = {
    "small-models": small_models,
    "small-store": small_store,
    "bucket": bucket,
}
"""Each makes what its name says in a folder, and yields environment variables."""
