"""Whatever is committed comes back bit for bit, whatever it was kept against."""

from __future__ import annotations

import hashlib
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

import deltastore
from deltastore.checkpoints.state_dicts import serialize_header
from deltastore.specs import DTYPES, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

Content = dict[str, tuple[TensorSpec, bytes]]
Recipe = tuple[str, tuple[int, ...], int, str]
"""Of one tensor: dtype, shape, seed, and how the version differs from the base."""

WHOLE_BYTES = [name for name, dtype in DTYPES.items() if dtype.bits % 8 == 0]

RECIPES = st.lists(
    st.tuples(
        st.sampled_from(WHOLE_BYTES),
        st.lists(st.integers(0, 40), max_size=3).map(tuple),
        st.integers(0, 2**32 - 1),
        st.sampled_from(["none", "few", "near", "all", "shape"]),
    ),
    min_size=1,
    max_size=4,
)


def make(recipes: list[Recipe]) -> tuple[Content, Content]:
    """A base and a version of it: same names, most words shared, any bits."""
    base: Content = {}
    version: Content = {}
    for number, (dtype, shape, seed, change) in enumerate(recipes):
        spec = TensorSpec(f"layer.{number}", dtype, shape)
        before, after = pair(spec, seed, change)
        base[spec.name] = (spec, before)
        version[spec.name] = after
    return base, version


def pair(spec: TensorSpec, seed: int, change: str) -> tuple[bytes, tuple[TensorSpec, bytes]]:
    random = np.random.default_rng(seed)
    before = random.integers(0, 256, spec.nbytes, dtype=np.uint8)
    after = before.copy()
    if change == "few" and after.size:
        after[random.integers(0, after.size, 1 + after.size // 50)] ^= 1
    elif change == "near":
        after[:: max(1, DTYPES[spec.dtype].bits // 8)] ^= random.integers(0, 4, dtype=np.uint8)
    elif change == "all":
        after = random.integers(0, 256, spec.nbytes, dtype=np.uint8)
    elif change == "shape":
        flat = TensorSpec(spec.name, spec.dtype, (prod(spec.shape),))
        return before.tobytes(), (flat, after.tobytes())
    return before.tobytes(), (spec, after.tobytes())


def write(folder: Path, content: Mapping[str, tuple[TensorSpec, bytes]]) -> str:
    folder.mkdir()
    header = serialize_header([spec for spec, _ in content.values()])
    data = header.raw + b"".join(content[e.spec.name][1] for e in header.in_offset_order())
    (folder / "model.safetensors").write_bytes(data)
    return hashlib.sha256(data).hexdigest()


@example([("F64", (21, 23, 34), 0, "few")])  # differences whose squares overflow
@given(RECIPES)
def test_versions_come_back_bit_for_bit(recipes: list[Recipe]) -> None:
    both = make(recipes)
    with TemporaryDirectory() as name:
        root = Path(name)
        hashes = [write(root / "base", both[0]), write(root / "version", both[1])]
        with deltastore.init(root / "store") as store:
            store.commit(root / "base", to="a/base", message="base")
            try:
                store.commit(root / "version", to="a/version", message="v", base="a/base")
            except deltastore.errors.IncompatibleError:
                store.commit(root / "version", to="a/version", message="v", base="none")
            for model, expected in zip(("a/base", "a/version"), hashes, strict=True):
                out = root / "out" / model
                assert store.checkout(model, out).verified
                found = hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()
                assert found == expected
            assert store.fsck(tensors=True).ok
