"""An independent decoder, written from docs/reference/codecs-v1.md in plain Python, as the oracle.

It shares no code with the codecs but zstd's own library.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zstandard

from deltastore.codecs.registry import codec_named
from deltastore.specs import DTYPES
from deltastore.testing.codec_contract import BUILTIN_CONTRACTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deltastore.testing.codec_cases import Case

FLOATS = {
    "BF16": (8, 7),
    "F16": (5, 10),
    "F32": (8, 23),
    "F64": (11, 52),
    "C64": (8, 23),
    "F8_E4M3": (4, 3),
    "F8_E5M2": (5, 2),
    "F8_E4M3FNUZ": (4, 3),
    "F8_E5M2FNUZ": (5, 2),
}


def varint(data: bytes) -> tuple[int, bytes]:
    value = shift = 0
    while True:
        byte, data = data[0], data[1:]
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, data


def stream(data: bytes) -> tuple[bytes, bytes]:
    coder, data = data[0], data[1:]
    raw, data = varint(data)
    stored, data = varint(data)
    body, data = data[:stored], data[stored:]
    return symbols(coder, raw, body), data


def symbols(coder: int, raw: int, body: bytes) -> bytes:
    if coder == 0:
        return body
    if coder == 1:
        return zstandard.ZstdDecompressor().decompress(body)
    if coder == 2:
        return body * raw
    if coder == 3:
        _, body = varint(body)
        gaps, body = stream(body)
        values, _ = stream(body)
        out = bytearray(raw)
        for place, value in zip(places(gaps), values, strict=True):
            out[place] = value
        return bytes(out)
    packed, _ = stream(body)
    bits = {4: 4, 5: 2}[coder]
    return bytes(byte >> shift & (2**bits - 1) for byte in packed for shift in range(0, 8, bits))[
        :raw
    ]


def streams(payload: bytes) -> Iterator[bytes]:
    count, data = payload[0], payload[1:]
    for _ in range(count):
        out, data = stream(data)
        yield out
    assert data == b""


def places(gaps: bytes) -> list[int]:
    found, at = [], 0
    for gap in gaps:
        at += gap
        if gap < 255:
            found.append(at)
            at += 1
    return found


def ordered(word: int, bits: int, is_float: bool) -> int:
    low = word & ((1 << (bits - 1)) - 1)
    negative = word >> (bits - 1)
    if is_float and negative:
        return -low - 1
    return low - (negative << (bits - 1))


def undo(reference: int, z: int, bits: int, is_float: bool) -> int:
    d = z >> 1 if z % 2 == 0 else -(z >> 1) - 1
    value = (ordered(reference, bits, is_float) + d) % (1 << bits)
    if is_float and value >> (bits - 1):
        value ^= (1 << (bits - 1)) - 1
    return value


def dense(case: Case, payload: bytes) -> list[int]:
    planes = list(streams(payload))
    bits = 8 * len(planes)
    words = [
        sum(plane[i] << 8 * j for j, plane in enumerate(planes)) for i in range(len(planes[0]))
    ]
    if case.dtype.name in FLOATS and bits > 8:
        words = [word >> 1 | (word & 1) << (bits - 1) for word in words]
    return words


def sparse(case: Case, payload: bytes) -> list[int]:
    out: list[int] = case.inputs[0].tolist()
    gaps, *planes = streams(payload)
    for index, place in enumerate(places(gaps)):
        z = sum(plane[index] << 8 * j for j, plane in enumerate(planes))
        out[place] = undo(out[place], z, 8 * len(planes), case.dtype.name in FLOATS)
    return out


def exact(case: Case, payload: bytes) -> list[int]:
    bits, is_float = 8 * case.dtype.word_bytes, case.dtype.name in FLOATS
    out: list[int] = case.inputs[0].tolist()
    parts = streams(payload)
    scales, row = next(parts), int(case.parameters["row"])
    kept = [i for i in range(len(out)) if not scales or scales[i // row]]
    in_buckets = bits <= 16 and scales
    zs = exact_buckets(case, parts, kept, scales) if in_buckets else exact_planes(parts, kept)
    for i, z in zip(kept, zs, strict=True):
        out[i] = undo(out[i], z, bits, is_float)
    return out


def exact_planes(parts: Iterator[bytes], kept: list[int]) -> list[int]:
    planes = list(parts)
    return [sum(plane[i] << 8 * j for j, plane in enumerate(planes)) for i in range(len(kept))]


def exact_buckets(case: Case, parts: Iterator[bytes], kept: list[int], scales: bytes) -> list[int]:
    name, row = case.dtype.name, int(case.parameters["row"])
    limit = {"F16": 3, "I16": 8, "U16": 8}.get(name, 0)
    context = [context_of(case, i, scales[i // row]) for i in kept]
    order = sorted(range(len(kept)), key=lambda j: context[j])
    shift = [min(max((c % 64 - 28) // 2, 0), limit) for c in context]
    rest = list(parts)
    high = [0] * len(kept)
    taken = b""
    while len(taken) < len(kept):
        taken += rest.pop(0)
    for symbol, j in zip(taken, order, strict=True):
        high[j] = symbol
    low = [0] * len(kept)
    for bits in range(1, 9):
        own = [j for j in range(len(kept)) if shift[j] == bits]
        if own:
            for j, value in zip(own, rest.pop(0), strict=True):
                low[j] = value
    if case.dtype.word_bytes == 2 and 255 in high:
        escaped = [j for j in range(len(kept)) if high[j] == 255]
        for j, least, most in zip(escaped, rest.pop(0), rest.pop(0), strict=True):
            high[j] = least | most << 8
    assert not rest
    return [h << s | v for h, s, v in zip(high, shift, low, strict=True)]


def context_of(case: Case, i: int, q: int) -> int:
    exponent = bias = 0
    if case.dtype.name in FLOATS:
        e, m = FLOATS[case.dtype.name]
        exponent = max(1, int(case.inputs[0][i]) >> m & (2**e - 1))
        bias = 2 ** (e - 1) - 1
    touched = len(case.inputs) == 2 and case.inputs[0][i] != case.inputs[1][i]
    return min(max(q - 161 + 2 * bias - 2 * exponent, 0), 63) + 64 * bool(touched)


def ternary(case: Case, payload: bytes) -> list[int]:
    """Only BF16 and F32 here; the roundings of the others have tests of their own."""
    out: list[int] = case.inputs[0].tolist()
    gaps, signs = streams(payload)
    (step,) = struct.unpack(">f", bytes.fromhex(str(case.parameters["scale"])))
    shift = 32 - 8 * case.dtype.word_bytes
    for index, place in enumerate(places(gaps)):
        up = signs[index // 8] >> (index % 8) & 1
        (value,) = struct.unpack("<f", struct.pack("<I", out[place] << shift))
        moved = np.float32(value) + np.float32(step if up else -step)
        (bits,) = struct.unpack("<I", struct.pack("<f", moved))
        rest = bits & (2**shift - 1)
        word = bits >> shift
        if shift and (rest > 2 ** (shift - 1) or (rest == 2 ** (shift - 1) and word & 1)):
            word += 1
        out[place] = word
    return out


DECODERS: dict[str, Any] = {
    "dense/1": dense,
    "exact/1": exact,
    "sparse/1": sparse,
    "ternary/1": ternary,
}


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("family", ["reference", "cpu"])
def test_payloads_are_what_the_page_says(name: str, family: Any) -> None:
    codec, contract = codec_named(name, family=family), BUILTIN_CONTRACTS[name]()
    for dtype in contract.dtypes():
        if name == "ternary/1" and dtype.name not in {"BF16", "F32"}:
            continue
        for case in contract.cases(dtype, sizes=(1, 65, 1000)):
            payload = case.encode(codec)
            words = DECODERS[name](case, payload) if payload else case.inputs[0].tolist()
            assert words == case.block.tolist(), case.label


def test_the_exact_codec_cuts_buckets_at_contexts_of_2048() -> None:
    rng = np.random.default_rng(1)
    reference = (rng.integers(100, 140, 40_000) << 7 | rng.integers(0, 128, 40_000)).astype("<u2")
    target = reference + rng.geometric(0.2, 40_000).astype("<u2")
    parameters = {"row": 40_000}
    codec = codec_named("exact/1")
    payload = codec.encode(target, [reference], DTYPES["BF16"], parameters)
    scales, *rest = streams(payload)
    sizes = [len(each) for each in rest]
    assert len(scales) == 1
    assert sum(sizes) == 40_000
    assert min(sizes) >= 2048
    # about 40 exponents of 1,000 words each, three to a bucket; the ends are clipped together
    assert 8 <= len(sizes) <= 16
