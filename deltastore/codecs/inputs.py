"""What a codec is handed besides the payload, checked before any loop indexes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastore.codecs.blocks import word_type
from deltastore.errors import CorruptError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.codecs.protocol import Words
    from deltastore.specs import Dtype

__all__ = ["check_inputs"]


def check_inputs(
    inputs: Sequence[Words], counts: tuple[int, ...], words: int, dtype: Dtype, *, what: str
) -> None:
    """As many inputs as the codec takes, each of `words` words of the dtype.

    Raises:
        CorruptError: the representation names inputs that do not fit.
    """
    if len(inputs) not in counts:
        raise CorruptError(f"{what}: {len(inputs)} inputs, not {' or '.join(map(str, counts))}")
    for block in inputs:
        if block.shape != (words,) or block.dtype != word_type(dtype):
            raise CorruptError(
                f"{what}: an input of {block.size} words of {block.itemsize} bytes, "
                f"not {words} of {dtype.word_bytes}"
            )
