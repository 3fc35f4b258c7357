"""Taking URLs apart, and refusing those that hold a secret."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from deltastore.credentials import holds_credentials
from deltastore.errors import UnsupportedError, UsageError

__all__ = ["check_url", "hub_refused", "scheme_of"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def scheme_of(text: str) -> str | None:
    """The scheme of a URL in lower case; None for a path."""
    found = _SCHEME.match(text)
    return found.group(1).lower() if found else None


def check_url(scheme: str, text: str) -> None:
    """Refuse secrets and chains. No message may repeat the URL: that would publish the secret.

    Raises:
        UsageError: the URL is a chain, or has credentials or options in it.
    """
    rest = text.partition("://")[2]
    if "::" in text:
        raise UsageError(
            f"a chained {scheme} URL names no single place",
            hint="give the location itself, without ::",
        )
    authority = rest.split("/", 1)[0]
    if ":" in authority.rpartition("@")[0] or _query(text) or holds_credentials(text):
        raise UsageError(
            f"the {scheme} URL has credentials or options in it; they would end up in logs",
            hint="set AWS_PROFILE or the variables and files of your provider, or pass options",
        )


def hub_refused() -> UnsupportedError:
    """What `hf:` is answered."""
    return UnsupportedError(
        "hf: is not supported by this version: nothing is downloaded from a hub",
        hint="hf download NAME --local-dir FOLDER, then name the folder",
    )


def _query(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.query or parts.fragment)
