"""Digests, commit ids, and the one JSON reader and writer of the format.

Identity is BLAKE3-256 throughout, as 64 lower-case hexadecimal digits. An id is always the hash of
*stored bytes*: nobody serializes again to verify.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any, NewType

from blake3 import blake3

from deltastore.errors import CorruptError, DeltastoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TypeAlias

    from typing_extensions import Buffer

    JsonValue: TypeAlias = "bool | int | str | Sequence[JsonValue] | dict[str, JsonValue] | None"
    JsonObject: TypeAlias = dict[str, Any]

__all__ = [
    "HEX_LENGTH",
    "SHORT_LENGTH",
    "CommitId",
    "Digest",
    "blob_digest",
    "bytes_digest",
    "canonical_json",
    "is_digest",
    "parse_json",
    "short",
    "tensor_digest",
]

Digest = NewType("Digest", str)
"""64 lower-case hex digits of a BLAKE3-256 hash."""

CommitId = NewType("CommitId", str)
"""Digest of the stored bytes of a commit header."""

HEX_LENGTH = 64
SHORT_LENGTH = 12
MAX_JSON_DEPTH = 32
MAX_JSON_INTEGER = 2**53

_TENSOR_CONTEXT = "deltastore tensor v1"
_BLOB_CONTEXT = "deltastore blob v1"
_HEX = re.compile(r"[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Whether `text` is spelled as a digest: 64 lower-case hex digits and nothing else."""
    return _HEX.fullmatch(text) is not None


def short(digest: str) -> str:
    """The 12 digits shown to people. A look-up key only, never a proof."""
    return digest[:SHORT_LENGTH]


def bytes_digest(data: Buffer) -> Digest:
    """BLAKE3-256 of `data`: commit ids, manifests, log heads, pack heads, tensor contents."""
    return Digest(blake3(data).hexdigest())


def tensor_digest(dtype: str, shape: Sequence[int], content: Digest) -> Digest:
    """Identity of a tensor: its dtype, shape and raw little-endian bytes. Bits, not values.

    Args:
        dtype: as safetensors spells it, such as `BF16`.
        shape: dimensions, outermost first; empty for rank 0.
        content: `bytes_digest` of the raw little-endian bytes in C order.
    """
    name = dtype.encode("ascii")
    message = bytes([len(name)]) + name + bytes([len(shape)])
    message += b"".join(size.to_bytes(8, "little") for size in shape)
    message += bytes.fromhex(content)
    return Digest(blake3(message, derive_key_context=_TENSOR_CONTEXT).hexdigest())


def blob_digest(length: int, content: Digest) -> Digest:
    """Identity of an opaque file: its length in bytes and the `bytes_digest` of its bytes."""
    message = length.to_bytes(8, "little") + bytes.fromhex(content)
    return Digest(blake3(message, derive_key_context=_BLOB_CONTEXT).hexdigest())


def canonical_json(value: JsonValue) -> bytes:
    """The one serialization: UTF-8, keys sorted by code point, no spaces, NFC, no floats.

    Raises:
        TypeError: a float, an integer beyond 2^53, or text that is no valid NFC Unicode.
    """
    _check_canonical(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8")


def _check_canonical(value: Any) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_canonical(key)
            _check_canonical(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_canonical(item)
    elif value is None or isinstance(value, bool):
        return
    elif not isinstance(value, int) or abs(value) > MAX_JSON_INTEGER:
        msg = f"{value!r} has no canonical JSON form (write numbers with fractions as text)"
        raise TypeError(msg)


def _check_text(text: str) -> None:
    if not unicodedata.is_normalized("NFC", text):
        msg = f"{text!r} is not NFC-normalized"
        raise TypeError(msg)
    if any("\ud800" <= char <= "\udfff" for char in text):
        msg = f"{text!r} holds a lone surrogate"
        raise TypeError(msg)


def parse_json(
    data: bytes,
    *,
    what: str,
    max_bytes: int,
    error: type[DeltastoreError] = CorruptError,
    floats: bool = False,
) -> Any:
    """Parse JSON that came from outside, with every limit checked.

    Args:
        data: UTF-8 text.
        what: names the document in errors.
        max_bytes: size cap, checked first.
        error: the class to raise.
        floats: whether finite numbers with fractions are allowed.

    Raises:
        DeltastoreError: (as `error`) too large, nested deeper than 32, a duplicate key, a
            non-finite number, a lone surrogate, an integer beyond 2^53, or no JSON at all.
    """
    if len(data) > max_bytes:
        raise error(f"{what}: {len(data)} bytes of JSON, more than the {max_bytes} allowed")
    try:
        text = data.decode("utf-8")
        _check_depth(text)
        return json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse,
            parse_int=_bounded_int,
            parse_float=float if floats else _refuse,
        )
    except (ValueError, RecursionError) as reason:
        raise error(f"{what}: not valid JSON: {reason}") from None


def _check_depth(text: str) -> None:
    """Bound the nesting before the parser recurses; brackets inside strings do not count."""
    depth = 0
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        char = token.group()
        if char in "[{":
            depth += 1
            if depth > MAX_JSON_DEPTH:
                msg = f"nested deeper than {MAX_JSON_DEPTH}"
                raise ValueError(msg)
        elif char in "]}":
            depth -= 1


def _unique_keys(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        _refuse_surrogates(key)
        _refuse_surrogates(value)
        if key in result:
            msg = f"duplicate key {key!r}"
            raise ValueError(msg)
        result[key] = value
    return result


def _refuse_surrogates(value: Any) -> None:
    texts = value if isinstance(value, list) else [value]
    for text in texts:
        if isinstance(text, str):
            try:
                text.encode("utf-8")
            except UnicodeEncodeError:
                msg = f"lone surrogate in {text!r}"
                raise ValueError(msg) from None


def _bounded_int(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_JSON_INTEGER:
        msg = f"integer {text[:20]} is beyond 2^53"
        raise ValueError(msg)
    return int(text)


def _refuse(text: str) -> Any:
    msg = f"number {text[:20]!r} is not allowed here"
    raise ValueError(msg)
