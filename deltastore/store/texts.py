"""What callers write, checked and as it is recorded: texts, numbers, choices, globs."""

from __future__ import annotations

import math
import unicodedata
from typing import TYPE_CHECKING, get_args

from deltastore.credentials import holds_credentials
from deltastore.errors import UsageError
from deltastore.results import Fidelity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "check_fidelity",
    "decimal_text",
    "density_text",
    "globs",
    "metadata_texts",
    "metric_texts",
    "nfc",
]


def nfc(text: str, what: str = "this") -> str:
    """Text as the format keeps it: NFC-normalized.

    Args:
        text: as the caller gave it.
        what: it is, for the message of an error.

    Raises:
        UsageError: no text, or no valid Unicode, such as undecodable bytes of a command line; or a
            URL with a password in it, which would be kept for ever.
    """
    if not isinstance(text, str):
        raise UsageError(f"{what}: a text is needed, not {text!r}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(f"{what}: {text!r} is not valid Unicode") from None
    if holds_credentials(text):
        raise UsageError(
            f"{what}: it holds a URL with a password or key",
            hint="write the URL without them: what is recorded is kept for ever",
        )
    return unicodedata.normalize("NFC", text)


def decimal_text(number: float | str, what: str) -> str:
    """A finite number as decimal text.

    Raises:
        UsageError: it is none.
    """
    try:
        value = float(number)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{what}: {number!r} is not a finite number")
    return number.strip() if isinstance(number, str) else repr(value)


def density_text(density: float | str) -> str:
    """The fraction of a delta that a preview keeps, as decimal text.

    Raises:
        UsageError: not above 0 and at most 1.
    """
    text = decimal_text(density, "preview")
    if not 0 < float(text) <= 1:
        raise UsageError(
            f"preview: {density!r} is not above 0 and at most 1", hint="preview=None for no preview"
        )
    return text


def metric_texts(metrics: Mapping[str, float | str] | None) -> dict[str, str]:
    """Metrics by name as decimal text; raises as `decimal_text` and `nfc`."""
    pairs = (metrics or {}).items()
    return {
        nfc(name, "name of a metric"): decimal_text(value, f"metric {name}")
        for name, value in pairs
    }


def metadata_texts(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Remarks by name; raises as `nfc`."""
    pairs = (metadata or {}).items()
    return {nfc(name, "name of a remark"): nfc(text, f"metadata {name}") for name, text in pairs}


def globs(patterns: str | Sequence[str]) -> tuple[str, ...]:
    """Several globs, also where a caller gave one alone."""
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)


def check_fidelity(fidelity: str) -> None:
    """Refuse what is no fidelity, rather than take it for the default.

    Raises:
        UsageError: neither `exact` nor `preview`.
    """
    if fidelity not in get_args(Fidelity):
        raise UsageError(f"no fidelity {fidelity!r}", hint="exact or preview")
