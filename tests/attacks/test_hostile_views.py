"""Representations whose inputs multiply: refused, or walked once each, and never for hours."""

from __future__ import annotations

import pytest

from deltastore.engine.threads import Workers
from deltastore.errors import CorruptError
from deltastore.ids import Digest, bytes_digest
from deltastore.ingest.known import steps
from deltastore.materialize.closure import MAX_DEPTH, Closure
from deltastore.materialize.tensors import TensorReader
from deltastore.specs import TensorSpec
from deltastore.storage.memory import MemoryBackend
from deltastore.storage.packs import PackReader
from deltastore.storage.records import Input, Kind, PackId, Placement, Record

ROWS = 16


def digest(level: int) -> Digest:
    return bytes_digest(b"level %d" % level)


def placed(level: int, inputs: tuple[Input, ...]) -> Placement:
    record = Record(
        kind=Kind.TENSOR,
        digest=digest(level),
        dtype="BF16",
        shape=(ROWS, 2),
        codec="exact/1" if inputs else "dense/1",
        parameters=b"",
        inputs=inputs,
        raw_length=ROWS * 4,
        blocks=1,
        first_block=0,
        block_count=1,
        offset=0,
        length=64,
        directory_hash=bytes_digest(b"directory"),
    )
    return Placement(PackId(bytes_digest(b"pack")), 4096, record)


@pytest.fixture
def multiplied() -> Closure:
    """Each of eight tensors takes sixteen different rows of the next one: 16^8 ways down."""
    levels = [placed(0, ())]
    for level in range(1, MAX_DEPTH + 1):
        views = (Input(digest(level - 1), (row, row + 1, row, row + 1)) for row in range(ROWS))
        levels.append(placed(level, tuple(views)))
    return Closure(levels)


def test_steps_are_counted_once_per_tensor(multiplied: Closure) -> None:
    assert steps(multiplied, digest(MAX_DEPTH)) == MAX_DEPTH
    assert len(list(multiplied.needed([digest(MAX_DEPTH)]))) == MAX_DEPTH + 1


def test_inputs_that_a_codec_does_not_take_are_not_read(multiplied: Closure) -> None:
    packs = PackReader(MemoryBackend("memory://hostile-views"))
    reader = TensorReader(packs, multiplied, Workers(1))
    with pytest.raises(CorruptError, match="exact/1 is not for this"):
        reader.read(digest(MAX_DEPTH), TensorSpec("w", "BF16", (ROWS, 2)))
