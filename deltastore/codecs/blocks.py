"""How a tensor is cut into blocks of words (format-v1 6.1), and bytes seen as words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deltastore.specs import DTYPES

if TYPE_CHECKING:
    from typing import Any

    import numpy.typing as npt
    from typing_extensions import Buffer

    from deltastore.codecs.protocol import Words
    from deltastore.specs import Dtype, TensorSpec

__all__ = ["BLOCK_WORDS", "BlockLayout", "as_words", "block_layout", "word_type"]

BLOCK_WORDS = 2**20
"""Most words of a block."""

_WORD_TYPES: dict[int, np.dtype[Any]] = {size: np.dtype(f"<u{size}") for size in (1, 2, 4, 8)}
_PACKED_BITS = (4, 6)


@dataclass(frozen=True, slots=True)
class BlockLayout:
    """The cuts of one tensor.

    Attributes:
        words: in the whole tensor.
        word_dtype: unsigned, little-endian, of 1, 2, 4 or 8 bytes.
        row: words of the last axis; everything for packed types, 1 for rank 0.
    """

    words: int
    word_dtype: np.dtype[Any]
    row: int

    @property
    def pieces(self) -> int:
        """Into how many a row is cut; 1 when whole rows fit into a block."""
        return max(1, -(-self.row // BLOCK_WORDS))

    @property
    def block_words(self) -> int:
        """Words of a block that is not shortened by the end of a row or of the tensor."""
        if self.pieces > 1:
            return -(-self.row // self.pieces)
        return max(1, BLOCK_WORDS // max(1, self.row)) * self.row

    @property
    def count(self) -> int:
        """Number of blocks; 0 for an empty tensor."""
        if self.words == 0:
            return 0
        if self.pieces > 1:
            return self.words // self.row * self.pieces
        return -(-self.words // self.block_words)

    def bounds(self, block: int) -> tuple[int, int]:
        """First word of a block and the one behind its last.

        Raises:
            IndexError: there is no such block.
        """
        if not 0 <= block < self.count:
            msg = f"block {block} of {self.count}"
            raise IndexError(msg)
        if self.pieces == 1:
            start = block * self.block_words
            return start, min(start + self.block_words, self.words)
        row, piece = divmod(block, self.pieces)
        start = min(piece * self.block_words, self.row)
        return row * self.row + start, row * self.row + min(start + self.block_words, self.row)

    def byte_bounds(self, block: int) -> tuple[int, int]:
        """The same in bytes."""
        start, stop = self.bounds(block)
        return start * self.word_dtype.itemsize, stop * self.word_dtype.itemsize


def word_type(dtype: Dtype) -> np.dtype[Any]:
    """The unsigned integers in which codecs see this dtype."""
    return _WORD_TYPES[dtype.word_bytes]


def block_layout(spec: TensorSpec) -> BlockLayout:
    """The cuts of a tensor; a function of dtype and shape alone."""
    dtype = DTYPES[spec.dtype]
    words = spec.nbytes // dtype.word_bytes
    row = words
    if dtype.bits not in _PACKED_BITS:
        per_element = dtype.bits // 8 // dtype.word_bytes
        row = (spec.shape[-1] if spec.shape else 1) * per_element
    return BlockLayout(words, word_type(dtype), row)


def as_words(buffer: Buffer, dtype: Dtype) -> Words:
    """Raw little-endian bytes as words: a view, or a copy where the address is not aligned.

    Args:
        buffer: contiguous; its length is a multiple of the word.
        dtype: of the tensor.

    Returns:
        One dimension, aligned; read-only when `buffer` is.
    """
    words: npt.NDArray[Any] = np.frombuffer(memoryview(buffer), dtype=word_type(dtype))
    return words if words.flags.aligned else words.copy()
