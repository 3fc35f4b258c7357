"""Words as byte planes, least significant first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.codecs.protocol import Words
    from deltastore.codecs.streams import Symbols

__all__ = ["join_planes", "split_planes"]


def split_planes(words: Words) -> list[Symbols]:
    """One array of `len(words)` bytes for each byte of the word."""
    columns = words.view(np.uint8).reshape(-1, words.itemsize)
    return [np.ascontiguousarray(columns[:, byte]) for byte in range(words.itemsize)]


def join_planes(planes: Sequence[Symbols], kind: np.dtype[Any]) -> Words:
    """The words of which these are the planes."""
    columns = np.empty((len(planes[0]), kind.itemsize), np.uint8)
    for byte, plane in enumerate(planes):
        columns[:, byte] = plane
    return columns.view(kind).reshape(-1)
