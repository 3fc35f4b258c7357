"""Safetensors headers, read without the library: it maps whole files and hides the verbatim bytes.

A file is accepted exactly when safetensors 0.8 accepts it, with these deliberate exceptions, all
refused here: a tensor or metadata key that occurs twice, rank above 16, a size above 2^53, JSON
nested deeper than 32, a tensor written as a JSON list, more than 10^6 tensors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltastore.checkpoints.access import LocalFile
from deltastore.errors import InvalidError
from deltastore.ids import parse_json
from deltastore.specs import DTYPES, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deltastore.checkpoints.access import ReadableFile

__all__ = [
    "LENGTH_BYTES",
    "MAX_HEADER_BYTES",
    "MAX_TENSORS",
    "METADATA_KEY",
    "SafetensorsHeader",
    "TensorEntry",
    "parse_header",
    "read_header",
]

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000
MAX_TENSORS = 10**6
METADATA_KEY = "__metadata__"

_OVERFLOW = 2**64
# JSON's -0 is a floating-point number to the library and the integer 0 to Python
_NEGATIVE_ZERO = re.compile(rb'"(?:[^"\\]|\\.)*"|(-0)(?![0-9.eE])')


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor of a safetensors file.

    Attributes:
        spec: name, dtype and shape.
        begin: offset of its first byte within the data, that is behind the header.
        end: offset behind its last byte.
    """

    spec: TensorSpec
    begin: int
    end: int

    @property
    def nbytes(self) -> int:
        """Bytes of the raw little-endian content."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """A checked header: the entries fill the data without hole or overlap.

    Attributes:
        raw: the 8 length bytes and the JSON, verbatim, padding included.
        tensors: in the order of the JSON's keys, which need not be that of the offsets.
        metadata: the `__metadata__` texts; empty when there are none.
    """

    raw: bytes = field(repr=False)
    tensors: tuple[TensorEntry, ...]
    metadata: Mapping[str, str]

    @property
    def data_start(self) -> int:
        """Offset of the data in the file, in bytes."""
        return len(self.raw)

    @property
    def data_size(self) -> int:
        """Bytes of all tensors together."""
        return max((entry.end for entry in self.tensors), default=0)

    @property
    def file_size(self) -> int:
        """Bytes of the whole file."""
        return self.data_start + self.data_size

    def in_offset_order(self) -> tuple[TensorEntry, ...]:
        """The tensors as they follow each other in the file; an empty one before its neighbor."""
        return tuple(sorted(self.tensors, key=_position))


def read_header(source: Path | ReadableFile, *, what: str = "") -> SafetensorsHeader:
    """Read and check the header of a safetensors file; the data is not read.

    Args:
        source: a path, or an open file.
        what: what errors call it; the file's name when empty.

    Raises:
        InvalidError: it is no valid safetensors file.
        NotFoundError: there is none.
    """
    if isinstance(source, Path):
        with LocalFile(source, name=what) as file:
            return read_header(file)
    what = what or source.name
    prefix = source.read_at(0, min(LENGTH_BYTES, source.size))
    length = _json_length(prefix, source.size, what)
    raw = source.read_at(0, LENGTH_BYTES + length)
    return parse_header(raw, file_size=source.size, what=what)


def parse_header(raw: bytes, *, file_size: int, what: str) -> SafetensorsHeader:
    """Check a header against the size of its file.

    Args:
        raw: the 8 length bytes and the JSON, and nothing else.
        file_size: bytes of the whole file.
        what: what errors call it.

    Raises:
        InvalidError: the stock library would refuse the file, or a limit is passed (see above);
            nothing was allocated that the file's own size does not justify.
    """
    length = _json_length(raw[:LENGTH_BYTES], file_size, what)
    if len(raw) != LENGTH_BYTES + length:
        raise InvalidError(f"{what}: header of {len(raw)} bytes says it has {length} after 8")
    document = _parse_document(raw[LENGTH_BYTES:], what)
    metadata = _metadata(document.pop(METADATA_KEY, None), what)
    if len(document) > MAX_TENSORS:
        raise InvalidError(f"{what}: {len(document)} tensors, more than {MAX_TENSORS}")
    entries = tuple(_entry(name, value, what) for name, value in document.items())
    _check_layout(entries, file_size - len(raw), what)
    return SafetensorsHeader(raw, entries, metadata)


def _json_length(prefix: bytes, file_size: int, what: str) -> int:
    if len(prefix) < LENGTH_BYTES:
        raise InvalidError(f"{what}: {file_size} bytes are too few for a safetensors file")
    length = int.from_bytes(prefix, "little")
    if length > MAX_HEADER_BYTES:
        raise InvalidError(
            f"{what}: no safetensors file: it announces a header of {length} bytes, more than "
            f"{MAX_HEADER_BYTES}"
        )
    if LENGTH_BYTES + length > file_size:
        raise InvalidError(
            f"{what}: truncated: a header of {length} bytes does not fit into {file_size}",
            hint="the download or copy may have been cut short; get the file again",
        )
    return length


def _parse_document(text: bytes, what: str) -> dict[str, Any]:
    document = parse_json(
        text, what=f"{what}: header", max_bytes=MAX_HEADER_BYTES, error=InvalidError, floats=True
    )
    if not isinstance(document, dict):
        raise InvalidError(f"{what}: header: not a JSON object")
    if b"-0" in text and any(match.group(1) for match in _NEGATIVE_ZERO.finditer(text)):
        raise InvalidError(f"{what}: header: -0 is no size")
    return document


def _metadata(value: Any, what: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InvalidError(f"{what}: header: {METADATA_KEY} does not map names to texts")
    return value


def _entry(name: str, value: Any, what: str) -> TensorEntry:
    """One `name: {dtype, shape, data_offsets}`; further keys are ignored, as the library does."""
    label = f"{what}: tensor {name!r}"
    if not isinstance(value, dict):
        raise InvalidError(f"{label}: not a JSON object")
    dtype = value.get("dtype")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise InvalidError(f"{label}: unknown dtype {dtype!r}")
    shape = _sizes(value.get("shape"), f"{label}: shape")
    offsets = _sizes(value.get("data_offsets"), f"{label}: data_offsets")
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise InvalidError(f"{label}: data_offsets {list(offsets)} are no [begin, end]")
    _check_product(shape, DTYPES[dtype].bits, label)
    try:
        spec = TensorSpec(name, dtype, shape)
    except InvalidError as reason:
        raise InvalidError(f"{what}: {reason}") from None
    begin, end = offsets
    if end - begin != spec.nbytes:
        raise InvalidError(
            f"{label}: {dtype} {list(shape)} takes {spec.nbytes} bytes, its offsets span "
            f"{end - begin}"
        )
    return TensorEntry(spec, begin, end)


def _sizes(value: Any, label: str) -> tuple[int, ...]:
    """A list of non-negative integers; JSON's true and false are Python integers, and refused."""
    if not isinstance(value, list):
        raise InvalidError(f"{label} is missing or no list")
    if not all(type(size) is int and size >= 0 for size in value):
        raise InvalidError(f"{label} is not a list of sizes")
    return tuple(value)


def _check_product(shape: Sequence[int], bits: int, label: str) -> None:
    """Multiply as the library does, in 64 bits and in order, so that [2^40, 2^40, 0] overflows."""
    product = 1
    for size in (*shape, bits):
        product *= size
        if product >= _OVERFLOW:
            raise InvalidError(f"{label}: the size of shape {list(shape)} overflows")


def _position(entry: TensorEntry) -> tuple[int, int]:
    return entry.begin, entry.end


def _check_layout(entries: Iterable[TensorEntry], data_size: int, what: str) -> None:
    position = 0
    for entry in sorted(entries, key=_position):
        if entry.begin != position:
            fault = "leaves a hole before" if entry.begin > position else "overlaps another below"
            raise InvalidError(f"{what}: tensor {entry.spec.name!r} {fault} offset {entry.begin}")
        position = entry.end
    if position != data_size:
        raise InvalidError(
            f"{what}: the header describes {position} bytes of data, the file has {data_size}",
            hint="the download or copy may have been cut short" if position > data_size else "",
        )
