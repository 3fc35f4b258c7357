"""Reconstruction: tensors back from their representations, verified by digest.

Block i of a tensor depends on block i of its inputs only, so memory is the result and a few blocks,
and all threads work on one tensor. Inputs of another shape or dtype are read whole before.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from deltastore.codecs.blocks import as_words, block_layout
from deltastore.codecs.registry import codec_named
from deltastore.errors import CorruptError
from deltastore.ids import bytes_digest, parse_json, short, tensor_digest
from deltastore.materialize.seeing import is_plain, seen, tensor_spec
from deltastore.specs import DTYPES
from deltastore.storage.records import Input, Kind
from deltastore.storage.sections import cover

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from deltastore.codecs.blocks import BlockLayout
    from deltastore.codecs.protocol import Words
    from deltastore.engine.threads import Workers
    from deltastore.ids import Digest
    from deltastore.kernels.dispatch import Family
    from deltastore.materialize.closure import Closure, Kept
    from deltastore.specs import TensorSpec
    from deltastore.storage.packs import PackReader
    from deltastore.storage.records import Placement, Representation

__all__ = ["Bytes", "TensorReader", "Wanted"]

Bytes: TypeAlias = npt.NDArray[np.uint8]
"""Raw little-endian content, one-dimensional."""

BATCH_BYTES = 16 << 20
"""Stored bytes, and four times that of raw ones, that are fetched together."""

MAX_PARAMETERS = 1 << 16


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tensor to reconstruct: its digest, and what it must turn out to be."""

    digest: Digest
    spec: TensorSpec


@dataclass(frozen=True, slots=True)
class _Task:
    """One tensor to reconstruct.

    Attributes:
        wanted: what it must be.
        layout: its blocks.
        chain: what is decoded block by block, inputs first; all of its dtype and shape.
        seen: inputs that are not, whole, as the tensor sees them.
        result: where it goes.
    """

    wanted: Wanted
    layout: BlockLayout
    chain: tuple[Kept, ...]
    seen: Mapping[Input, Words]
    result: Bytes


@dataclass(frozen=True, slots=True)
class _Job:
    task: _Task
    block: int
    payloads: Mapping[Digest, bytes]


class TensorReader:
    """Reconstructs tensors of one closure. Not for use by several threads at once.

    Args:
        packs: of the store.
        closure: what is needed, and where it is.
        workers: threads that decode.
        family: kernels that decode; the bits do not depend on it.
    """

    def __init__(
        self, packs: PackReader, closure: Closure, workers: Workers, *, family: Family = "cpu"
    ) -> None:
        self._packs = packs
        self._closure = closure
        self._workers = workers
        self._family: Family = family
        self._decode = partial(_decode_job, family)

    def read(self, digest: Digest, spec: TensorSpec) -> Bytes:
        """One whole tensor.

        Raises:
            CorruptError: it is not what its digest promises.
            MissingObjectError: something it needs is not there.
        """
        return next(self.read_many([Wanted(digest, spec)]))

    def read_many(self, wanted: Iterable[Wanted]) -> Iterator[Bytes]:
        """Several, in order; what they need is fetched ahead. Raises as `read`."""
        items = list(wanted)
        with self._packs.ahead(self.sections(item.digest for item in items)) as packs:
            near = self.over(packs)
            for batch in near._batches(items):
                yield from near._read_batch(batch)

    def sections(self, digests: Iterable[Digest]) -> Iterator[Placement]:
        """The sections that tensors will be read from, in order of need, to be fetched ahead."""
        return self._closure.sections(digests)

    def over(self, packs: PackReader) -> TensorReader:
        """The same reader, reading through other packs of the same store."""
        other = copy(self)
        other._packs = packs
        return other

    def _batches(self, wanted: Iterable[Wanted]) -> Iterator[list[_Task]]:
        batch: list[_Task] = []
        stored = raw = 0
        for item in wanted:
            chain, others = self._chain(item)
            size = sum(kept.stored_bytes for kept in chain)
            full = stored + size > BATCH_BYTES or raw + item.spec.nbytes > 4 * BATCH_BYTES
            if batch and full:
                yield batch
                batch, stored, raw = [], 0, 0
            views = {source: self._seen(source, item.spec) for source in others}
            result = np.empty(item.spec.nbytes, np.uint8)
            batch.append(_Task(item, block_layout(item.spec), chain, views, result))
            stored, raw = stored + size, raw + item.spec.nbytes * (1 + len(views))
        if batch:
            yield batch

    def _chain(self, item: Wanted) -> tuple[tuple[Kept, ...], tuple[Input, ...]]:
        """What the tensor is decoded from, inputs first, and the inputs that are read whole."""
        chain: dict[Digest, Kept] = {}
        others: dict[Input, None] = {}
        if self._closure.on_shelf(item.digest):
            return (), (Input(item.digest),)
        self._follow(item.digest, item, chain, others)
        return tuple(chain.values()), tuple(others)

    def _follow(
        self, digest: Digest, item: Wanted, chain: dict[Digest, Kept], others: dict[Input, None]
    ) -> None:
        kept = self._closure[digest]
        _check_fits(kept.representation, item, self._family)
        for source in kept.representation.inputs:
            plain = is_plain(source, self._spec(source.digest), item.spec)
            if not plain or self._closure.on_shelf(source.digest):
                others[source] = None
            elif source.digest not in chain:
                self._follow(source.digest, item, chain, others)
        chain[digest] = kept

    def _spec(self, digest: Digest) -> TensorSpec:
        return tensor_spec(self._closure[digest].representation)

    def _seen(self, source: Input, target: TensorSpec) -> Words:
        """A tensor at hand, or an input of another shape or dtype, read whole and verified."""
        spec = replace(self._spec(source.digest), name=target.name)
        if self._closure.on_shelf(source.digest):
            content = self._closure.shelf.read(source.digest)
        else:
            content = self.read(source.digest, spec)
        return seen(source, as_words(content.data, DTYPES[spec.dtype]), spec, target)

    def _read_batch(self, batch: Sequence[_Task]) -> Iterator[Bytes]:
        last: _Task | None = None
        for task in self._workers.map(self._decode, self._jobs(batch)):
            if last is not None and task is not last:
                yield _verified(last)
            last = task
        if last is not None:
            yield _verified(last)

    def _jobs(self, batch: Sequence[_Task]) -> Iterator[_Job]:
        """One job per block; empty tensors have one too, so that they come in their turn."""
        together = self._fetch_together(batch) if len(batch) > 1 else None
        for task in batch:
            streams = {
                kept.representation.digest: iter(together[kept.representation.digest])
                if together is not None
                else self._stream(kept)
                for kept in task.chain
            }
            for block in range(max(1, task.layout.count)):
                present = block < task.layout.count
                yield _Job(task, block, {d: next(s) for d, s in streams.items()} if present else {})

    def _stream(self, kept: Kept) -> Iterator[bytes]:
        for placement, blocks in cover(kept.placements):
            whole = len(blocks) == placement.record.block_count
            yield from self._packs.payloads(placement, None if whole else blocks)

    def _fetch_together(self, batch: Sequence[_Task]) -> dict[Digest, tuple[bytes, ...]]:
        """All payloads of a batch by digest; sections that cover one thing do not overlap here."""
        chains = {kept.representation.digest: kept for task in batch for kept in task.chain}
        parts = [(kept, part) for kept in chains.values() for part in cover(kept.placements)]
        sections = self._packs.sections([placement for _, (placement, _) in parts])
        result: dict[Digest, tuple[bytes, ...]] = {}
        for (kept, (placement, blocks)), payloads in zip(parts, sections, strict=True):
            skipped = blocks.start - placement.record.first_block
            digest = kept.representation.digest
            result[digest] = result.get(digest, ()) + payloads[skipped:]
        return result


