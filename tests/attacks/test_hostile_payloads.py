"""Payloads made to break a decoder: every one ends in a typed error or a whole block."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from deltastore.codecs.registry import CODECS, codec_named
from deltastore.codecs.stream_reader import StreamReader
from deltastore.codecs.streams import Coder, write_streams
from deltastore.errors import CorruptError
from deltastore.kernels.dispatch import kernels
from deltastore.specs import DTYPES

CPU = kernels("cpu")
PARAMETERS: dict[str, str | int] = {"row": 8, "scale": "3f800000", "density": "0.05"}
WORDS = 40


@pytest.fixture(autouse=True, scope="module")
def _compiled() -> None:
    """Memory is measured below: load machine code before."""
    block, other = np.zeros(600, np.uint16), np.resize(np.arange(3), 600).astype(np.uint16)
    for name in ("dense/1", "exact/1", "sparse/1"):
        codec = codec_named(name)
        inputs = [block] * min(codec.input_counts)
        payload = codec.encode(other, inputs, DTYPES["BF16"], PARAMETERS)
        codec.decode(payload, 600, inputs, DTYPES["BF16"], PARAMETERS)


def varint(value: int) -> bytes:
    out = b""
    while value >= 128:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def stream(coder: int, raw: int, body: bytes) -> bytes:
    return bytes([coder]) + varint(raw) + varint(len(body)) + body


def payload(*parts: bytes) -> bytes:
    return bytes([len(parts)]) + b"".join(parts)


def stored(*values: int) -> bytes:
    return stream(0, len(values), bytes(values))


def decode(name: str, data: bytes, dtype: str = "BF16", **parameters: Any) -> Any:
    codec, kind = codec_named(name), DTYPES[dtype]
    inputs = [np.arange(WORDS).astype(f"u{kind.word_bytes}")] * min(codec.input_counts)
    return codec.decode(data, WORDS, inputs, kind, {**PARAMETERS, **parameters})


def refused(name: str, data: bytes, match: str, **more: Any) -> None:
    """Typed, in little memory, and before any large allocation."""
    tracemalloc.start()
    try:
        with pytest.raises(CorruptError, match=match):
            decode(name, data, **more)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coder", Coder)
@pytest.mark.parametrize("claimed", [WORDS + 1, 2**32, 2**35 - 1])
def test_a_stream_that_claims_to_be_huge(coder: Coder, claimed: int) -> None:
    for name in CODECS:
        refused(name, payload(stream(coder, claimed, b"\0")), "symbols instead of")


def test_a_zstd_bomb() -> None:
    bomb = zstandard.compress(bytes(1 << 28), 3)
    assert len(bomb) < 20_000
    refused("dense/1", payload(stream(1, WORDS, bomb), stored(*range(WORDS))), "declares 268435456")


def test_lengths_of_endless_digits() -> None:
    refused("dense/1", b"\1\0" + b"\xff" * 50, "more than 5 bytes")


def test_unknown_coders() -> None:
    for coder in (6, 7, 255):
        refused("dense/1", payload(stream(coder, WORDS, b"\0")), f"unknown coder {coder}")


@pytest.mark.parametrize("coder", [3, 4, 5])
def test_streams_inside_streams_inside_streams(coder: int) -> None:
    inner = stream(coder, WORDS // 2, stream(0, WORDS // 4, bytes(WORDS // 4)))
    refused("dense/1", payload(stream(4, WORDS, inner), stored()), "do not make")


def test_stored_bytes_that_reach_into_the_next_stream() -> None:
    inside = stream(0, WORDS // 2, bytes(WORDS // 2))
    lying = bytes([4]) + varint(WORDS) + varint(len(inside) - 3) + inside
    refused("dense/1", payload(lying, stored(*range(WORDS))), "another length")


@pytest.mark.parametrize(
    ("gaps", "match"),
    [
        ((255,), "middle"),
        ((254,), "reach to word 255 of 40"),
        ((40,), "reach to word 41 of 40"),
        ((39, 0), "reach to word 41 of 40"),
        ((20, 20), "reach to word 42 of 40"),
        ((255, 0), "reach to word 256 of 40"),
    ],
)
def test_positions_outside_the_block(gaps: tuple[int, ...], match: str) -> None:
    signs_or_values = stored(*[1] * len(gaps))
    refused("sparse/1", payload(stored(*gaps), signs_or_values, signs_or_values), match)
    refused("ternary/1", payload(stored(*gaps), stored(1)), match)
    coded = varint(len(gaps)) + stored(*gaps) + signs_or_values
    refused("dense/1", payload(stream(3, WORDS, coded), stored(*range(WORDS))), match)


def test_gap_streams_that_disagree_on_their_number() -> None:
    for present, gaps, values in ((3, (1, 1), (1, 1, 1)), (1, (1, 1), (1,)), (2, (255, 9), (1, 2))):
        coded = varint(present) + stored(*gaps) + stored(*values)
        refused("dense/1", payload(stream(3, WORDS, coded), stored()), "symbols|gaps")
    coded = varint(WORDS + 1) + stored() + stored()
    refused("dense/1", payload(stream(3, WORDS, coded), stored()), "not zero")


def test_empty_changes() -> None:
    refused("sparse/1", payload(stored(), stored(), stored()), "without positions")
    refused("ternary/1", payload(stored(), stored()), "no signs")


def test_sign_bits_beyond_the_positions() -> None:
    refused("ternary/1", payload(stored(0, 3), stored(0b101)), "more than positions")


def test_exact_scales_of_another_number() -> None:
    refused("exact/1", payload(stored(*[200] * 4)), "4 scales for 5 rows")


def test_exact_without_its_escapes() -> None:
    scales = stored(*[200] * 5)
    symbols = stream(2, WORDS, b"\xff")
    refused("exact/1", payload(scales, symbols), "missing")
    one_short = stored(*[1] * (WORDS - 1))
    refused("exact/1", payload(scales, symbols, one_short, one_short), "39 symbols instead of 40")
    whole = stream(2, WORDS, b"\1")
    assert len(decode("exact/1", payload(scales, symbols, whole, whole))) == WORDS


def test_exact_low_bits_may_be_anything() -> None:
    """Bytes where only few bits are meant: a block all the same, and no other memory."""
    scales, whole = stored(*[255] * 5), stream(2, WORDS, b"\xff")
    symbols = stream(2, WORDS, b"\7")
    for dtype in ("I16", "U16"):
        assert len(decode("exact/1", payload(scales, symbols, whole), dtype)) == WORDS


def test_exact_flags_of_wide_words() -> None:
    planes = [stream(2, WORDS, b"\1")] * 4
    refused("exact/1", payload(stored(2, 1, 1, 1, 1), *planes), "neither", dtype="F32")
    refused("exact/1", payload(stored(1, 1, 1, 1, 0), *planes), "instead of 32", dtype="F32")


@pytest.mark.parametrize("row", [0, -1, 2**70, "8", True, None, 1.5])
def test_exact_rows_that_are_none(row: Any) -> None:
    data = payload(stored(*[200] * 5), stream(2, WORDS, b"\1"))
    if row == 2**70:
        refused("exact/1", data, "5 symbols instead of 0 to 1", row=row)
    else:
        refused("exact/1", data, "row", row=row)


@pytest.mark.parametrize("name", ["exact/1", "sparse/1", "ternary/1"])
def test_inputs_that_do_not_fit(name: str) -> None:
    codec, dtype = codec_named(name), DTYPES["BF16"]
    misfits: list[list[Any]] = [
        [],
        [np.zeros(WORDS - 1, np.uint16)],
        [np.zeros(WORDS, np.uint8)],
        [np.zeros(WORDS, np.int16)],
        [np.zeros(WORDS, np.uint16)] * 3,
        [np.zeros((2, WORDS // 2), np.uint16)],
    ]
    for inputs in misfits:
        with pytest.raises(CorruptError, match="input"):
            codec.decode(b"", WORDS, inputs, dtype, PARAMETERS)


@given(st.sampled_from(sorted(CODECS)), st.sampled_from(sorted(DTYPES)), st.binary(max_size=400))
def test_any_bytes(name: str, dtype: str, data: bytes) -> None:
    codec = codec_named(name)
    if not codec.supports(DTYPES[dtype]):
        return
    try:
        block = decode(name, data, dtype)
    except CorruptError as error:
        assert str(error).startswith(name)  # noqa: PT017 - both outcomes are right
    else:
        assert block.shape == (WORDS,)


@given(
    st.sampled_from(sorted(CODECS)),
    st.lists(
        st.tuples(
            st.integers(0, 5), st.sampled_from([0, 1, 5, 39, 40, 41]), st.binary(max_size=60)
        ),
        max_size=6,
    ),
)
def test_any_streams(name: str, parts: list[tuple[int, int, bytes]]) -> None:
    try:
        block = decode(name, payload(*[stream(*part) for part in parts]))
    except CorruptError as error:
        assert str(error).startswith(name)  # noqa: PT017 - both outcomes are right
    else:
        assert block.shape == (WORDS,)


@given(st.lists(st.lists(st.integers(0, 255), max_size=80), max_size=6))
def test_any_well_formed_streams(parts: list[list[int]]) -> None:
    """The containers are right, what they hold is not: only the codecs' own checks are left."""
    data = write_streams([np.array(part, np.uint8) for part in parts], CPU)
    for name in CODECS:
        try:
            block = decode(name, data)
        except CorruptError:
            continue
        assert block.shape == (WORDS,)


def test_a_reader_of_nothing() -> None:
    with pytest.raises(CorruptError, match="truncated"):
        StreamReader(b"", CPU, "nothing")
