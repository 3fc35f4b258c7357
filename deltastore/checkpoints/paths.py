"""Which paths a manifest may hold (format-v1, section 5)."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from deltastore.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["MAX_FILES", "MAX_PATH_BYTES", "check_path", "check_paths"]

MAX_FILES = 10**5
MAX_PATH_BYTES = 1024

_RESERVED = frozenset(
    {"con", "prn", "aux", "nul"}
    | {f"{port}{digit}" for port in ("com", "lpt") for digit in range(10)}
)


def check_path(text: str) -> str:
    """Return `text` if it is a path that every file system can hold and none can misread.

    Raises:
        InvalidError: it is absolute, not NFC, over 1,024 bytes, or has an empty, `.` or `..` part,
            a control character, backslash, colon, trailing dot or space, a reserved device name or
            the part `.deltastore`, however it is cased.
    """
    reason = _fault(text)
    if reason:
        raise InvalidError(
            f"path {text!r}: {reason}", hint="rename the file, or leave it out with --exclude"
        )
    return text


def _fault(text: str) -> str:
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        return "not valid Unicode"
    if not text:
        return "empty"
    if size > MAX_PATH_BYTES:
        return f"{size} bytes, more than {MAX_PATH_BYTES}"
    if text.startswith("/"):
        return "absolute"
    if not unicodedata.is_normalized("NFC", text):
        return "not NFC-normalized Unicode"
    return next((fault for part in text.split("/") if (fault := _part_fault(part))), "")


def _part_fault(part: str) -> str:
    folded = part.casefold()
    faults = {
        f"has the part {part!r}": part in ("", ".", ".."),
        "has a control character": any(unicodedata.category(char) == "Cc" for char in part),
        "has a backslash or a colon": "\\" in part or ":" in part,
        f"the part {part!r} ends in a dot or a space": part.endswith((".", " ")),
        f"the part {part!r} is a reserved device name": folded.partition(".")[0] in _RESERVED,
        f"the part {part!r} is reserved": folded == ".deltastore",
    }
    return next((reason for reason, applies in faults.items() if applies), "")


def check_paths(paths: Iterable[str]) -> tuple[str, ...]:
    """Check the paths of one manifest, one by one and against each other.

    Returns:
        Warnings: paths that differ only in case, and so cannot all exist on every file system.

    Raises:
        InvalidError: a path is invalid, occurs twice, or is the folder of another; or there are
            more than 10^5.
    """
    seen: set[str] = set()
    for path in paths:
        if check_path(path) in seen:
            raise InvalidError(f"path {path!r} occurs twice")
        seen.add(path)
        if len(seen) > MAX_FILES:
            raise InvalidError(f"more than {MAX_FILES} files", hint="leave some out (--exclude)")
    clash = next(iter(_below_files({path: path for path in seen})), None)
    if clash is not None:
        raise InvalidError(f"path {clash[0]!r} is a file and the folder of {clash[1]!r}")
    return _case_warnings(seen)


def _below_files(paths: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs (file, path below it), by the keys of `paths`; its values are what is returned."""
    pairs = []
    for key in sorted(paths):
        parts = key.split("/")
        parents = ("/".join(parts[:count]) for count in range(1, len(parts)))
        pairs += [(paths[parent], paths[key]) for parent in parents if parent in paths]
    return pairs


def _case_warnings(paths: Iterable[str]) -> tuple[str, ...]:
    folded: dict[str, str] = {}
    warnings = []
    for path in sorted(paths):
        # NFC again: folding case can leave a text that is not normalized
        twin = folded.setdefault(unicodedata.normalize("NFC", path.casefold()), path)
        if twin != path:
            warnings.append(f"paths {twin!r} and {path!r} differ only in case")
    warnings += [
        f"paths {file!r} and {below!r} clash where case does not count"
        for file, below in _below_files(folded)
    ]
    return tuple(warnings)
