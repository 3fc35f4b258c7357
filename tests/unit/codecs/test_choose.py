"""Which codecs a dtype gets, and that the smallest wins without all being finished."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from deltastore.codecs.choose import Candidate, candidates, smallest
from deltastore.codecs.registry import CODECS, codec_named
from deltastore.errors import UsageError
from deltastore.specs import DTYPES

A, B, C = (Candidate(name, ()) for name in ("a/1", "b/1", "c/1"))


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=lambda dtype: dtype.name)
def test_the_table_of_the_format(dtype: object) -> None:
    dtype = DTYPES[getattr(dtype, "name", "")]
    packed = dtype.bits < 8
    alone = candidates(dtype, has_reference=False)
    assert [each.codec for each in alone] == ["dense/1"]
    against = {each.codec for each in candidates(dtype, has_reference=True)}
    assert against == {"dense/1", "sparse/1"} | (set() if packed else {"exact/1"})
    over = candidates(dtype, has_reference=True, has_preview=True)
    previewed = Candidate("exact/1", ("preview", "base"))
    assert (previewed in over) == (dtype.kind == "float")
    for each in over:
        codec = codec_named(each.codec)
        assert codec.supports(dtype)
        assert len(each.inputs) in codec.input_counts
        assert each.codec in CODECS


def test_the_smallest_wins_and_the_first_of_equals() -> None:
    choice = smallest({A: lambda _: b"xx", B: lambda _: b"x", C: lambda _: b"y"}, 3)
    assert choice.candidate == B
    assert choice.payloads == (b"x", b"x", b"x")


def test_what_is_far_behind_is_dropped_after_the_first_and_the_fourth_block() -> None:
    calls: Counter[str] = Counter()

    def encoder(name: str, first: int, rest: int) -> object:
        def encode(block: int) -> bytes:
            calls[name] += 1
            return bytes(rest if block else first)

        return encode

    choice = smallest(
        {
            A: encoder("a", 100, 100),  # type: ignore[dict-item]
            B: encoder("b", 126, 1),  # type: ignore[dict-item]
            C: encoder("c", 125, 130),  # type: ignore[dict-item]
        },
        9,
    )
    assert calls == {"a": 9, "b": 1, "c": 4}
    assert choice.candidate == A
    assert set(choice.sizes) == {A}


@pytest.mark.parametrize("blocks", [0, 1, 2, 4, 5, 12])
def test_every_block_once_and_in_order(blocks: int) -> None:
    with ThreadPoolExecutor(3) as pool:
        threaded = smallest({A: lambda block: bytes([block])}, blocks, run=pool.map)
    assert threaded.payloads == tuple(bytes([block]) for block in range(blocks))
    assert threaded == smallest({A: lambda block: bytes([block])}, blocks)


def test_no_candidates() -> None:
    with pytest.raises(UsageError):
        smallest({}, 1)
