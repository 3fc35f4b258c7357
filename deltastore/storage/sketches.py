"""Sketches: some words of each new tensor of a commit; bases are found by them (format-v1 7.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.errors import CorruptError
from deltastore.ids import Digest
from deltastore.specs import DTYPES, MAX_RANK, dtype_by_code

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_SKETCHES", "Sketch", "decode_sketches", "encode_sketches"]

MAX_SKETCHES = 1 << 28
"""Bytes of all sketches of one commit."""

MAX_COUNT = 10**6
"""As many as a version has tensors."""

MAX_WORDS = (256, 64)
"""Words of the plain and the turned sample."""

_MAGIC = b"DSSKETC1"
_COUNT = struct.Struct("<I")
_HEAD = struct.Struct("<32sBB")
_LENGTHS = struct.Struct("<HH")


@dataclass(frozen=True, slots=True)
class Sketch:
    """Words of one tensor at fixed places.

    Attributes:
        digest: of the tensor.
        dtype: safetensors name.
        shape: of the tensor.
        plain: little-endian words at the places of its shape.
        turned: those at the places of the transposed matrix; empty unless the rank is 2.
    """

    digest: Digest
    dtype: str
    shape: tuple[int, ...]
    plain: bytes
    turned: bytes = b""


def encode_sketches(sketches: Sequence[Sketch]) -> bytes:
    """The content of a sketches section; what is over 256 MiB is left out, from the end."""
    parts: list[bytes] = []
    left = MAX_SKETCHES - len(_MAGIC) - _COUNT.size
    for part in map(_encode, sketches[:MAX_COUNT]):
        left -= len(part)
        if left < 0:
            break
        parts.append(part)
    return b"".join((_MAGIC, _COUNT.pack(len(parts)), *parts))


def _encode(each: Sketch) -> bytes:
    head = _HEAD.pack(bytes.fromhex(each.digest), DTYPES[each.dtype].code, len(each.shape))
    shape = struct.pack(f"<{len(each.shape)}Q", *each.shape)
    lengths = _LENGTHS.pack(len(each.plain), len(each.turned))
    return head + shape + lengths + each.plain + each.turned


def decode_sketches(data: bytes, *, what: str = "sketches") -> tuple[Sketch, ...]:
    """The sketches of a section.

    Raises:
        CorruptError: limits exceeded, truncated, trailing bytes, an unknown dtype, or samples that
            are not of it.
    """
    if len(data) > MAX_SKETCHES or data[:8] != _MAGIC:
        raise CorruptError(f"{what}: no sketches, or too large")
    try:
        (count,) = _COUNT.unpack_from(data, 8)
        if count > MAX_COUNT:
            raise CorruptError(f"{what}: {count} sketches, at most {MAX_COUNT} allowed")
        at, found = 12, list[Sketch]()
        while len(found) < count:
            sketch, at = _decode(data, at, what)
            found.append(sketch)
    except struct.error as reason:
        raise CorruptError(f"{what}: cut off") from reason
    if at != len(data):
        raise CorruptError(f"{what}: {len(data) - at} bytes after the last sketch")
    return tuple(found)


def _decode(data: bytes, at: int, what: str) -> tuple[Sketch, int]:
    digest, code, rank = _HEAD.unpack_from(data, at)
    dtype = dtype_by_code(code)
    if dtype is None or rank > MAX_RANK:
        raise CorruptError(f"{what}: dtype code {code}, rank {rank}")
    at += _HEAD.size
    shape = struct.unpack_from(f"<{rank}Q", data, at)
    at += 8 * rank
    plain, turned = _LENGTHS.unpack_from(data, at)
    at += _LENGTHS.size
    for length, most in zip((plain, turned), MAX_WORDS, strict=True):
        if length % dtype.word_bytes or length > most * dtype.word_bytes:
            raise CorruptError(f"{what}: {length} bytes are no sample of {dtype.name}")
    end = at + plain + turned
    if end > len(data):
        raise CorruptError(f"{what}: cut off")
    sketch = Sketch(
        Digest(digest.hex()), dtype.name, shape, data[at : at + plain], data[at + plain : end]
    )
    return sketch, end
