"""Frames: round trips, entropy-coder quality, and every lie a frame's header can tell."""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import pytest
import zstandard

from deltastore.errors import CorruptError
from deltastore.storage.zstd import compress_symbols, compress_text, decompress


@pytest.mark.parametrize("size", [0, 1, 2, 255, 4096, 1 << 17, (1 << 20) + 3])
def test_both_compressors_round_trip(size: int) -> None:
    data = np.random.default_rng(size).geometric(0.3, size).clip(0, 255).astype(np.uint8)
    for compress in (compress_symbols, compress_text):
        assert decompress(compress(data[:0]), 0) == b""
        frame = compress(data)
        assert decompress(frame, size) == data.tobytes()
        assert decompress(memoryview(frame), size) == data.tobytes()
        assert compress(data.tobytes()) == frame
        assert compress(memoryview(data.tobytes())) == frame


def test_symbols_come_close_to_their_entropy() -> None:
    raw = np.abs(np.rint(np.random.default_rng(3).laplace(0, 4, 1 << 19)))
    data = raw.clip(0, 255).astype(np.uint8)
    share = np.bincount(data) / data.size
    share = share[share > 0]
    entropy = -(share * np.log2(share)).sum() * data.size / 8
    assert len(compress_symbols(data)) < 1.03 * entropy


def test_text_finds_repetitions() -> None:
    data = b"".join(b'{"model.layers.%d.weight":[4096,4096]}' % i for i in range(2000))
    assert len(compress_text(data)) < len(data) / 8


def test_large_text_keeps_to_the_window() -> None:
    data = np.random.default_rng(5).integers(0, 4, 10 << 20, dtype=np.uint8).tobytes()
    frame = compress_text(data)
    assert zstandard.get_frame_parameters(frame).window_size <= 1 << 23
    assert decompress(frame, len(data)) == data


def test_every_truncation_is_corrupt() -> None:
    frame = compress_symbols(bytes(range(200)) * 3)
    for cut in range(len(frame)):
        with pytest.raises(CorruptError):
            decompress(frame[:cut], 600)


@pytest.mark.parametrize("raw", [b"", b"weights " * 100])
@pytest.mark.parametrize("tail", [b"\0", b"again"])
def test_trailing_bytes_are_corrupt(raw: bytes, tail: bytes) -> None:
    with pytest.raises(CorruptError):
        decompress(compress_text(raw) + tail, len(raw))
    with pytest.raises(CorruptError):
        decompress(compress_text(raw) + compress_text(b""), len(raw))


def test_other_declared_sizes_are_refused() -> None:
    frame = compress_text(b"x" * 1000)
    for wrong in (0, 999, 1001, 2**40):
        with pytest.raises(CorruptError, match=r"manifest: .*declares 1000 bytes"):
            decompress(frame, wrong, what="manifest")
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 1000)
    with pytest.raises(CorruptError, match="no size"):
        decompress(unsized, 1000)


def test_a_bomb_is_refused_without_allocating() -> None:
    bomb = (
        bytes.fromhex("28b52ffd")
        + bytes([0xC0, 0x58])
        + (1 << 36).to_bytes(8, "little")
        + b"\1\0\0"
    )
    real = zstandard.ZstdCompressor().compress(bytes(1 << 26))
    tracemalloc.start()
    for frame in (bomb, real):
        with pytest.raises(CorruptError):
            decompress(frame, 1 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 18


def test_a_large_window_a_dictionary_and_a_skippable_frame_are_refused() -> None:
    wide = zstandard.ZstdCompressionParameters.from_level(1, window_log=24, source_size=1 << 25)
    data = bytes(1 << 25)
    with pytest.raises(CorruptError, match="window"):
        decompress(zstandard.ZstdCompressor(compression_params=wide).compress(data), len(data))
    words = zstandard.ZstdCompressionDict(b"weights of a model" * 20)
    named = zstandard.ZstdCompressor(dict_data=words).compress(b"weights of a model")
    with pytest.raises(CorruptError):
        decompress(named, 18)
    with pytest.raises(CorruptError, match="not a zstd frame"):
        decompress(bytes.fromhex("502a4d18") + (4).to_bytes(4, "little") + b"abcd", 4)


def test_garbled_frames_are_corrupt_or_harmless() -> None:
    data = np.random.default_rng(9).geometric(0.4, 3000).astype(np.uint8).tobytes()
    frame = compress_symbols(data)
    for at in range(len(frame)):
        garbled = bytearray(frame)
        garbled[at] ^= 0x41
        try:
            assert len(decompress(garbled, len(data))) == len(data)
        except CorruptError:
            continue


def test_threads_have_their_own_contexts() -> None:
    parts = [bytes([i]) * 50_000 + bytes(range(256)) for i in range(8)]
    wrong: list[int] = []

    def work(i: int) -> None:
        results = [decompress(compress_symbols(parts[i]), len(parts[i])) for _ in range(20)]
        if any(result != parts[i] for result in results):
            wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
