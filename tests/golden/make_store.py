"""Make the golden store: run once for each version of the format, then never again.

    python -m tests.golden.make_store tests/golden/v1

What it wrote is committed beside this script and stays readable for ever; making it again gives
other bytes (packs have random names) and proves nothing. `expected.json` says what has to come out.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

import deltastore
from tests.cli.weights import Tensor, bf16, safetensors_file, sha256_of_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deltastore import Store

MOVES = 62
"""Moves of a branch, so that the log has a checkpoint and entries after it."""


def base_weights() -> dict[str, Tensor]:
    """One tensor for each way to be stored: dtypes, shapes, special values."""
    random = np.random.default_rng(11)
    words = random.integers(0, 2**16, 24, np.uint16).tobytes()
    return {
        "embed": bf16(random.standard_normal((40, 32)) / 16),
        "layers.0": bf16(random.standard_normal((128, 136)) / 16),
        "layers.1": bf16(random.standard_normal((136, 128)) / 16),
        "tied": bf16(np.ones((16, 8))),
        "tied.again": bf16(np.ones((16, 8))),
        "special.f32": Tensor(
            "F32", (5,), bytes.fromhex("0100807f 0100c0ff 00000080 01000000 0000807f")
        ),
        "special.bf16": Tensor("BF16", (4,), bytes.fromhex("c17f 81ff 0080 0100")),
        "half": Tensor("F16", (4, 6), words),
        "double": Tensor("F64", (6,), words),
        "eight": Tensor("F8_E4M3", (6, 8), words),
        "counts": Tensor("I64", (2, 3), words),
        "mask": Tensor("BOOL", (3, 16), bytes(value % 2 for value in words)),
        "waves": Tensor("C64", (6,), words),
        "four": Tensor("F4", (2, 48), words),
        "empty": Tensor("F16", (0, 4), b""),
        "scalar": Tensor("F32", (), bytes.fromhex("0000c07f")),
    }


def fine_tuned(base: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Layers changed a little everywhere, the embedding in three elements, some others at all."""
    random = np.random.default_rng(seed)
    changed = dict(base)
    for name in ("layers.0", "layers.1", "half", "special.bf16"):
        words = np.frombuffer(base[name].data, "<u2")
        words = (words + random.integers(-2, 3, words.size)).astype("<u2")
        changed[name] = Tensor(base[name].dtype, base[name].shape, words.tobytes())
    words = np.frombuffer(base["embed"].data, "<u2").copy()
    words[[seed, 500, 900]] ^= 0x4001
    changed["embed"] = Tensor("BF16", base["embed"].shape, words.tobytes())
    changed["counts"] = Tensor("I64", (2, 3), np.arange(6, dtype="<i8").tobytes())
    return changed


def write_base(folder: Path) -> None:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(
        safetensors_file(base_weights(), {"format": "pt", "ü": "é"}, padding=13)
    )
    (folder / "config.json").write_text('{"model_type": "golden"}\n')
    (folder / "empty.txt").write_bytes(b"")
    (folder / "docs").mkdir()
    (folder / "docs" / "blob.bin").write_bytes(np.random.default_rng(1).bytes(3000))


def write_fine_tune(folder: Path, seed: int) -> None:
    folder.mkdir()
    weights = fine_tuned(base_weights(), seed)
    (folder / "model.safetensors").write_bytes(safetensors_file(weights, {"format": "pt"}))
    (folder / "config.json").write_text('{"model_type": "golden"}\n')


def write_sharded(folder: Path, seed: int) -> None:
    """Two shards with an index; one tensor more than the base has, one less."""
    folder.mkdir()
    weights = fine_tuned(base_weights(), seed)
    del weights["double"]
    weights["head"] = bf16(np.random.default_rng(seed).standard_normal((8, 8)))
    names = list(weights)
    weight_map: dict[str, str] = {}
    for number, part in enumerate((names[:4], names[4:]), start=1):
        shard = f"model-{number:05d}-of-00002.safetensors"
        content = safetensors_file({name: weights[name] for name in part})
        (folder / shard).write_bytes(content)
        weight_map |= dict.fromkeys(part, shard)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))


def fill(store: Store, work: Path) -> None:
    """Three models, four versions, tags, a branch that moved often and one that is gone."""
    write_base(work / "base")
    write_fine_tune(work / "math", 1)
    write_fine_tune(work / "math2", 2)
    write_sharded(work / "code", 3)
    store.commit(work / "base", to="meta/base", message="as released")
    store.commit(
        work / "math",
        to="me/math",
        base="meta/base",
        message="sft, 3 epochs\n\nzwei Zeilen, äöü",
        metadata={"run": "7", "ü": "é"},
        metrics={"accuracy": "0.612", "loss": "1e-3"},
    )
    store.tag("me/math@v1", "me/math", message="first")
    store.commit(work / "math2", to="me/math", message="three epochs more")
    store.commit(work / "code", to="me/code", base="meta/base", message="on code", preview=None)
    store.branch("me/math@gone", "me/math")
    store.branch("me/math@gone", delete=True)
    store.branch("me/math@prod", "me/math")
    for move in range(MOVES):
        store.branch("me/math@prod", "me/math~1" if move % 2 else "me/math", force=True)
    store.tag("me/math@release/2", "me/math")


def outcome(store: Store, work: Path, files: Path) -> dict[str, Any]:
    """What has to come out of the store: files of every version, refs, records."""
    revisions = ("meta/base", "me/math", "me/math~1", "me/code")
    versions = {}
    for number, revision in enumerate(revisions):
        shown = store.show(revision)
        out = work / f"out-{number}"
        store.checkout(revision, out / "exact")
        found = {"message": shown.message, "files": sha256_of_files(out / "exact")}
        if shown.preview_error is not None:
            store.checkout(revision, out / "preview", fidelity="preview")
            found["preview"] = sha256_of_files(out / "preview")
        versions[shown.commit] = found
    refs = {f"{ref.model}@{ref.name}": ref.commit for ref in (*store.branches(), *store.tags())}
    return {
        "versions": versions,
        "refs": refs,
        "log": [commit.commit for commit in store.log("me/math").commits],
        "objects": sha256_of_files(files),
    }


def main(target: Path) -> None:
    """Write `store.ds` and `expected.json` into a new folder."""
    target.mkdir(parents=True)
    place = target / "store.ds"
    with TemporaryDirectory() as temporary:
        work = Path(temporary)
        with deltastore.init(place, author="Golden <golden@example.org>", cache=work) as store:
            fill(store, work)
            expected = outcome(store, work, place)
        for name in ("base", "math", "math2", "code"):
            sums = sha256_of_files(work / name)
            assert sums in [version["files"] for version in expected["versions"].values()]
    (target / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")
    whole = hashlib.sha256("".join(expected["objects"].values()).encode()).hexdigest()
    print(f"{len(expected['objects'])} objects, {whole[:12]}")  # noqa: T201 - a program for people


if __name__ == "__main__":
    main(Path(sys.argv[1]))
