"""The one JSON document of `--json`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

__all__ = ["error_document", "partial_document", "plain", "result_document"]

VERSION = 1


def result_document(command: str | None, result: object) -> str:
    """What a command that did its work prints: one line."""
    return _document(command, result=plain(result))


def error_document(command: str | None, *, kind: str, message: str, hint: str) -> str:
    """What a command that failed prints: one line."""
    return _document(command, error={"kind": kind, "message": message, "hint": hint})


def partial_document(command: str | None, result: object, error: Mapping[str, str]) -> str:
    """What a command prints of whose items some failed: one line with both."""
    return _document(command, result=plain(result), error=dict(error))


def _document(command: str | None, **values: object) -> str:
    document = {"deltastore": VERSION, "command": command, **values}
    return json.dumps(document, allow_nan=False) + "\n"


def plain(value: object) -> Any:
    """Frozen values as JSON values; NaN and infinities are null."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if is_dataclass(value):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    msg = f"{type(value).__name__} has no place in a document"
    raise TypeError(msg)
