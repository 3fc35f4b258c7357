"""A small share of benchmarks/memory.py; limits there are for 2 and 4 GiB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.memory import proof
from benchmarks.proofs.checkpoints import Synthetic

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = 300 << 20
"""What the program takes without any weights, and what is in flight beside tensors."""


@pytest.mark.slow
def test_memory_follows_the_largest_tensor_not_the_version(tmp_path: Path) -> None:
    family = Synthetic(shards=2, tensors=6, rows=3072, columns=4096)
    assert family.nbytes == 288 << 20
    found = proof(tmp_path, family)
    assert [one.what for one in found if one.peak] == [
        "commit base",
        "commit fine-tune",
        "commit with a parent",
        "checkout fine-tune",
    ]
    for one in found:
        assert one.peak <= PROGRAM + 3 * family.tensor_bytes, one
