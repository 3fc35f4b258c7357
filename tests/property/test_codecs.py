"""Any words, inputs, rows and densities: what goes in comes out, whichever family wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from deltastore.codecs.blocks import BLOCK_WORDS, block_layout, word_type
from deltastore.codecs.positions import checked_positions
from deltastore.codecs.preview import count_block, plan_preview, preview_block
from deltastore.codecs.registry import codec_named
from deltastore.codecs.stream_reader import StreamReader
from deltastore.codecs.streams import write_streams
from deltastore.kernels.dispatch import kernels
from deltastore.specs import DTYPES, TensorSpec

if TYPE_CHECKING:
    from deltastore.kernels.dispatch import Family
    from deltastore.specs import Dtype

DTYPE = st.sampled_from(sorted(DTYPES.values(), key=lambda dtype: dtype.code))
FLOAT = st.sampled_from([dtype for dtype in DTYPES.values() if dtype.kind == "float"])
FAMILY: st.SearchStrategy[Family] = st.sampled_from(["reference", "cpu"])
BYTES = arrays.arrays(np.uint8, st.integers(0, 600), elements=st.integers(0, 255))
FEW = arrays.arrays(np.uint8, st.integers(0, 600), elements=st.integers(0, 3), fill=st.just(0))


@st.composite
def pairs(draw: Any, dtypes: st.SearchStrategy[Dtype]) -> tuple[Dtype, list[Any]]:
    """A block, an input, and another that differ in some words, in some of them a little."""
    dtype = draw(dtypes)
    kind, size = word_type(dtype), draw(st.integers(1, 300))
    words = arrays.arrays(kind, size, elements=arrays.from_dtype(kind))
    small = arrays.arrays(kind, size, elements=st.integers(0, 20), fill=st.just(0))
    base = draw(words)
    preview = base + draw(small)
    return dtype, [draw(st.one_of(words, st.just(base - draw(small)))), preview, base]


@given(pairs(DTYPE), FAMILY, FAMILY, st.integers(1, 400))
def test_lossless_codecs_round_trip(
    made: tuple[Dtype, list[Any]], writer: Family, reader: Family, row: int
) -> None:
    dtype, (block, *inputs) = made
    for name in ("dense/1", "exact/1", "sparse/1"):
        codec = codec_named(name, family=writer)
        if not codec.supports(dtype):
            continue
        for count in codec.input_counts:
            payload = codec.encode(block, inputs[:count], dtype, {"row": row})
            other = codec_named(name, family=reader)
            back = other.decode(payload, len(block), inputs[:count], dtype, {"row": row})
            assert np.array_equal(back, block)


@given(pairs(FLOAT), FAMILY, st.sampled_from(["0.01", "0.3", "1"]), st.integers(1, 4))
def test_previews_round_trip(
    made: tuple[Dtype, list[Any]], family: Family, density: str, cuts: int
) -> None:
    dtype, (target, base, _) = made
    blocks = list(zip(np.array_split(target, cuts), np.array_split(base, cuts), strict=True))
    plan = plan_preview([count_block(t, b, dtype, family=family) for t, b in blocks], density)
    if plan is None:
        return
    codec, touched = codec_named("ternary/1", family=family), 0
    for index, (t, b) in enumerate(blocks):
        done = preview_block(t, b, dtype, plan, index, family=family)
        payload = codec.encode(done, [b], dtype, plan.parameters)
        assert np.array_equal(codec.decode(payload, len(b), [b], dtype, plan.parameters), done)
        touched += int(np.count_nonzero(done != b))
    assert touched <= plan.kept <= max(1, round(float(density) * len(target)) + 1)


@given(st.lists(st.one_of(BYTES, FEW), max_size=5), FAMILY)
def test_streams_round_trip(streams: list[Any], family: Family) -> None:
    payload = write_streams(streams, kernels(family))
    assert len(payload) <= 1 + sum(len(each) + 7 for each in streams)
    reader = StreamReader(payload, kernels("cpu"), "streams")
    for each in streams:
        assert np.array_equal(reader.take(len(each)), each)
    reader.finish()


@given(st.sets(st.integers(0, 3000)), FAMILY)
def test_positions_round_trip(places: set[int], family: Family) -> None:
    words = np.zeros(3001, np.uint16)
    words[list(places)] = 300
    gaps, values = kernels(family).gaps(words)
    assert values.tolist() == [300] * len(places)
    found = checked_positions(gaps, 3001, kernels(family), what="gaps")
    assert found.tolist() == sorted(places)


@given(
    DTYPE,
    st.lists(st.integers(0, 3_000_000).map(lambda size: 4 * size), max_size=2),
    st.data(),
)
def test_blocks_tile_any_tensor(dtype: Dtype, shape: list[int], data: st.DataObject) -> None:
    if not shape and dtype.bits < 8:
        shape = [4]
    layout = block_layout(TensorSpec("w", dtype.name, tuple(shape)))
    if layout.count == 0:
        assert layout.words == 0
        return
    assert layout.bounds(0)[0] == 0
    assert layout.bounds(layout.count - 1)[1] == layout.words
    block = data.draw(st.integers(0, layout.count - 1))
    start, stop = layout.bounds(block)
    assert 0 < stop - start <= BLOCK_WORDS
    if block + 1 < layout.count:
        assert layout.bounds(block + 1)[0] == stop
