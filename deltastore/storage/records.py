"""Index records: how one store keeps one thing, as plain values.

The byte layout is docs/reference/format-v1.md section 6; `packs.py` reads and writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Literal, NewType

if TYPE_CHECKING:
    from deltastore.ids import Digest

__all__ = ["Input", "Kind", "PackClass", "PackId", "Placement", "Record", "Representation"]

PackId = NewType("PackId", str)
"""64 hex digits: the hash of a pack's first 4,096 bytes."""

PackClass = Literal["meta", "whole", "preview", "exact", "checkpoint"]


class Kind(IntEnum):
    """What a section holds."""

    TENSOR = 1
    BLOB = 2
    COMMIT = 3
    MANIFEST = 4
    LOCATOR = 5
    LIST = 6
    CHECKPOINT = 7
    SEGMENT_LOG = 8
    SEGMENT_REFS = 9
    SEGMENT_COMMITS = 10
    SEGMENT_PACKS = 11
    SKETCHES = 12


@dataclass(frozen=True, slots=True)
class Input:
    """A tensor that a representation is taken against, and how it is seen (format-v1 6.3).

    An input of another float dtype is seen converted, whatever the view.

    Attributes:
        digest: the input tensor.
        rows: None when it has this tensor's shape; (a, b, c, d) when its rows [a, b) stand at this
            tensor's rows [c, d).
        transposed: of two dimensions, which are exchanged; never together with `rows`.
    """

    digest: Digest
    rows: tuple[int, int, int, int] | None = None
    transposed: bool = False


@dataclass(frozen=True, slots=True)
class Representation:
    """One way of keeping one thing, apart from where its bytes are.

    Attributes:
        kind: what it is.
        digest: of the thing; for a locator, of the manifest it serves.
        codec: such as `exact/1`.
        raw_length: bytes of the thing, decoded.
        blocks: blocks of the thing (format-v1 6.1).
        dtype: safetensors name of a tensor's dtype, else an empty string.
        shape: of a tensor, else empty.
        parameters: canonical JSON object, or empty bytes.
        inputs: tensors needed to decode.
    """

    kind: Kind
    digest: Digest
    codec: str
    raw_length: int
    blocks: int
    dtype: str = ""
    shape: tuple[int, ...] = ()
    parameters: bytes = b""
    inputs: tuple[Input, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """One section of a pack (format-v1 section 6, field for field).

    Attributes:
        kind: what the section holds.
        digest: of what it holds; for a locator, of the manifest it serves.
        dtype: safetensors name of a tensor's dtype, else an empty string.
        shape: of a tensor, else empty.
        codec: such as `exact/1`.
        parameters: canonical JSON object, or empty bytes.
        inputs: tensors needed to decode.
        raw_length: bytes of the whole thing, decoded.
        blocks: blocks of the whole thing.
        first_block: first block in this section.
        block_count: blocks in this section.
        offset: of the section in the pack's data, in bytes.
        length: directory and payloads, in bytes.
        directory_hash: hash of the section's directory.
    """

    kind: Kind
    digest: Digest
    dtype: str
    shape: tuple[int, ...]
    codec: str
    parameters: bytes
    inputs: tuple[Input, ...]
    raw_length: int
    blocks: int
    first_block: int
    block_count: int
    offset: int
    length: int
    directory_hash: Digest

    @property
    def representation(self) -> Representation:
        """What all sections of one representation have in common."""
        return Representation(
            kind=self.kind,
            digest=self.digest,
            codec=self.codec,
            raw_length=self.raw_length,
            blocks=self.blocks,
            dtype=self.dtype,
            shape=self.shape,
            parameters=self.parameters,
            inputs=self.inputs,
        )


@dataclass(frozen=True, slots=True)
class Placement:
    """A record and the pack it is in: all that is needed to read a section.

    Attributes:
        pack: the pack's id.
        data_start: offset of the pack's `data` entry from the beginning of the object, in bytes.
        record: the section.
    """

    pack: PackId
    data_start: int
    record: Record
