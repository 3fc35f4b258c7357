"""Digests as columns: four unsigned 64-bit integers each, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Columns", "digest_columns", "hex_digests", "hex_of"]

Columns: TypeAlias = "dict[str, npt.NDArray[np.generic]]"
"""Arrays of one length by column name, which DuckDB reads where they are."""


def digest_columns(digests: Iterable[str], prefix: str = "k") -> Columns:
    """Four uint64 columns of shape (number of digests,).

    Args:
        digests: 64 hex digits each.
        prefix: the columns are called `<prefix>0` to `<prefix>3`.
    """
    raw = bytes.fromhex("".join(digests))
    words = np.frombuffer(raw, dtype=">u8").astype(np.uint64).reshape(-1, 4)
    return {f"{prefix}{i}": np.ascontiguousarray(words[:, i]) for i in range(4)}


def hex_digests(columns: Mapping[str, npt.NDArray[np.generic]], prefix: str = "k") -> list[str]:
    """The digests in four uint64 columns."""
    words = np.stack([columns[f"{prefix}{i}"] for i in range(4)], axis=1)
    text = words.astype(">u8").tobytes().hex()
    return [text[at : at + 64] for at in range(0, len(text), 64)]


def hex_of(*words: int) -> str:
    """The digest of one row's four columns."""
    return "".join(f"{word:016x}" for word in words)
