"""`ternary/1`: a preview as base plus steps of one size, up or down (codecs-v1 section 7)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deltastore.codecs.inputs import check_inputs
from deltastore.codecs.positions import checked_positions
from deltastore.codecs.stream_reader import StreamReader
from deltastore.codecs.streams import write_streams
from deltastore.errors import CorruptError, IncompatibleError
from deltastore.kernels.dispatch import Family, kernels
from deltastore.kernels.models import word_model
from deltastore.kernels.reference.differences import order
from deltastore.kernels.rounding import step

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from deltastore.codecs.protocol import Parameters, Words
    from deltastore.codecs.streams import Symbols
    from deltastore.specs import Dtype

__all__ = ["Ternary", "apply_steps"]

_SCALE = re.compile("[0-9a-f]{8}")
_INFINITE = 0x7F800000


def apply_steps(
    base: Words,
    places: npt.NDArray[np.int64],
    signs: npt.NDArray[np.int8],
    scale: int,
    dtype: Dtype,
) -> Words:
    """Base with one step of +c or -c at each place; its bits everywhere else.

    Args:
        base: words.
        places: ascending positions.
        signs: -1 or 1 for each.
        scale: the bits of c as IEEE single.
        dtype: of the base, a float.
    """
    block = base.copy()
    block[places] = step(base[places], signs, scale, dtype)
    return block


@dataclass(frozen=True, slots=True)
class Ternary:
    """A preview of a block. Decoding its payload gives the preview, not the block previewed.

    Attributes:
        family: the kernels that run.
    """

    family: Family = "cpu"

    @property
    def name(self) -> str:
        """As stored in representations."""
        return "ternary/1"

    @property
    def input_counts(self) -> tuple[int, ...]:
        """[base]."""
        return (1,)

    def supports(self, dtype: Dtype) -> bool:
        """Floating-point dtypes."""
        return dtype.kind == "float"

    def encode(
        self, block: Words, inputs: Sequence[Words], dtype: Dtype, parameters: Parameters
    ) -> bytes:
        """The payload of a block that is a preview; empty when it is as the base.

        Raises:
            IncompatibleError: the block is not its base with steps of `scale`.
        """
        check_inputs(inputs, self.input_counts, len(block), dtype, what=self.name)
        run, base = kernels(self.family), inputs[0]
        gaps, moves = run.gaps(run.difference(block, base, word_model(dtype).ordered))
        if len(moves) == 0:
            return b""
        places = run.positions(gaps)
        # compared, not subtracted: differences of far values wrap around
        up = order(block[places], True) > order(base[places], True)
        signs = np.where(up, 1, -1).astype(np.int8)
        if not np.array_equal(step(base[places], signs, _scale(parameters), dtype), block[places]):
            raise IncompatibleError(
                "ternary/1: the block is not a preview with that scale",
                hint="encode what `preview_block` returns, with the parameters of its plan",
            )
        return write_streams([gaps, np.packbits(up, bitorder="little")], run)

    def decode(
        self,
        payload: bytes,
        words: int,
        inputs: Sequence[Words],
        dtype: Dtype,
        parameters: Parameters,
    ) -> Words:
        """The preview.

        Raises:
            CorruptError: the payload or the parameters are damaged.
        """
        check_inputs(inputs, self.input_counts, words, dtype, what=self.name)
        scale = _scale(parameters)
        if not payload:
            return inputs[0].copy()
        run = kernels(self.family)
        reader = StreamReader(payload, run, self.name)
        places = checked_positions(reader.take_at_most(words), words, run, what=self.name)
        signs = _signs(reader.take(-(-len(places) // 8)), len(places))
        reader.finish()
        return apply_steps(inputs[0], places, signs, scale, dtype)


def _scale(parameters: Parameters) -> int:
    text = parameters.get("scale")
    if isinstance(text, str) and _SCALE.fullmatch(text) and 0 < int(text, 16) < _INFINITE:
        return int(text, 16)
    raise CorruptError(f"ternary/1: parameter scale is {text!r}, not a positive single in hex")


def _signs(packed: Symbols, count: int) -> npt.NDArray[np.int8]:
    bits = np.unpackbits(packed, bitorder="little")
    if count == 0 or bits[count:].any():
        raise CorruptError("ternary/1: no signs, or more than positions")
    return (2 * bits[:count].astype(np.int8) - 1).astype(np.int8)
