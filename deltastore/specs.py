"""What a tensor is: name, dtype, shape; and the table of dtypes that safetensors 0.8 writes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Literal

from deltastore.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DTYPES", "Dtype", "TensorSpec", "dtype_by_code", "dtype_named"]

DtypeKind = Literal["bool", "int", "uint", "float", "complex"]

MAX_RANK = 16
MAX_BITS = 2**63


@dataclass(frozen=True, slots=True)
class Dtype:
    """One row of the dtype table.

    Attributes:
        name: as safetensors spells it.
        code: the byte that stands for it in packs; never reused.
        bits: bits per element; 4 and 6 for the packed types.
        kind: what arithmetic, if any, makes sense.
        exponent_bits: of a float; 0 otherwise.
        mantissa_bits: explicit ones, of a float; 0 otherwise.
    """

    name: str
    code: int
    bits: int
    kind: DtypeKind
    exponent_bits: int = 0
    mantissa_bits: int = 0

    @property
    def word_bytes(self) -> int:
        """Bytes of the unsigned integers in which codecs see this dtype: 1, 2, 4 or 8.

        Packed types (4 and 6 bits) are seen as bytes, complex numbers as pairs of 32-bit words.
        """
        return {4: 1, 6: 1, 8: 1, 16: 2, 32: 4, 64: 4 if self.kind == "complex" else 8}[self.bits]


_ROWS = (
    Dtype("BOOL", 1, 8, "bool"),
    Dtype("U8", 2, 8, "uint"),
    Dtype("I8", 3, 8, "int"),
    Dtype("F8_E5M2", 4, 8, "float", 5, 2),
    Dtype("F8_E4M3", 5, 8, "float", 4, 3),
    Dtype("F8_E8M0", 6, 8, "uint"),
    Dtype("F8_E4M3FNUZ", 7, 8, "float", 4, 3),
    Dtype("F8_E5M2FNUZ", 8, 8, "float", 5, 2),
    Dtype("I16", 9, 16, "int"),
    Dtype("U16", 10, 16, "uint"),
    Dtype("F16", 11, 16, "float", 5, 10),
    Dtype("BF16", 12, 16, "float", 8, 7),
    Dtype("I32", 13, 32, "int"),
    Dtype("U32", 14, 32, "uint"),
    Dtype("F32", 15, 32, "float", 8, 23),
    Dtype("I64", 16, 64, "int"),
    Dtype("U64", 17, 64, "uint"),
    Dtype("F64", 18, 64, "float", 11, 52),
    Dtype("C64", 19, 64, "complex"),
    Dtype("F4", 20, 4, "uint"),
    Dtype("F6_E2M3", 21, 6, "uint"),
    Dtype("F6_E3M2", 22, 6, "uint"),
)

DTYPES: Mapping[str, Dtype] = {row.name: row for row in _ROWS}
"""Every dtype by its safetensors name."""

_BY_CODE = {row.code: row for row in _ROWS}


def dtype_named(name: str) -> Dtype:
    """The dtype of that safetensors name.

    Raises:
        InvalidError: there is none.
    """
    try:
        return DTYPES[name]
    except KeyError:
        raise InvalidError(
            f"unknown dtype {name!r}", hint=f"known dtypes: {', '.join(DTYPES)}"
        ) from None


def dtype_by_code(code: int) -> Dtype | None:
    """The dtype of that pack code, or None."""
    return _BY_CODE.get(code)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, dtype and shape of one tensor.

    Attributes:
        name: as in the checkpoint; any Unicode text.
        dtype: safetensors name, a key of `DTYPES`.
        shape: dimensions, outermost first; empty for rank 0.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        dtype = dtype_named(self.dtype)
        if len(self.shape) > MAX_RANK or any(size < 0 for size in self.shape):
            raise InvalidError(f"tensor {self.name!r}: impossible shape {list(self.shape)}")
        bits = prod(self.shape) * dtype.bits
        if bits >= MAX_BITS:
            raise InvalidError(f"tensor {self.name!r}: shape {list(self.shape)} is too large")
        if bits % 8:
            raise InvalidError(
                f"tensor {self.name!r}: {prod(self.shape)} elements of {dtype.bits} bits do not "
                "fill whole bytes"
            )

    @property
    def size(self) -> int:
        """Number of elements; 1 for rank 0."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the raw little-endian content."""
        return self.size * DTYPES[self.dtype].bits // 8
