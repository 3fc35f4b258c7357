"""Which files of a folder take part: globs, `.deltastoreignore`, and the built-in list."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from deltastore.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["IGNORE_FILE", "LEFT_OUT", "Selection", "matches", "parse_ignore_file"]

IGNORE_FILE = ".deltastoreignore"

LEFT_OUT = (
    ".git",
    ".cache",
    ".deltastore",
    "__pycache__",
    "*.lock",
    ".DS_Store",
    ".deltastore-*.tmp",  # a checkout that was killed leaves these
)


@dataclass(frozen=True, slots=True)
class Selection:
    """What to keep of a folder: `exclude` is stronger than `include`, which is than `ignored`.

    Attributes:
        include: globs that bring back what `ignored` leaves out; they restrict nothing.
        exclude: globs that leave out.
        ignored: globs that leave out by default.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    ignored: tuple[str, ...] = LEFT_OUT

    def keeps(self, path: str) -> bool:
        """Whether `path` takes part; a folder's path ends in `/`."""
        if _any_matches(self.exclude, path):
            return False
        return _any_matches(self.include, path) or not _any_matches(self.ignored, path)

    def may_keep_below(self, folder: str) -> bool:
        """Whether something below `folder` (which ends in `/`) may take part."""
        excluded = _any_matches(self.exclude, folder)
        return self.keeps(folder) or (bool(self.include) and not excluded)


def _any_matches(patterns: Sequence[str], path: str) -> bool:
    return any(matches(pattern, path) for pattern in patterns)


def matches(pattern: str, path: str) -> bool:
    """Whether `pattern` fits `path` or a folder that it is in.

    Args:
        pattern: without a `/` inside it fits a file or folder of that name anywhere, with one it is
            relative to the root; `*`, `?` and `[...]` stay within a part, `**` is any number of
            parts, a trailing `/` fits folders only.
        path: `/`-separated, relative; a folder's ends in `/`.
    """
    parts = path.rstrip("/").split("/")
    if pattern.endswith("/") and not path.endswith("/"):
        parts = parts[:-1]  # the last one is no folder
    if "/" not in pattern.rstrip("/"):
        name = pattern.rstrip("/")
        return any(fnmatchcase(part, name) for part in parts)
    return _fits_beginning(pattern.strip("/").split("/"), parts)


def _fits_beginning(wanted: list[str], parts: Sequence[str]) -> bool:
    """Whether the pattern fits some of the first `parts`.

    Run as a state machine over the pattern's parts, so that `**/**/**` costs no more than its
    length.
    """
    states = _skip_stars(wanted, {0})
    for part in parts:
        stay = {at for at in states if wanted[at : at + 1] == ["**"]}
        step = {at + 1 for at in states - stay - {len(wanted)} if fnmatchcase(part, wanted[at])}
        states = _skip_stars(wanted, stay | step)
        if len(wanted) in states:
            return True
    return False


def _skip_stars(wanted: Sequence[str], states: set[int]) -> set[int]:
    reached = set(states)
    for at, pattern in enumerate(wanted):
        if at in reached and pattern == "**":
            reached.add(at + 1)
    return reached


def parse_ignore_file(text: str) -> tuple[str, ...]:
    """The globs of a `.deltastoreignore`: one per line; blank lines and `#` comments aside.

    Raises:
        InvalidError: a line begins with `!`, which git has and this has not.
    """
    lines = (line.strip() for line in text.splitlines())
    patterns = tuple(line for line in lines if line and not line.startswith("#"))
    negated = next((pattern for pattern in patterns if pattern.startswith("!")), None)
    if negated is not None:
        raise InvalidError(
            f"{IGNORE_FILE}: {negated!r}: patterns that begin with ! are not supported",
            hint="bring files back with --include",
        )
    return patterns
