"""Which coder each kind of stream gets, and that every one comes back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deltastore.codecs.stream_reader import StreamReader
from deltastore.codecs.streams import Coder, write_streams
from deltastore.errors import CorruptError
from deltastore.kernels.dispatch import kernels

CPU = kernels("cpu")
RNG = np.random.default_rng(8)


def draws(size: int, zeros: float, largest: int) -> Any:
    values = RNG.integers(1, largest + 1, size)
    return np.where(RNG.random(size) < zeros, 0, values).astype(np.uint8)


def skewed(size: int) -> Any:
    return np.minimum(RNG.geometric(0.1, size), 255).astype(np.uint8)


STREAMS = [
    (np.zeros(0, np.uint8), Coder.STORED),
    (np.full(1, 7, np.uint8), Coder.REPEATED),
    (np.zeros(2**20, np.uint8), Coder.REPEATED),
    (np.arange(15, dtype=np.uint8), Coder.STORED),
    (draws(10_000, 0.9, 200), Coder.GAPS),
    (draws(10_001, 0.5, 3), Coder.CRUMBS),
    (draws(10_001, 0.5, 15), Coder.NIBBLES),
    (draws(10_001, 0.7, 15), Coder.NIBBLES),
    (draws(10_000, 0.7, 16), Coder.GAPS),
    (skewed(10_000), Coder.ZSTD),
    (RNG.integers(0, 256, 10_000).astype(np.uint8), Coder.STORED),
]


@pytest.mark.parametrize(("symbols", "coder"), STREAMS)
@pytest.mark.parametrize("family", ["reference", "cpu"])
def test_coder_and_round_trip(symbols: Any, coder: Coder, family: Any) -> None:
    payload = write_streams([symbols], kernels(family))
    assert payload[:2] == bytes([1, coder])
    assert len(payload) <= len(symbols) + 8
    reader = StreamReader(payload, kernels(family), "stream")
    assert np.array_equal(reader.take(len(symbols)), symbols)
    reader.finish()


@pytest.mark.parametrize(("share", "bits"), [(0.02, 0.165), (0.05, 0.345), (0.1, 0.585)])
def test_gaps_are_near_the_entropy_of_positions_and_signs(share: float, bits: float) -> None:
    places = (RNG.random(2**20) < share).astype(np.uint8)
    gaps, values = CPU.gaps(places)
    signs = np.packbits(RNG.integers(0, 2, len(values)).astype(np.uint8))
    assert 8 * len(write_streams([gaps, signs], CPU)) / 2**20 < bits


def test_skewed_symbols_take_less_than_a_bit() -> None:
    symbols = draws(2**17, 0.8, 2)
    assert 8 * len(write_streams([symbols], CPU)) / 2**17 < 0.98


def test_several_streams_in_order() -> None:
    streams = [symbols for symbols, _ in STREAMS]
    reader = StreamReader(write_streams(streams, CPU), CPU, "stream")
    for symbols in streams:
        assert np.array_equal(reader.take_at_most(2**20), symbols)
    reader.finish()


def test_as_many_as_a_byte_counts() -> None:
    one = np.zeros(1, np.uint8)
    assert write_streams([one] * 255, CPU)[0] == 255
    with pytest.raises(ValueError, match="256 streams"):
        write_streams([one] * 256, CPU)


def test_a_reader_wants_what_it_expects() -> None:
    payload = write_streams([np.arange(20, dtype=np.uint8)], CPU)
    for expected in (0, 19, 21):
        with pytest.raises(CorruptError, match="20 symbols"):
            StreamReader(payload, CPU, "stream").take(expected)
    with pytest.raises(CorruptError, match="20 symbols"):
        StreamReader(payload, CPU, "stream").take_at_most(19)
    with pytest.raises(CorruptError, match="1 streams"):
        StreamReader(payload, CPU, "stream").finish()
    reader = StreamReader(payload, CPU, "stream")
    reader.take(20)
    with pytest.raises(CorruptError, match="missing"):
        reader.take(20)
