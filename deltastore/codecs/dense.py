"""`dense/1`: byte planes, exponents apart from noise (codecs-v1 section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deltastore.codecs.blocks import word_type
from deltastore.codecs.planes import join_planes, split_planes
from deltastore.codecs.stream_reader import StreamReader
from deltastore.codecs.streams import write_streams
from deltastore.errors import CorruptError
from deltastore.kernels.dispatch import Family, kernels
from deltastore.kernels.models import word_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.codecs.protocol import Parameters, Words
    from deltastore.specs import Dtype

__all__ = ["Dense"]


@dataclass(frozen=True, slots=True)
class Dense:
    """A block on its own.

    Attributes:
        family: the kernels that run.
    """

    family: Family = "cpu"

    @property
    def name(self) -> str:
        """As stored in representations."""
        return "dense/1"

    @property
    def input_counts(self) -> tuple[int, ...]:
        """It needs no inputs."""
        return (0,)

    def supports(self, dtype: Dtype) -> bool:  # noqa: ARG002 - the protocol's
        """All dtypes."""
        return True

    def encode(
        self,
        block: Words,
        inputs: Sequence[Words],  # noqa: ARG002 - the protocol's
        dtype: Dtype,
        parameters: Parameters,  # noqa: ARG002 - the protocol's
    ) -> bytes:
        """The payload of one block."""
        if len(block) == 0:
            return b""
        words = _rotated(block, 1) if _is_float(dtype) else block
        return write_streams(split_planes(words), kernels(self.family))

    def decode(
        self,
        payload: bytes,
        words: int,
        inputs: Sequence[Words],  # noqa: ARG002 - the protocol's
        dtype: Dtype,
        parameters: Parameters,  # noqa: ARG002 - the protocol's
    ) -> Words:
        """The block back.

        Raises:
            CorruptError: the payload is damaged or of another length.
        """
        kind = word_type(dtype)
        if words == 0 and not payload:
            return np.empty(0, kind)
        if words == 0:
            raise CorruptError("dense/1: a payload of no words")
        reader = StreamReader(payload, kernels(self.family), self.name)
        planes = [reader.take(words) for _ in range(kind.itemsize)]
        reader.finish()
        joined = join_planes(planes, kind)
        return _rotated(joined, -1) if _is_float(dtype) else joined


def _is_float(dtype: Dtype) -> bool:
    return word_model(dtype).ordered and dtype.word_bytes > 1


def _rotated(words: Words, left: int) -> Words:
    """Bits turned left by one place, or right for -1."""
    bits = 8 * words.itemsize
    kind = words.dtype
    high: Words = np.left_shift(words, left % bits, dtype=kind)
    low: Words = np.right_shift(words, -left % bits, dtype=kind)
    return np.bitwise_or(high, low)
