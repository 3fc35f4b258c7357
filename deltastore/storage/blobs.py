"""The codec `blob/1`: files, documents and lists in blocks of 4 MiB (format-v1 6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastore.errors import CorruptError
from deltastore.storage.limits import BLOB_BLOCK
from deltastore.storage.records import Representation
from deltastore.storage.zstd import compress_text, decompress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deltastore.ids import Digest
    from deltastore.storage.records import Kind

__all__ = [
    "BLOB_CODEC",
    "blob_block_length",
    "blob_blocks",
    "blob_payloads",
    "blob_representation",
    "decode_blob_block",
]

BLOB_CODEC = "blob/1"
_STORED = b"\0"
_ZSTD = b"\1"


def blob_representation(kind: Kind, digest: Digest, raw_length: int) -> Representation:
    """How anything but a tensor is kept."""
    return Representation(kind, digest, BLOB_CODEC, raw_length, blob_blocks(raw_length))


def blob_blocks(raw_length: int) -> int:
    """How many blocks `raw_length` bytes make."""
    return -(-raw_length // BLOB_BLOCK)


def blob_block_length(raw_length: int, block: int) -> int:
    """Raw bytes of one block."""
    return min(BLOB_BLOCK, raw_length - block * BLOB_BLOCK)


def blob_payloads(data: bytes | Iterable[bytes]) -> Iterator[bytes]:
    """The payloads of some content, compressed where that helps; holds one block at a time.

    Args:
        data: the content, whole or in pieces of any size.
    """
    for block in _blocks([data] if isinstance(data, bytes) else data):
        frame = compress_text(block)
        yield _ZSTD + frame if len(frame) < len(block) else _STORED + block


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for piece in pieces:
        for start in range(0, len(piece), BLOB_BLOCK):
            held += piece[start : start + BLOB_BLOCK]
            if len(held) >= BLOB_BLOCK:
                yield bytes(held[:BLOB_BLOCK])
                del held[:BLOB_BLOCK]
    if held:
        yield bytes(held)


def decode_blob_block(payload: bytes, raw_length: int, *, what: str) -> bytes:
    """The raw bytes of one block.

    Raises:
        CorruptError: another length than `raw_length`, or a garbled payload.
    """
    head, body = payload[:1], payload[1:]
    if head == _ZSTD:
        return decompress(body, raw_length, what=what)
    if head != _STORED or len(body) != raw_length:
        raise CorruptError(f"{what}: not a blob/1 payload of {raw_length} bytes")
    return body
