"""`sparse/1`: positions and differences of the words that changed (codecs-v1 section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.codecs.blocks import word_type
from deltastore.codecs.inputs import check_inputs
from deltastore.codecs.planes import join_planes, split_planes
from deltastore.codecs.positions import checked_positions
from deltastore.codecs.stream_reader import StreamReader
from deltastore.codecs.streams import write_streams
from deltastore.errors import CorruptError
from deltastore.kernels.dispatch import Family, kernels
from deltastore.kernels.models import word_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.codecs.protocol import Parameters, Words
    from deltastore.specs import Dtype

__all__ = ["Sparse"]


@dataclass(frozen=True, slots=True)
class Sparse:
    """A block as the few words in which it differs from a reference.

    Attributes:
        family: the kernels that run.
    """

    family: Family = "cpu"

    @property
    def name(self) -> str:
        """As stored in representations."""
        return "sparse/1"

    @property
    def input_counts(self) -> tuple[int, ...]:
        """[reference]."""
        return (1,)

    def supports(self, dtype: Dtype) -> bool:  # noqa: ARG002 - the protocol's
        """All dtypes; packed ones as bytes."""
        return True

    def encode(
        self,
        block: Words,
        inputs: Sequence[Words],
        dtype: Dtype,
        parameters: Parameters,  # noqa: ARG002 - the protocol's
    ) -> bytes:
        """The payload of one block; empty when nothing changed."""
        check_inputs(inputs, self.input_counts, len(block), dtype, what=self.name)
        run = kernels(self.family)
        gaps, values = run.gaps(run.difference(block, inputs[0], word_model(dtype).ordered))
        return write_streams([gaps, *split_planes(values)], run) if len(values) else b""

    def decode(
        self,
        payload: bytes,
        words: int,
        inputs: Sequence[Words],
        dtype: Dtype,
        parameters: Parameters,  # noqa: ARG002 - the protocol's
    ) -> Words:
        """The block back.

        Raises:
            CorruptError: the payload is damaged.
        """
        check_inputs(inputs, self.input_counts, words, dtype, what=self.name)
        block = inputs[0].copy()
        if not payload:
            return block
        run, kind = kernels(self.family), word_type(dtype)
        reader = StreamReader(payload, run, self.name)
        places = checked_positions(reader.take_at_most(words), words, run, what=self.name)
        values = join_planes([reader.take(len(places)) for _ in range(kind.itemsize)], kind)
        reader.finish()
        if not len(places):
            raise CorruptError("sparse/1: a payload without positions")
        block[places] = run.integrate(block[places], values, word_model(dtype).ordered)
        return block
