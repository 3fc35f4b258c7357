"""Keys and passwords inside URLs: found, and blotted out.

Every error of this package passes its message through `redact`, so that what a person or a program
logs of it can be shown to anybody.
"""

from __future__ import annotations

import re

__all__ = ["holds_credentials", "redact"]

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


def holds_credentials(text: str) -> bool:
    """Whether a URL in a text carries a password, key or token."""
    return "://" in text and bool(_USER_INFO.search(text) or _QUERY.search(text))


def redact(text: str) -> str:
    """The text with what looks like a credential replaced by `***`."""
    if "://" not in text:
        return text
    text = _USER_INFO.sub(
        lambda found: f"{found['scheme'] or found['tokens'] or found['any']}***@", text
    )
    return _QUERY.sub(lambda found: f"{found['before']}***", text)
