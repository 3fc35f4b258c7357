"""Which files of a version are meant: globs over manifest paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastore.checkpoints.patterns import matches

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["selects"]


def selects(path: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a path is in: some `include` matches (or there is none), and no `exclude` does.

    Globs are those of `.deltastoreignore`: of a whole path, of one of its parts, or of a folder.
    """
    included = not include or any(matches(glob, path) for glob in include)
    return included and not any(matches(glob, path) for glob in exclude)
