"""Safetensors headers for tensors that have no file, byte for byte as the library writes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from deltastore.checkpoints.safetensors_header import (
    LENGTH_BYTES,
    METADATA_KEY,
    SafetensorsHeader,
    TensorEntry,
)
from deltastore.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deltastore.specs import TensorSpec

__all__ = ["serialize_header"]

# safetensors 0.8 writes tensors by its dtype enumeration from last to first, then by name
_WRITTEN_FIRST = (
    *("U64", "I64", "F64", "C64", "F32", "U32", "I32", "BF16", "F16", "U16", "I16"),
    *("F8_E5M2FNUZ", "F8_E4M3FNUZ", "F8_E8M0", "F8_E4M3", "F8_E5M2", "I8", "U8"),
    *("F6_E3M2", "F6_E2M3", "F4", "BOOL"),
)
_RANK = {dtype: rank for rank, dtype in enumerate(_WRITTEN_FIRST)}


def serialize_header(
    specs: Sequence[TensorSpec], metadata: Mapping[str, str] | None = None
) -> SafetensorsHeader:
    """The header that `safetensors.serialize` writes for such tensors.

    Tensors are laid out by dtype (widest first), then name. The library writes several metadata
    keys in an order that changes from call to call; here they are sorted.

    Args:
        specs: of the tensors, in any order.
        metadata: the `__metadata__` texts; None for no such key.

    Raises:
        InvalidError: a name occurs twice, is `__metadata__`, or is no valid Unicode.
    """
    _check_names(spec.name for spec in specs)
    entries, position = [], 0
    for spec in sorted(specs, key=lambda spec: (_RANK[spec.dtype], spec.name)):
        entries.append(TensorEntry(spec, position, position + spec.nbytes))
        position = entries[-1].end
    texts = None if metadata is None else dict(sorted(metadata.items()))
    return SafetensorsHeader(_bytes(entries, texts), tuple(entries), texts or {})


def _check_names(names: Iterable[str]) -> None:
    seen = set()
    for name in names:
        if name in seen or name == METADATA_KEY:
            reason = "the name is reserved" if name == METADATA_KEY else "the name occurs twice"
            raise InvalidError(f"tensor {name!r}: {reason}")
        seen.add(name)


def _bytes(entries: Sequence[TensorEntry], metadata: Mapping[str, str] | None) -> bytes:
    document: dict[str, Any] = {} if metadata is None else {METADATA_KEY: metadata}
    for entry in entries:
        document[entry.spec.name] = {
            "dtype": entry.spec.dtype,
            "shape": entry.spec.shape,
            "data_offsets": (entry.begin, entry.end),
        }
    try:
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidError("a tensor name or metadata text is no valid Unicode") from None
    text += b" " * (-len(text) % LENGTH_BYTES)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text