def _decode_job(family: Family, job: _Job) -> _Task:
    """Decode one block into its place in the task's result."""
    task = job.task
    if task.layout.count:
        start, stop = task.layout.byte_bounds(job.block)
        words = (stop - start) // task.layout.word_dtype.itemsize
        seen_blocks = {
            source: whole[start // task.layout.word_dtype.itemsize :][:words]
            for source, whole in task.seen.items()
        }
        block = _decode_chain(task, job.payloads, seen_blocks, words, family)
        task.result[start:stop] = block.view(np.uint8)
    return task


def _check_fits(have: Representation, item: Wanted, family: Family) -> None:
    """Refuse what cannot be decoded before any of its inputs is read."""
    blocks = block_layout(item.spec).count
    fits = have.kind is Kind.TENSOR and have.dtype == item.spec.dtype
    if not fits or have.shape != item.spec.shape or have.blocks != blocks:
        raise CorruptError(
            f"tensor {item.spec.name!r} ({short(item.digest)}): its representation is for "
            f"{have.dtype} {list(have.shape)}, not {item.spec.dtype} {list(item.spec.shape)}"
        )
    codec = codec_named(have.codec, family=family)
    if len(have.inputs) not in codec.input_counts or not codec.supports(DTYPES[have.dtype]):
        raise CorruptError(f"{have.digest}: {have.codec} is not for this")


def _decode_chain(
    task: _Task,
    payloads: Mapping[Digest, bytes],
    seen_blocks: Mapping[Input, Words],
    words: int,
    family: Family,
) -> Words:
    dtype = DTYPES[task.wanted.spec.dtype]
    decoded: dict[Digest, Words] = {}
    for kept in task.chain:
        how = kept.representation
        inputs = [
            seen_blocks[source] if source in seen_blocks else decoded[source.digest]
            for source in how.inputs
        ]
        parameters = _parameters(how.parameters)
        codec = codec_named(how.codec, family=family)
        try:
            block = codec.decode(payloads[how.digest], words, inputs, dtype, parameters)
        except CorruptError as reason:
            name = task.wanted.spec.name
            raise CorruptError(f"tensor {name!r} ({short(how.digest)}): {reason}") from reason
        decoded[how.digest] = block
    whole = Input(task.wanted.digest)
    return seen_blocks[whole] if whole in seen_blocks else decoded[task.wanted.digest]


def _parameters(stored: bytes) -> dict[str, str | int]:
    if not stored:
        return {}
    found = parse_json(stored, what="codec parameters", max_bytes=MAX_PARAMETERS)
    if not isinstance(found, dict) or not all(isinstance(v, (str, int)) for v in found.values()):
        raise CorruptError("codec parameters: not an object of texts and integers")
    return found


def _verified(task: _Task) -> Bytes:
    spec = task.wanted.spec
    found = tensor_digest(spec.dtype, spec.shape, bytes_digest(task.result.data))
    if found != task.wanted.digest:
        raise CorruptError(
            f"tensor {spec.name!r}: its content has digest {short(found)}, not "
            f"{short(task.wanted.digest)}"
        )
    return task.result
