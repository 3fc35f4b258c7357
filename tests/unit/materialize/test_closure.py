from __future__ import annotations

import pytest

from deltastore.errors import CorruptError, MissingObjectError, UnsupportedError
from deltastore.ids import Digest, bytes_digest
from deltastore.materialize.closure import Closure
from deltastore.storage.records import Input, Kind, PackId, Placement, Record


def digest(name: str) -> Digest:
    return bytes_digest(name.encode())


def placed(
    name: str,
    *inputs: str,
    codec: str = "exact/1",
    blocks: int = 1,
    first: int = 0,
    count: int = 1,
    rows: tuple[int, int, int, int] | None = None,
) -> Placement:
    record = Record(
        kind=Kind.TENSOR,
        digest=digest(name),
        dtype="BF16",
        shape=(4,),
        codec=codec if inputs else "dense/1",
        parameters=b"",
        inputs=tuple(Input(digest(source), rows) for source in inputs),
        raw_length=8,
        blocks=blocks,
        first_block=first,
        block_count=count,
        offset=0,
        length=10,
        directory_hash=digest("directory"),
    )
    return Placement(PackId(digest("pack")), 4096, record)


def test_inputs_come_before_what_needs_them_and_each_once() -> None:
    closure = Closure([placed("w", "q", "b"), placed("q", "b"), placed("b")])
    order = [kept.representation.digest for kept in closure.needed([digest("w"), digest("b")])]
    assert order == [digest("b"), digest("q"), digest("w")]
    assert [closure[digest(name)].depth for name in "bqw"] == [0, 1, 2]


def test_a_circle_is_damage_not_a_hang() -> None:
    closure = Closure([placed("x", "y"), placed("y", "x")])
    with pytest.raises(CorruptError, match="circle"):
        closure[digest("x")]


def test_deltas_may_be_eight_steps_deep_and_no_more() -> None:
    chain = [placed("0"), *(placed(str(n), str(n - 1)) for n in range(1, 10))]
    closure = Closure(chain)
    assert closure[digest("8")].depth == 8
    with pytest.raises(CorruptError):
        closure[digest("9")]
    with pytest.raises(CorruptError):
        Closure(chain)[digest("9")]


def test_a_missing_input_or_block_is_named() -> None:
    with pytest.raises(MissingObjectError, match=digest("b")):
        Closure([placed("w", "b")])[digest("w")]
    gap = [placed("b", blocks=3, first=0), placed("b", blocks=3, first=2)]
    with pytest.raises(MissingObjectError, match="blocks"):
        Closure(gap)[digest("b")]


def test_sections_of_several_packs_make_one_representation() -> None:
    parts = [placed("b", blocks=3, first=2), placed("b", blocks=3, first=0, count=2)]
    kept = Closure(parts)[digest("b")]
    assert len(kept.placements) == 2
    assert kept.stored_bytes == 20


def test_the_first_complete_representation_is_taken() -> None:
    closure = Closure([placed("w", "b", blocks=2), placed("w"), placed("b")])
    assert closure[digest("w")].representation.inputs == ()


def test_views_of_rows_are_refused_by_name() -> None:
    closure = Closure([placed("w", "b", rows=(0, 2, 0, 2)), placed("b")])
    with pytest.raises(UnsupportedError, match="rows"):
        closure[digest("w")]
