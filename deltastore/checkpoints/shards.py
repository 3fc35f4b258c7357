"""The index beside a sharded model: every shard it names is there and holds what it says."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from deltastore.errors import InvalidError
from deltastore.ids import parse_json

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["INDEX_SUFFIX", "MAX_INDEX_BYTES", "check_index"]

INDEX_SUFFIX = ".safetensors.index.json"
MAX_INDEX_BYTES = 64 * 2**20

_SHOWN = 5


def check_index(
    path: str, data: bytes, shards: Mapping[str, Collection[str]], others: Collection[str]
) -> tuple[str, ...]:
    """Compare a `*.safetensors.index.json` with the safetensors files beside it.

    Args:
        path: the index's manifest path.
        data: its bytes.
        shards: manifest path of every safetensors file to the names of its tensors.
        others: manifest paths of all other files.

    Returns:
        Warnings: tensors that are in the named shards and not in the index.

    Raises:
        InvalidError: no index, or it names a file that is not there or no safetensors file, or a
            tensor that is not in the shard it names.
    """
    located = _located(path, _weight_map(path, data))
    absent = sorted(set(located) - shards.keys())
    if absent:
        raise _missing_shards(path, absent, others)
    wrong = [
        f"{name!r} in {shard}"
        for shard, names in sorted(located.items())
        for name in names
        if name not in shards[shard]
    ]
    if wrong:
        raise InvalidError(f"{path}: names tensors that are not there: {_some(wrong)}")
    return _unlisted(path, located, shards)


def _weight_map(path: str, data: bytes) -> dict[str, str]:
    document: Any = parse_json(
        data, what=path, max_bytes=MAX_INDEX_BYTES, error=InvalidError, floats=True
    )
    located = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(located, dict) or not all(isinstance(name, str) for name in located.values()):
        raise InvalidError(f"{path}: no weight_map from tensor names to file names")
    return located


def _located(path: str, weight_map: Mapping[str, str]) -> dict[str, list[str]]:
    """Tensor names by the manifest path of their shard."""
    folder = posixpath.dirname(path)
    located: dict[str, list[str]] = {}
    for name, shard in weight_map.items():
        located.setdefault(posixpath.join(folder, shard), []).append(name)
    return located


def _missing_shards(path: str, absent: Sequence[str], others: Collection[str]) -> InvalidError:
    opaque = [shard for shard in absent if shard in others]
    if opaque:
        return InvalidError(f"{path}: names files that are not safetensors: {_some(opaque)}")
    return InvalidError(
        f"{path}: names files that are not there: {_some(absent)}",
        hint="get the missing shards, or leave the index out too (--exclude)",
    )


def _unlisted(
    path: str, located: Mapping[str, Sequence[str]], shards: Mapping[str, Collection[str]]
) -> tuple[str, ...]:
    names = [
        f"{name!r} in {shard}"
        for shard, listed in sorted(located.items())
        for name in sorted(set(shards[shard]) - set(listed))
    ]
    return (f"{path}: does not list tensors of its shards: {_some(names)}",) if names else ()


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
