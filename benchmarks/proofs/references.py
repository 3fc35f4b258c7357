"""What a version would take against each stored one: encoded as a commit would, but not stored."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from deltastore.codecs.choose import PREVIEW_LEAST_SIZE
from deltastore.ids import CommitId, Digest, bytes_digest, tensor_digest
from deltastore.ingest.basing import open_known, pairs_by_content
from deltastore.ingest.detecting import likeness
from deltastore.ingest.encoding import TensorEncoder
from deltastore.ingest.sampling import SampledSource
from deltastore.store.inputs import open_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from deltastore import Store
    from deltastore.catalog.answers import SketchRow
    from deltastore.ingest.encoding import EncodedTensor, Reference
    from deltastore.ingest.known import KnownVersion
    from deltastore.materialize.session import Session
    from deltastore.materialize.tensors import Bytes
    from deltastore.specs import TensorSpec
    from deltastore.storage.records import Input

__all__ = ["DENSITY", "Found", "Trial", "Trials"]

DENSITY = "0.05"

FEW = 2_500_000
"""Parameters by which all versions are compared."""

LARGE = 1_000_000
"""Parameters of a tensor that would be most of what is compared."""

FINALISTS = 3
"""Versions that are then compared by all tensors."""


@dataclass(frozen=True, slots=True)
class Found:
    """What trying all stored versions found for a new one, in bytes of its tensors.

    Attributes:
        whole: with no base.
        sizes: against the versions that are best by a few tensors; of all tensors.
    """

    whole: int
    sizes: Mapping[CommitId, int]

    @property
    def best(self) -> CommitId | None:
        """The version of the smallest; None where there is none."""
        return min(self.sizes, key=self.sizes.__getitem__, default=None)

    @property
    def least(self) -> int:
        """Bytes against the best, or with no base where that is less."""
        return min([self.whole, *self.sizes.values()])


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor of a file that was committed, or is about to be."""

    path: str
    spec: TensorSpec
    digest: Digest
    data: Bytes


class _Shelf:
    """All tensors that were committed, so that none has to be decoded again and again."""

    def __init__(self) -> None:
        self._contents: dict[Digest, Bytes] = {}

    def add(self, tensors: Iterable[_Tensor]) -> None:
        self._contents.update((tensor.digest, tensor.data) for tensor in tensors)

    def has(self, digest: Digest, dtype: str, shape: tuple[int, ...]) -> bool:
        """See `Shelf.has`."""
        del dtype, shape  # the digest says them
        return digest in self._contents

    def read(self, digest: Digest) -> Bytes:
        """See `Shelf.read`."""
        return self._contents[digest]


