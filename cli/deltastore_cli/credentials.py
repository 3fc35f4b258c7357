"""Keys and passwords inside URLs: refused before anything runs, and never shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from deltastore.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["redact", "refuse_credentials"]

# a port is no password, but only where URLs of the scheme have ports
_USER_INFO = re.compile(
    r"(?P<scheme>(?:https?|s?ftp|ssh|hdfs|webhdfs)://)(?:[^/@\s:]*:(?!\d{1,5}(?:[/?#]|$))[^@\s]*)@"
    r"|(?P<tokens>https?://)[^/@\s:]+@"
    r"|(?P<any>(?<![A-Za-z0-9])(?!(?:https?|s?ftp|ssh|hdfs|webhdfs):)[A-Za-z][A-Za-z0-9+.-]*://)[^/@\s:]*:[^@\s]*@"
)
_QUERY = re.compile(
    r"(?P<before>://\S*[?&;](?:[\w.-]*(?:token|secret|passw(?:or)?d|signature|credential)[\w.-]*"
    r"|sig|pwd|key|[\w-]*[_-]key)=)[^\s&;]+",
    re.IGNORECASE,
)


def refuse_credentials(texts: Iterable[str], *, where: str = "the command line") -> None:
    """Refuse URLs that carry a password, key or token.

    Raises:
        UsageError: without repeating the URL.
    """
    if any(_USER_INFO.search(text) or _QUERY.search(text) for text in texts):
        raise UsageError(
            f"a URL in {where} holds a password or key",
            hint="keys in a URL end up in logs and shell histories; write the URL without them and"
            " use AWS_PROFILE, AWS_ENDPOINT_URL or FSSPEC_* settings",
        )


def redact(text: str) -> str:
    """The text with what looks like a credential replaced by `***`."""
    text = _USER_INFO.sub(
        lambda found: f"{found['scheme'] or found['tokens'] or found['any']}***@", text
    )
    return _QUERY.sub(lambda found: f"{found['before']}***", text)
