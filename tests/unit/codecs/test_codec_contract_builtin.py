"""The contract suite over every codec of the registry, and that none is left out."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from deltastore.codecs.registry import CODECS
from deltastore.testing.codec_contract import (
    BUILTIN_CONTRACTS,
    DenseContract,
    ExactContract,
    SparseContract,
    TernaryContract,
)


class TestDense(DenseContract):
    pass


class TestExact(ExactContract):
    pass


class TestSparse(SparseContract):
    pass


class TestTernary(TernaryContract):
    pass


def test_every_codec_runs_the_suite() -> None:
    assert list(BUILTIN_CONTRACTS) == list(CODECS) == sorted(CODECS)


def test_same_bytes_in_other_processes_and_under_other_hash_seeds() -> None:
    program = (
        "from deltastore.testing.codec_contract import BUILTIN_CONTRACTS as all_\n"
        "for make in all_.values(): print(make().fingerprint())"
    )
    here = [make().fingerprint() for make in BUILTIN_CONTRACTS.values()]
    for seed in ("0", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        there = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, check=True
        )
        assert there.stdout.decode().split() == here


@pytest.mark.parametrize("contract", [ExactContract, SparseContract])
def test_the_samples_are_what_they_say(contract: type[ExactContract]) -> None:
    from deltastore.specs import DTYPES
    from deltastore.testing.codec_cases import unchanged_share

    made = {case.label.split()[1]: case for case in contract().cases(DTYPES["BF16"], (4099,))}
    assert unchanged_share(made["near"]) < 0.05
    assert 0.9 < unchanged_share(made["rare"]) < 1
    assert unchanged_share(made["unrelated"]) < 0.05
