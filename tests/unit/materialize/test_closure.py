from __future__ import annotations

import pytest

from deltastore.errors import CorruptError, MissingObjectError
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
    pack: str = "pack",
) -> Placement:
    record = Record(
        kind=Kind.TENSOR,
        digest=digest(name),
        dtype="BF16",
        shape=(4,),
        codec=codec if inputs or codec != "exact/1" else "dense/1",
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
    return Placement(PackId(digest(pack)), 4096, record)


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


def sources(closure: Closure, name: str) -> list[Digest]:
    return [source.digest for source in closure[digest(name)].representation.inputs]


@pytest.mark.parametrize(
    "unusable",
    [
        pytest.param([placed("w", "gone")], id="input missing"),
        pytest.param([placed("w", "x"), placed("x", "gone")], id="input of an input missing"),
        pytest.param([placed("w", "x"), placed("x", blocks=2)], id="block of an input missing"),
        pytest.param([placed("w", "x"), placed("x", "w")], id="circle"),
        pytest.param([placed("w", "b", rows=(0, 99, 0, 99))], id="rows that are not there"),
        pytest.param([placed("w", codec="zipnn/1")], id="unknown codec"),
        pytest.param(
            [placed("w", "8"), placed("0"), *(placed(str(n), str(n - 1)) for n in range(1, 9))],
            id="too deep",
        ),
    ],
)
def test_what_cannot_be_used_is_passed_over(unusable: list[Placement]) -> None:
    closure = Closure([*unusable, placed("w", "b"), placed("b")])
    assert sources(closure, "w") == [digest("b")]
    assert closure[digest("w")].depth == 1


def test_a_circle_of_some_representations_does_not_hide_the_way_out_of_it() -> None:
    circle = [placed("x", "y"), placed("y", "x"), placed("x")]
    for order in (circle, circle[::-1]):
        for first, second in (("x", "y"), ("y", "x")):
            closure = Closure(order)
            assert closure[digest(first)].depth + closure[digest(second)].depth == 1
            assert sources(closure, "x") == []


def test_live_packs_come_first_and_dead_ones_serve_when_nothing_else_is_left() -> None:
    placements = [placed("w", pack="dead"), placed("w", "b", pack="alive"), placed("b", pack="old")]
    live = {PackId(digest("alive")), PackId(digest("old"))}
    assert sources(Closure(placements, live=live), "w") == [digest("b")]
    assert sources(Closure(placements, live=live - {PackId(digest("old"))}), "w") == []
    assert sources(Closure(placements), "w") == []


def test_of_one_representation_the_sections_in_live_packs_are_read() -> None:
    placements = [placed("w", pack="dead"), placed("w", pack="alive")]
    kept = Closure(placements, live={PackId(digest("alive"))})[digest("w")]
    assert [placement.pack for placement in kept.placements] == [PackId(digest("alive"))]


def test_an_unknown_codec_is_kept_when_there_is_nothing_else() -> None:
    assert Closure([placed("w", codec="zipnn/1")])[digest("w")].representation.codec == "zipnn/1"


def test_candidates_that_multiply_do_not_take_forever() -> None:
    levels = [
        placed(f"{level}.{n}", f"{level + 1}.{a}", f"{level + 1}.{b}")
        for level in range(8)
        for n in range(6)
        for a in range(6)
        for b in range(6)
    ]
    with pytest.raises(MissingObjectError):
        Closure(levels)[digest("0.0")]


def test_a_view_that_does_not_fit_is_refused_by_name() -> None:
    closure = Closure([placed("w", "b", rows=(0, 99, 0, 99)), placed("b")])
    with pytest.raises(CorruptError, match="rows"):
        closure[digest("w")]
