"""URLs with keys or passwords in them are refused before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastore.credentials import holds_credentials, redact
from deltastore.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["redact", "refuse_credentials"]


def refuse_credentials(texts: Iterable[str], *, where: str = "the command line") -> None:
    """Refuse URLs that carry a password, key or token.

    Raises:
        UsageError: without repeating the URL.
    """
    if any(map(holds_credentials, texts)):
        raise UsageError(
            f"a URL in {where} holds a password or key",
            hint="keys in a URL end up in logs and shell histories; write the URL without them and"
            " use AWS_PROFILE, AWS_ENDPOINT_URL or FSSPEC_* settings",
        )
