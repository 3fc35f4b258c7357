"""What a codec is: a pure function between a block of words and bytes, given the inputs' blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deltastore.specs import Dtype

__all__ = ["Codec", "Parameters", "Words"]

Words: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]
"""One-dimensional, C-contiguous; the bits of a tensor as uint8, 16, 32 or 64 (format-v1 6.1)."""

Parameters: TypeAlias = "Mapping[str, str | int]"
"""What one tensor's blocks have in common, kept as canonical JSON; fractions as hex bits."""


class Codec(Protocol):
    """One way of keeping a block of at most 2^20 words. Stateless, deterministic, thread-safe.

    Attributes:
        name: `name/number`, as stored; the number changes when one output bit of decoding does.
    """

    @property
    def name(self) -> str:
        """As stored in representations."""
        ...

    @property
    def input_counts(self) -> tuple[int, ...]:
        """The numbers of inputs it can be used with."""
        ...

    def supports(self, dtype: Dtype) -> bool:
        """Whether words of this dtype make sense to it."""
        ...

    def encode(
        self, block: Words, inputs: Sequence[Words], dtype: Dtype, parameters: Parameters
    ) -> bytes:
        """The payload of one block; `inputs` are the same words of each input."""
        ...

    def decode(
        self,
        payload: bytes,
        words: int,
        inputs: Sequence[Words],
        dtype: Dtype,
        parameters: Parameters,
    ) -> Words:
        """The block back, exactly `words` long.

        Raises:
            CorruptError: the payload is truncated, garbled or of another length; memory stays
                bounded by the block's size whatever the payload claims.
        """
        ...
