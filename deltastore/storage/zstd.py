"""The one place that compresses: explicit parameters on the way in, every check on the way out.

Sources: the frame layout is RFC 8878 section 3.1; what frames may look like is format-v1 6.2.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import zstandard

from deltastore.errors import CorruptError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Contiguous: TypeAlias = (
        bytes | bytearray | memoryview[int] | npt.NDArray[np.unsignedinteger[Any]]
    )

__all__ = ["MAX_WINDOW_LOG", "compress_symbols", "compress_text", "declared_size", "decompress"]

MAX_WINDOW_LOG = 23
_MAGIC = b"\x28\xb5\x2f\xfd"


def _parameters(
    window_log: int, chain_log: int, hash_log: int, search_log: int, min_match: int, strategy: int
) -> zstandard.ZstdCompressionParameters:
    return zstandard.ZstdCompressionParameters(
        window_log=window_log,
        chain_log=chain_log,
        hash_log=hash_log,
        search_log=search_log,
        min_match=min_match,
        # anything above 0 makes the fast strategy leave literals uncompressed
        target_length=0,
        strategy=strategy,
        write_content_size=True,
        write_checksum=False,
        write_dict_id=False,
    )


# Measured on 1 MiB streams of Laplace symbols, of gaps and of bf16 high bytes: within 1.5 % of the
# zero-order entropy at 1.4 GB/s from 2 bits per symbol up (26 % above it at 1.5 bits: matches).
# Larger tables, dfast, and levels 1 to 3 find more matches and are larger on every skewed stream
# (level 3: 12 % at scale 0.5, 19 % on gaps); lazy matching gains 1 % at a sixth of the speed.
# Windows below 2^17 shrink blocks, hence statistics.
_SYMBOLS = _parameters(17, 6, 6, 1, 7, zstandard.STRATEGY_FAST)
# What level 6 is for 4 MiB inputs: JSON 4-7 % smaller than level 3; levels 9 and 12 gain under 2 %.
_TEXT = _parameters(22, 18, 19, 3, 5, zstandard.STRATEGY_LAZY)


class _Contexts(threading.local):
    """One of each per thread: they keep their tables, and may not be used by two at once."""

    def __init__(self) -> None:
        self.symbols = zstandard.ZstdCompressor(compression_params=_SYMBOLS)
        self.text = zstandard.ZstdCompressor(compression_params=_TEXT)
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=1 << MAX_WINDOW_LOG)


_contexts = _Contexts()


def compress_symbols(data: Contiguous) -> bytes:
    """One frame of already modeled symbols: an entropy coder that does not search for matches.

    Args:
        data: contiguous bytes, each one symbol; skewed streams of one distribution do best.
    """
    return _contexts.symbols.compress(_view(data))


def compress_text(data: Contiguous) -> bytes:
    """One frame of anything with repetitions: JSON, indexes, blobs."""
    return _contexts.text.compress(_view(data))


def declared_size(data: Contiguous, *, max_bytes: int, what: str = "frame") -> int:
    """The content size that a frame declares, for frames whose size nothing else tells.

    Raises:
        CorruptError: no frame, no size, or more than `max_bytes`.
    """
    try:
        declared = zstandard.frame_content_size(_view(data))
    except zstandard.ZstdError as reason:
        raise CorruptError(f"{what}: damaged zstd frame: {reason}") from None
    if not 0 <= declared <= max_bytes:
        raise CorruptError(f"{what}: {declared} bytes declared, at most {max_bytes} allowed")
    return declared


def decompress(data: Contiguous, raw_length: int, *, what: str = "frame") -> bytes:
    """The content of exactly one frame that declares exactly `raw_length` bytes.

    Nothing is allocated before the frame's header has passed.

    Args:
        data: the frame and nothing else.
        raw_length: what the index says; the caller bounds it.
        what: names the frame in errors.

    Raises:
        CorruptError: no frame, another declared size, a window above 2^23, a dictionary, trailing
            bytes, or garbled content.
    """
    frame = _view(data)
    _check_header(frame, raw_length, what)
    try:
        if raw_length == 0:
            return _decompress_empty(frame, what)
        return _contexts.decompressor.decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as reason:
        raise CorruptError(f"{what}: damaged zstd frame: {reason}") from None


def _view(data: Contiguous) -> memoryview[int]:
    """The bytes of any contiguous buffer (numpy exports buffers; its annotations do not say so)."""
    view = memoryview(cast("bytes", data))
    return view.cast("B") if view.nbytes else memoryview(b"")


def _check_header(frame: memoryview[int], raw_length: int, what: str) -> None:
    if bytes(frame[:4]) != _MAGIC:
        raise CorruptError(f"{what}: not a zstd frame")
    try:
        declared = zstandard.frame_content_size(frame)
        header = zstandard.get_frame_parameters(frame)
    except zstandard.ZstdError as reason:
        raise CorruptError(f"{what}: damaged zstd frame: {reason}") from None
    if declared != raw_length:
        size = "no size" if declared < 0 else f"{declared} bytes"
        raise CorruptError(f"{what}: the zstd frame declares {size} instead of {raw_length} bytes")
    if header.window_size > 1 << MAX_WINDOW_LOG:
        raise CorruptError(
            f"{what}: a zstd window of {header.window_size} bytes, at most 2^23 allowed"
        )
    if header.dict_id:
        raise CorruptError(f"{what}: the zstd frame needs a dictionary")


def _decompress_empty(frame: memoryview[int], what: str) -> bytes:
    """The one-shot call returns early for size 0 and would not look at the rest."""
    stream = _contexts.decompressor.decompressobj()
    content = stream.decompress(frame)
    if content or not stream.eof or stream.unused_data:
        raise CorruptError(f"{what}: an empty zstd frame with something in or after it")
    return b""
