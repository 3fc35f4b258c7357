"""A version that a plan makes of stored ones, as a source: read from the store tensor by tensor."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Self

from deltastore.checkpoints.source import parts_of
from deltastore.ingest.revert_plans import TensorPlan
from deltastore.materialize.subtraction import without_change

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from deltastore.checkpoints.safetensors_header import SafetensorsHeader, TensorEntry
    from deltastore.checkpoints.source import SourceFile
    from deltastore.ids import CommitId
    from deltastore.ingest.revert_plans import FilePlan, RevertPlan, Sides
    from deltastore.materialize.session import Session
    from deltastore.materialize.tensors import Bytes, TensorReader
    from deltastore.materialize.versions import VersionTensor

__all__ = ["PlannedSource"]


class PlannedSource:
    """The files of a plan.

    Args:
        session: of the store.
        plan: what they are made of.
        sides: the versions that it names.
    """

    def __init__(self, session: Session, plan: RevertPlan, sides: Sides) -> None:
        versions = (sides.tip, sides.commit, sides.parent)
        self._plan = plan
        self._read = _Readers(
            {version.commit: session.reader(version) for version in versions}, sides
        )

    def files(self) -> Sequence[SourceFile]:
        """Sorted by path; each call returns fresh ones."""
        return tuple(_PlannedFile(plan, self._read) for plan in self._plan.files)


class _Readers:
    """Reads tensors of several versions; one thread at a time, as their readers want it."""

    def __init__(self, readers: Mapping[CommitId, TensorReader], sides: Sides) -> None:
        self._readers = readers
        self._sides = sides
        self._lock = threading.Lock()

    def tensor(self, plan: TensorPlan) -> Bytes:
        with self._lock:
            content = self._stored(plan.version.commit, plan.tensor)
            if plan.less is None:
                return content
            commit = self._stored(self._sides.commit.commit, plan.less[0])
            parent = self._stored(self._sides.parent.commit, plan.less[1])
            return without_change(content, commit, parent, plan.tensor.entry.spec.dtype)

    def _stored(self, commit: CommitId, tensor: VersionTensor) -> Bytes:
        return self._readers[commit].read(tensor.digest, tensor.entry.spec)


class _PlannedFile:
    """One file of a plan; see `SourceFile`."""

    far = False

    def __init__(self, plan: FilePlan, read: _Readers) -> None:
        file = plan.version.weights_file(plan.file.path) if plan.file.header else None
        stored = (
            {tensor.entry: TensorPlan(plan.version, tensor) for tensor in file.tensors}
            if file
            else {}
        )
        planned = plan.tensors or {}
        self._plan = plan
        self._read = read
        self._tensors = {
            entry: planned.get(entry.spec.name, whole) for entry, whole in stored.items()
        }
        self._order = tuple(self._tensors)
        self.header: SafetensorsHeader | None = file.header if file else None
        self._sha256 = hashlib.sha256(file.header.raw if file else b"")
        self._hashed = 0

    @property
    def path(self) -> str:
        return self._plan.file.path

    @property
    def size(self) -> int:
        return self._plan.file.size

    def read_tensor(self, entry: TensorEntry) -> Bytes:
        content = self._read.tensor(self._tensors[entry])
        if self._order[self._hashed : self._hashed + 1] == (entry,):
            self._sha256.update(content.data)
            self._hashed += 1
        return content

    def read_parts(self, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        return parts_of(self.header, self._read_entry, parts) if self.header is not None else []

    def _read_entry(self, entry: TensorEntry) -> Bytes:
        return self._read.tensor(self._tensors[entry])

    def chunks(self) -> Iterator[bytes]:
        if self._plan.file.blob is not None:
            yield from self._plan.version.blob(self._plan.file.blob)
        if self.header is not None:
            yield self.header.raw
        for entry in self._order:
            yield self._read.tensor(self._tensors[entry]).tobytes()

    def sha256(self) -> str:
        if self._plan.tensors is None and self._plan.file.sha256 is not None:
            return self._plan.file.sha256
        for entry in self._order[self._hashed :]:
            self.read_tensor(entry)
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self.close()
