"""What an opened version answers about its tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

import deltastore
from deltastore.ids import CommitId

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.materialize.versions import Version, VersionTensor


def pipeline(tmp_path: Path) -> Version:
    """A version of two files that both have `conv_in.weight`, and each a tensor of its own."""
    folder = tmp_path / "pipeline"
    for number, part in enumerate(("unet", "vae")):
        (folder / part).mkdir(parents=True)
        weights = {"conv_in.weight": torch.full((4, 4), float(number)), part: torch.ones(2)}
        save_file(weights, folder / part / "model.safetensors")
    store = deltastore.init(tmp_path / "store")
    commit = store.commit(folder, to="me/pipeline", message="both parts").commit
    return store._session().version(CommitId(commit))


def digest_in(version: Version, path: str, name: str) -> str:
    tensors = version.weights_file(path).tensors
    return next(tensor.digest for tensor in tensors if tensor.entry.spec.name == name)


def digest(tensor: VersionTensor | None) -> str | None:
    return None if tensor is None else tensor.digest


def test_the_counterpart_of_a_tensor_is_the_one_in_the_file_of_the_same_path(
    tmp_path: Path,
) -> None:
    version = pipeline(tmp_path)
    unet, vae = "unet/model.safetensors", "vae/model.safetensors"
    name = "conv_in.weight"
    assert digest_in(version, unet, name) != digest_in(version, vae, name)
    assert digest(version.counterpart(unet, name)) == digest_in(version, unet, name)
    assert digest(version.counterpart(vae, name)) == digest_in(version, vae, name)


def test_without_one_there_it_is_the_first_of_that_name_anywhere(tmp_path: Path) -> None:
    version = pipeline(tmp_path)
    unet, vae = "unet/model.safetensors", "vae/model.safetensors"
    assert digest(version.counterpart(unet, "vae")) == digest_in(version, vae, "vae")
    first = digest_in(version, unet, "conv_in.weight")
    assert digest(version.counterpart("model.safetensors", "conv_in.weight")) == first
    assert version.counterpart(unet, "conv_out.weight") is None
