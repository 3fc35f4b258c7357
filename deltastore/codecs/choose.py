"""Which codecs a tensor may get, and the smallest of them by real size (format-v1 7.1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from deltastore.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from deltastore.specs import Dtype

__all__ = ["PREVIEW_LEAST_SIZE", "Candidate", "Choice", "InputRole", "candidates", "smallest"]

InputRole = Literal["reference", "preview", "base", "parent"]

PREVIEW_LEAST_SIZE = 16_384
"""Elements below which a tensor has no preview."""

_PACKED_BITS = (4, 6)
_LOOKS = ((1, 1.25), (4, 1.25), (16, 1.0))
"""After that many blocks, candidates larger than the best by that factor are given up; after the
last look one is left, which bounds what is held of a tensor of any size."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A codec and what it is to be used with.

    Attributes:
        codec: its name.
        inputs: the roles of its inputs, in order.
    """

    codec: str
    inputs: tuple[InputRole, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """The outcome of measuring.

    Attributes:
        candidate: the smallest.
        payloads: of all blocks, in order.
        sizes: bytes of each candidate that was followed to the end.
    """

    candidate: Candidate
    payloads: tuple[bytes, ...]
    sizes: Mapping[Candidate, int]


Key = TypeVar("Key")


class Run(Protocol):
    """`map` over one iterable, results in order."""

    def __call__(self, function: Callable[[Any], Any], items: Iterable[Any], /) -> Iterable[Any]:
        """Apply `function` to each item."""
        ...


def candidates(
    dtype: Dtype, *, has_reference: bool, has_preview: bool = False
) -> tuple[Candidate, ...]:
    """The table of format-v1 7.1, best guess first.

    Args:
        dtype: of the tensor.
        has_reference: whether there is a tensor to take differences to.
        has_preview: whether there is a preview of it and the preview's base.
    """
    found = [Candidate("dense/1", ())]
    if has_reference:
        found.insert(0, Candidate("sparse/1", ("reference",)))
        if dtype.bits not in _PACKED_BITS:
            found.insert(0, Candidate("exact/1", ("reference",)))
    if has_preview and dtype.kind == "float":
        found.insert(0, Candidate("exact/1", ("preview", "base")))
    return tuple(found)


def smallest(
    encoders: Mapping[Candidate, Callable[[int], bytes]], blocks: int, *, run: Run = map
) -> Choice:
    """Encode with all candidates and keep the smallest; the first of equals.

    A candidate that is more than 1.25 times as large as the best after the first block, or after
    the fourth, is not followed any further; after 16 blocks (32 MiB of bf16) the best is.

    Args:
        encoders: per candidate, block number to payload, in order of preference.
        blocks: how many there are.
        run: an ordered map, such as one over threads.

    Raises:
        UsageError: no candidates.
    """
    if not encoders:
        raise UsageError("no codec to choose from")
    payloads: dict[Candidate, list[bytes]] = {candidate: [] for candidate in encoders}
    start = 0
    for stop, factor in (*((min(look, blocks), factor) for look, factor in _LOOKS), (blocks, 1.0)):
        followed = tuple(encoders[candidate] for candidate in payloads)
        for encoded in run(partial(_encode_block, followed), range(start, stop)):
            for kept, payload in zip(payloads.values(), encoded, strict=True):
                kept.append(payload)
        if start < stop < blocks:
            payloads = _followed(payloads, factor)
        start = stop
    sizes = {candidate: _size(encoded) for candidate, encoded in payloads.items()}
    best = min(sizes, key=sizes.__getitem__)
    return Choice(best, tuple(payloads[best]), sizes)


def _encode_block(encoders: Sequence[Callable[[int], bytes]], block: int) -> list[bytes]:
    return [encode(block) for encode in encoders]


def _followed(payloads: Mapping[Key, list[bytes]], factor: float) -> dict[Key, list[bytes]]:
    sizes = {key: _size(encoded) for key, encoded in payloads.items()}
    limit = factor * min(sizes.values())
    kept = [key for key, size in sizes.items() if size <= limit]
    return {key: payloads[key] for key in (kept if factor > 1 else kept[:1])}


def _size(payloads: Sequence[bytes]) -> int:
    return sum(map(len, payloads))
