"""The first 4,096 bytes of a pack: a safetensors header that names, and vouches for, the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from deltastore.errors import CorruptError, NewerFormatError, UsageError
from deltastore.ids import Digest, bytes_digest, canonical_json, is_digest, parse_json
from deltastore.storage.limits import MAX_INDEX, MAX_PACK
from deltastore.storage.records import PackClass, PackId

if TYPE_CHECKING:
    from deltastore.ids import JsonObject

__all__ = ["HEAD_BYTES", "MAX_STORED_INDEX", "PackHead", "decode_head", "encode_head"]

HEAD_BYTES = 4096
# zstd's bound for incompressible input is below 1/128 more
MAX_STORED_INDEX = MAX_INDEX + MAX_INDEX // 128
MAX_WRITER = 200
_FORMAT = "deltastore pack"
_VERSION = "1"
_NONCE = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class PackHead:
    """What a pack says about itself.

    Attributes:
        pack_class: one of the five classes.
        nonce: 32 hex digits that make the pack's name unique.
        index_hash: hash of the stored bytes of `index`.
        index_length: bytes of `index`.
        data_length: bytes of `data`.
        writer: program and version.
    """

    pack_class: PackClass
    nonce: str
    index_hash: Digest
    index_length: int
    data_length: int
    writer: str

    @property
    def data_start(self) -> int:
        """Offset of `data` in the object."""
        return HEAD_BYTES + self.index_length

    @property
    def size(self) -> int:
        """Bytes of the whole pack."""
        return self.data_start + self.data_length


def encode_head(head: PackHead) -> bytes:
    """The 4,096 bytes; their hash is the pack's id.

    Raises:
        UsageError: a writer's name beyond 200 characters, or a nonce that is none.
    """
    if len(head.writer) > MAX_WRITER or not _NONCE.fullmatch(head.nonce):
        raise UsageError(f"writer {head.writer[:80]!r} or nonce {head.nonce!r} cannot be in a pack")
    data_end = head.index_length + head.data_length
    text = canonical_json(
        {
            "__metadata__": {
                "class": head.pack_class,
                "format": _FORMAT,
                "index_b3": head.index_hash,
                "nonce": head.nonce,
                "version": _VERSION,
                "writer": head.writer,
            },
            "index": {
                "data_offsets": [0, head.index_length],
                "dtype": "U8",
                "shape": [head.index_length],
            },
            "data": {
                "data_offsets": [head.index_length, data_end],
                "dtype": "U8",
                "shape": [head.data_length],
            },
        }
    )
    length = HEAD_BYTES - 8
    return length.to_bytes(8, "little") + text.ljust(length)


def decode_head(data: bytes, pack: PackId) -> PackHead:
    """What the first 4,096 bytes of pack `pack` say.

    Raises:
        CorruptError: the bytes do not have that id, or break the format.
        NewerFormatError: a pack of another version.
    """
    what = f"pack {pack}"
    if len(data) != HEAD_BYTES or PackId(bytes_digest(data)) != pack:
        raise CorruptError(f"{what}: its first {HEAD_BYTES} bytes do not have that hash")
    if int.from_bytes(data[:8], "little") != HEAD_BYTES - 8:
        raise CorruptError(f"{what}: its header is not {HEAD_BYTES} bytes long")
    header = parse_json(data[8:].rstrip(b" "), what=what, max_bytes=HEAD_BYTES)
    try:
        return _head(header)
    except (KeyError, TypeError, ValueError) as reason:
        raise CorruptError(f"{what}: not the header of a pack: {reason}") from None


def _head(header: JsonObject) -> PackHead:
    about = header["__metadata__"]
    if about["format"] != _FORMAT or not isinstance(about["version"], str):
        raise ValueError(f"format {about['format']!r}")
    if about["version"] != _VERSION:
        raise NewerFormatError(
            f"a pack of version {about['version'][:20]!r}", hint="update deltastore to read it"
        )
    if about["class"] not in get_args(PackClass) or not is_digest(about["index_b3"]):
        raise ValueError(f"class {about['class']!r}")
    if set(header) != {"__metadata__", "index", "data"}:
        raise ValueError(f"entries {sorted(header)}")
    index_end = _entry_end(header["index"], 0, MAX_STORED_INDEX)
    data_end = _entry_end(header["data"], index_end, MAX_PACK)
    return PackHead(
        pack_class=about["class"],
        nonce=str(about["nonce"]),
        index_hash=Digest(about["index_b3"]),
        index_length=index_end,
        data_length=data_end - index_end,
        writer=str(about["writer"]),
    )


def _entry_end(entry: Any, start: int, limit: int) -> int:
    """Where one U8 entry ends that has to begin at `start`."""
    first, end = entry["data_offsets"]
    (size,) = entry["shape"]
    if not all(isinstance(number, int) for number in (first, end, size)):
        raise TypeError("offsets that are no integers")
    if entry["dtype"] != "U8" or first != start or end - first != size or not start <= end <= limit:
        raise ValueError(f"entry {entry}")
    return int(end)
