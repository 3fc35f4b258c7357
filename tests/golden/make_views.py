"""Make the golden store of views: run once, then never again.

    python -m tests.golden.make_views tests/golden/v1-views

Tensors kept against rows of another one, against a transposed one, against one of another dtype,
and the sketches by which all their bases were found. See `make_store`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

import deltastore
from tests.cli.weights import Tensor, bf16, sha256_of_files, write_model

if TYPE_CHECKING:
    from collections.abc import Mapping

Model = dict[str, Tensor]


def base() -> Model:
    random = np.random.default_rng(5)
    return {
        "embed": bf16(random.standard_normal((150, 128)) / 16),
        "up": bf16(random.standard_normal((128, 144)) / 16),
        "square": bf16(random.standard_normal((132, 132)) / 16),
        "special": Tensor("BF16", (4,), bytes.fromhex("c17f 81ff 0080 807f")),
    }


def words(tensor: Tensor) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    found: np.ndarray[tuple[int], np.dtype[np.uint16]] = np.frombuffer(tensor.data, "<u2")
    return found


def nudged(model: Mapping[str, Tensor], seed: int) -> Model:
    """Every word a little off."""
    random = np.random.default_rng(seed)
    return {
        name: Tensor(
            "BF16",
            each.shape,
            (words(each) + random.integers(-1, 2, words(each).size)).astype("<u2").tobytes(),
        )
        for name, each in model.items()
    }


def longer(model: Mapping[str, Tensor]) -> Model:
    extra = np.random.default_rng(6).standard_normal((8, 128)) / 16
    embed = Tensor("BF16", (158, 128), model["embed"].data + bf16(extra).data)
    return dict(model) | {"embed": embed}


def turned(model: Mapping[str, Tensor]) -> Model:
    def turn(each: Tensor) -> Tensor:
        matrix = words(each).reshape(each.shape).T
        return Tensor("BF16", matrix.shape, np.ascontiguousarray(matrix).tobytes())

    return dict(model) | {name: turn(model[name]) for name in ("up", "square")}


def single(model: Mapping[str, Tensor]) -> Model:
    return {
        name: Tensor("F32", each.shape, (words(each).astype("<u4") << 16).tobytes())
        for name, each in model.items()
    }


def half(model: Mapping[str, Tensor]) -> Model:
    found = {}
    for name, each in model.items():
        values = (words(each).astype("<u4") << 16).view("<f4")
        with np.errstate(over="ignore"):
            found[name] = Tensor("F16", each.shape, values.astype("<f2").tobytes())
    return found


def renamed(model: Mapping[str, Tensor]) -> Model:
    return {f"model.{name}.weight": each for name, each in model.items()}


def everything(model: Mapping[str, Tensor]) -> Model:
    return single(renamed(turned(longer(model))))


VERSIONS = {
    "longer": longer,
    "turned": turned,
    "single": single,
    "half": half,
    "renamed": renamed,
    "everything": everything,
}


def main(target: Path) -> None:
    target.mkdir(parents=True)
    expected = {}
    with TemporaryDirectory() as temporary:
        work = Path(temporary)
        with deltastore.init(target / "store.ds", author="Golden", cache=work / "cache") as store:
            store.commit(write_model(work / "base", base()), to="meta/base", message="base")
            for seed, (name, change) in enumerate(VERSIONS.items()):
                folder = write_model(work / name, change(nudged(base(), seed)))
                done = store.commit(folder, to=f"me/{name}", message=name, base="meta/base")
                expected[name] = {"commit": done.commit, "files": sha256_of_files(folder)}
                out = work / f"preview-{name}"
                store.checkout(f"me/{name}", out, fidelity="preview")
                expected[name]["preview"] = sha256_of_files(out)
    objects = sha256_of_files(target / "store.ds")
    text = json.dumps({"objects": objects, "versions": expected}, indent=1, sort_keys=True)
    (target / "expected.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