class Trials:
    """Tries stored versions as references; the store is only read.

    Args:
        store: opened for this alone, with a cache of its own, so that what is timed elsewhere finds
            its catalog as it would have been. Every commit is announced to `stored`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._shelf = _Shelf()
        self._session = replace(store._session(), shelf=self._shelf)
        self._encoder = TensorEncoder(self._session.workers, DENSITY)
        self._commits: list[CommitId] = []

    def stored(self, weights: Path, commit: str) -> None:
        """Take a version that was committed among those that are tried.

        Args:
            weights: the safetensors file.
            commit: its id.
        """
        self._shelf.add(_tensors(weights))
        self._commits.append(CommitId(Digest(commit)))

    def of(self, weights: Path) -> Trial:
        """What a new version would take, as things stand: it is committed after that."""
        self._session.log.refresh()
        return Trial(self._store, self._session, self._encoder, weights, self._commits)


class Trial:
    """One new version; what was encoded of it is remembered, for stored versions share tensors."""

    def __init__(
        self,
        store: Store,
        session: Session,
        encoder: TensorEncoder,
        weights: Path,
        commits: Sequence[CommitId],
    ) -> None:
        self._tensors = list(_tensors(weights))
        self._few = set(_few(self._tensors))
        self._encoder = encoder
        self._memory: dict[tuple[Digest, Input | None], int] = {}
        catalog = store._catalog()
        self._holders = catalog.holders([tensor.digest for tensor in self._tensors])
        opened = open_source(weights, files=None, include=(), exclude=(), options=_no_options)
        sampled = SampledSource.of(opened.source.files())
        groups: defaultdict[CommitId, list[SketchRow]] = defaultdict(list)
        for row in catalog.sketches(commits):
            groups[row.commit].append(row)
        self._known = {
            commit: _known(session, sampled, commit, groups[commit]) for commit in commits
        }

    def found(self, chosen: str | None) -> Found:
        """All stored versions as references, the best by some tensors and the chosen one by all.

        Args:
            chosen: id of the chosen version, or None.
        """
        few = {commit: self._nbytes(each, few=True) for commit, each in self._known.items()}
        best = sorted(few, key=few.__getitem__)[:FINALISTS]
        finalists = dict.fromkeys([*best, *(commit for commit in few if commit == chosen)])
        return Found(self._nbytes(None), {c: self._nbytes(self._known[c]) for c in finalists})

    def _nbytes(self, known: KnownVersion | None, *, few: bool = False) -> int:
        """What the tensors would take, against a version or alone."""
        chosen = (tensor for tensor in self._tensors if not few or tensor.digest in self._few)
        return sum(self._tensor_bytes(tensor, known) for tensor in chosen)

    def _tensor_bytes(self, tensor: _Tensor, known: KnownVersion | None) -> int:
        if tensor.digest in self._holders:
            return 0
        pair = known.counterpart(tensor.path, tensor.spec) if known else None
        deep = known is None or pair is None or known.too_deep(pair.tensor.digest)
        key = (tensor.digest, None if deep or pair is None else pair.source)
        if key not in self._memory:
            base = known.reference(tensor.path, tensor.spec) if known else None
            self._memory[key] = _size(self._encode(tensor, base))
        return self._memory[key]

    def _encode(self, tensor: _Tensor, base: Reference | None) -> EncodedTensor:
        layered = base is not None and tensor.spec.size >= PREVIEW_LEAST_SIZE
        return self._encoder.encode(
            tensor.digest, tensor.spec, tensor.data, base=base, parent=None, preview=layered
        )


def _known(
    session: Session, sampled: SampledSource, commit: CommitId, rows: Sequence[SketchRow]
) -> KnownVersion:
    """A version as a commit knows its base, with what stands for renamed tensors."""
    known = open_known(session, commit)
    found = likeness(sampled, commit, rows)
    return replace(known, pairs=pairs_by_content(known, sampled, found))


def _tensors(weights: Path) -> Iterator[_Tensor]:
    """The tensors of a safetensors file, mapped into memory."""
    content = np.memmap(weights, np.uint8, mode="r")
    opened = open_source(weights, files=None, include=(), exclude=(), options=_no_options)
    for file in opened.source.files():
        header = file.header
        for entry in header.in_offset_order() if header else ():
            start = entry.begin + (len(header.raw) if header else 0)
            data = content[start : start + entry.nbytes]
            spec = entry.spec
            digest = tensor_digest(spec.dtype, spec.shape, bytes_digest(data.data))
            yield _Tensor(file.path, spec, digest, data)


def _no_options(_scheme: str) -> Mapping[str, Any]:
    return {}


def _few(tensors: Iterable[_Tensor]) -> Iterator[Digest]:
    """Some tensors from all over a model, the same for versions of the same names."""
    left = FEW
    for tensor in sorted(tensors, key=lambda tensor: crc32(tensor.spec.name.encode())):
        if PREVIEW_LEAST_SIZE <= tensor.spec.size <= LARGE and left > 0:
            left -= tensor.spec.size
            yield tensor.digest


def _size(encoded: EncodedTensor) -> int:
    parts = (encoded.exact, encoded.preview)
    return sum(len(payload) for part in parts if part for payload in part.payloads)
