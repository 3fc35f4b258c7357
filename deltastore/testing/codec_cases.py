"""Blocks to try codecs on: every bit pattern, near and far from their inputs, whole and damaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from deltastore.codecs.blocks import word_type
from deltastore.kernels.models import word_model
from deltastore.kernels.reference import difference, integrate

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltastore.codecs.protocol import Codec, Parameters, Words
    from deltastore.specs import Dtype

__all__ = [
    "KINDS",
    "SIZES",
    "Case",
    "frozen",
    "garbled",
    "poisoned_memory",
    "sample_block",
    "sample_input",
    "unchanged_share",
]

SIZES = (1, 2, 63, 64, 65, 1000, 4099)
KINDS = ("near", "rare", "unrelated", "special")


@dataclass(frozen=True, slots=True)
class Case:
    """One block that a codec is asked to keep.

    Attributes:
        label: names it in failures.
        block: words to keep.
        inputs: as many words each.
        dtype: of all of them.
        parameters: of the tensor.
    """

    label: str
    block: Words
    inputs: tuple[Words, ...]
    dtype: Dtype
    parameters: Parameters

    def encode(self, codec: Codec) -> bytes:
        """Its payload."""
        return codec.encode(self.block, self.inputs, self.dtype, self.parameters)

    def decode(self, codec: Codec, payload: bytes) -> Words:
        """The block that a payload stands for."""
        words = len(self.block)
        return codec.decode(payload, words, self.inputs, self.dtype, self.parameters)


def sample_input(dtype: Dtype, size: int, index: int) -> Words:
    """Random bits in the first half, weights around one in the second; inputs are alike."""
    rng = np.random.default_rng([dtype.code, size])
    words = np.frombuffer(rng.bytes(size * dtype.word_bytes), word_type(dtype)).copy()
    model = word_model(dtype)
    if model.ordered:
        one = model.bias << model.mantissa_bits
        noise = words[size // 2 :] % (4 << model.mantissa_bits)
        words[size // 2 :] = one - (2 << model.mantissa_bits) + noise
    if index:
        words[::7] += words.dtype.type(1)
    return words


def sample_block(kind: str, inputs: tuple[Words, ...], dtype: Dtype, size: int) -> Words:
    """Words near the first input, rarely other, unrelated to it, or special ones."""
    model = word_model(dtype)
    rng = np.random.default_rng([dtype.code, size, KINDS.index(kind)])
    kind_of_word = word_type(dtype)
    noise = np.frombuffer(rng.bytes(size * dtype.word_bytes), kind_of_word).copy()
    if kind == "unrelated" or not inputs:
        return noise if kind != "special" else _special(dtype, size)
    if kind == "special":
        return _special(dtype, size)
    share = 1.0 if kind == "near" else 0.01
    steps = np.where(rng.random(size) < share, rng.geometric(0.1, size), 0)
    return integrate(inputs[0], (steps % 200).astype(kind_of_word), model.ordered)


def _special(dtype: Dtype, size: int) -> Words:
    """Zeros of both signs, the least and largest subnormal, infinities, NaN payloads."""
    model = word_model(dtype)
    top = 1 << (model.bits - 1)
    infinity = model.exponent_mask << model.mantissa_bits
    values = [0, 1, (1 << model.mantissa_bits) - 1, infinity, infinity + 1, top - 1, top // 2]
    values += [value | top for value in values]
    kind = word_type(dtype)
    return np.resize(np.array([value % (2 * top) for value in values], kind), size)


def frozen(case: Case) -> Case:
    """The same case in read-only memory."""
    block = np.frombuffer(case.block.tobytes(), case.block.dtype)
    inputs = tuple(np.frombuffer(each.tobytes(), each.dtype) for each in case.inputs)
    return Case(case.label, block, inputs, case.dtype, case.parameters)


def poisoned_memory() -> Any:
    """While it is entered, `np.empty` and `np.empty_like` return memory full of 0xA5."""
    return mock.patch.multiple(np, empty=_poison(np.empty), empty_like=_poison(np.empty_like))


def _poison(make: Callable[..., Any]) -> Callable[..., Any]:
    def poisoned(*arguments: Any, **keywords: Any) -> Any:
        array = make(*arguments, **keywords)
        array.view(np.uint8)[...] = 0xA5
        return array

    return poisoned


def garbled(payload: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed, removed, inserted or swapped, or all made up."""
    data = bytearray(payload)
    way = int(rng.integers(5))
    at = int(rng.integers(max(1, len(data))))
    if way == 0 or not data:
        return rng.bytes(int(rng.integers(1, 200)))
    if way == 1:
        data[at] ^= int(rng.integers(1, 256))
    elif way == 2:
        del data[at : at + int(rng.integers(1, 9))]
    elif way == 3:
        data[at:at] = rng.bytes(int(rng.integers(1, 9)))
    else:
        data[0:at] = data[at : 2 * at]
    return bytes(data)


def unchanged_share(case: Case) -> float:
    """How much of a block is as its first input; used to see that the kinds are what they say."""
    model = word_model(case.dtype)
    return float(np.mean(difference(case.block, case.inputs[0], model.ordered) == 0))
