"""Typed access to the JSON documents of the log: every field is checked before it is believed."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltastore.errors import CorruptError, InvalidError
from deltastore.ids import MAX_JSON_INTEGER, Digest, canonical_json, is_digest, parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deltastore.errors import DeltastoreError
    from deltastore.ids import JsonValue

__all__ = ["Fields", "encode_document", "parse_document"]

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z")
_TOKEN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Fields:
    """One JSON object whose values are read by type.

    Attributes:
        what: names the document in errors.
        values: the object.
        error: the class to raise.
    """

    what: str
    values: Mapping[str, Any]
    error: type[DeltastoreError] = CorruptError

    def refuse(self, key: str, reason: str) -> DeltastoreError:
        """The error for a field, to be raised."""
        return self.error(f"{self.what}: `{key}` {reason}")

    def has(self, key: str) -> bool:
        """Whether the field is there and not null."""
        return self.values.get(key) is not None

    def text(self, key: str) -> str:
        """A string in NFC."""
        value = self.values.get(key)
        if not isinstance(value, str) or not unicodedata.is_normalized("NFC", value):
            raise self.refuse(key, "is not NFC text")
        return value

    def optional_text(self, key: str) -> str | None:
        """A string in NFC, or None."""
        return self.text(key) if self.has(key) else None

    def matching(self, key: str, pattern: re.Pattern[str], meaning: str) -> str:
        """A string of which `pattern` matches the whole."""
        value = self.text(key)
        if pattern.fullmatch(value) is None:
            raise self.refuse(key, f"is not {meaning}: {value[:80]!r}")
        return value

    def time(self, key: str) -> str:
        """An RFC 3339 time in UTC, as it was written."""
        return self.matching(key, _TIME, "an RFC 3339 time in UTC")

    def token(self, key: str) -> str:
        """32 lower-case hex digits: a store or transaction id."""
        return self.matching(key, _TOKEN, "32 lower-case hex digits")

    def digest(self, key: str) -> Digest:
        """64 lower-case hex digits."""
        value = self.values.get(key)
        if not isinstance(value, str) or not is_digest(value):
            raise self.refuse(key, "is not 64 lower-case hex digits")
        return Digest(value)

    def optional_digest(self, key: str) -> Digest | None:
        """64 lower-case hex digits, or None."""
        return self.digest(key) if self.has(key) else None

    def digests(self, key: str) -> tuple[Digest, ...]:
        """A list of digests."""
        values = self.items(key)
        if not all(isinstance(value, str) and is_digest(value) for value in values):
            raise self.refuse(key, "holds something that is not 64 lower-case hex digits")
        return tuple(values)

    def integer(self, key: str, *, low: int = 0, high: int = MAX_JSON_INTEGER) -> int:
        """An integer in [low, high]."""
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.refuse(key, f"is not an integer from {low} to {high}")
        return value

    def boolean(self, key: str, *, default: bool) -> bool:
        """True or false; `default` when the field is not there."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.refuse(key, "is neither true nor false")
        return value

    def items(self, key: str) -> list[Any]:
        """A list of anything."""
        value = self.values.get(key)
        if not isinstance(value, list):
            raise self.refuse(key, "is not a list")
        return value

    def child(self, key: str) -> Fields:
        """An object inside this one."""
        return self.nested(self.values.get(key), key)

    def children(self, key: str) -> list[Fields]:
        """A list of objects."""
        return [self.nested(item, key) for item in self.items(key)]

    def nested(self, value: Any, key: str) -> Fields:
        """`value`, which has to be an object."""
        if not isinstance(value, dict):
            raise self.refuse(key, "is not an object")
        return Fields(f"{self.what}, {key}", value, self.error)

    def strings(self, key: str) -> dict[str, str]:
        """An object whose values are strings in NFC."""
        fields = self.child(key)
        for name in fields.values:
            fields.text(name)
            if not unicodedata.is_normalized("NFC", name):
                raise self.refuse(key, f"has the name {name!r}, which is not NFC text")
        return dict(fields.values)


def parse_document(
    data: bytes, *, what: str, max_bytes: int, error: type[DeltastoreError] = CorruptError
) -> Fields:
    """Parse a JSON object that came from outside.

    Args:
        data: UTF-8 text.
        what: names the document in errors.
        max_bytes: size cap, checked first.
        error: the class to raise.

    Raises:
        DeltastoreError: (as `error`) what `parse_json` refuses, or no JSON object.
    """
    value = parse_json(data, what=what, max_bytes=max_bytes, error=error)
    if not isinstance(value, dict):
        raise error(f"{what}: not a JSON object")
    return Fields(what, value, error)


def encode_document(value: JsonValue, *, what: str, max_bytes: int) -> bytes:
    """Canonical JSON of a document about to be written.

    Raises:
        InvalidError: larger than `max_bytes`, or text that is no NFC Unicode.
    """
    try:
        data = canonical_json(value)
    except TypeError as reason:
        raise InvalidError(f"{what}: {reason}", hint="normalize text to NFC first") from None
    if len(data) > max_bytes:
        raise InvalidError(f"{what}: {len(data)} bytes, more than the {max_bytes} allowed")
    return data
