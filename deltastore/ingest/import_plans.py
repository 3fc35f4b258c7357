"""What is known of each checkpoint of an import before it is read: stored, broken, or to commit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from deltastore.checkpoints.finding import is_adapter
from deltastore.checkpoints.source import FolderSource
from deltastore.errors import DeltastoreError
from deltastore.ingest.remembering import Failure
from deltastore.ingest.writing import refuse_preview_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deltastore.checkpoints.examining import CheckpointFolder
    from deltastore.checkpoints.safetensors_header import SafetensorsHeader, TensorEntry
    from deltastore.history.objects import HistoryReader
    from deltastore.history.state import LogState
    from deltastore.ids import CommitId
    from deltastore.ingest.candidates import Candidate
    from deltastore.ingest.remembering import Remembered
    from deltastore.materialize.versions import Version

__all__ = ["SOURCE_KEY", "VERSION_KEY", "Planned", "Planner", "failure_of"]

SOURCE_KEY = "deltastore.source"
VERSION_KEY = "deltastore.source_version"
"""Metadata of a commit: where its files were, and what they looked like in a listing."""

AT_ONCE = 8
MOST_ANCESTORS = 1000

_LASTING = frozenset({"invalid", "incompatible", "unsupported"})


@dataclass(frozen=True, slots=True)
class Planned:
    """One checkpoint of an import.

    Attributes:
        candidate: where it is and where it goes.
        stored: the commit that has it already.
        failure: why it cannot be committed.
        doubt: why it can probably not be; trying decides.
        remembered: it was not looked at again, because it failed before and has not changed.
        size: bytes of its files; of the listing when it was not looked at.
        files: how many it has.
    """

    candidate: Candidate
    stored: CommitId | None = None
    failure: Failure | None = None
    doubt: Failure | None = None
    remembered: bool = False
    size: int = 0
    files: int = 0

    @property
    def new(self) -> bool:
        """Whether it is to be committed."""
        return self.stored is None and self.failure is None

    @property
    def trouble(self) -> Failure | None:
        """Why it cannot be committed, for sure or probably."""
        return self.failure or self.doubt


class Planner:
    """Looks at checkpoints: first at what the store and the last import say, then at headers.

    Args:
        state: of the log.
        history: of the store.
        remembered: outcomes of earlier imports.
        base: a commit's id, `auto` or `none`.
        version: the base, opened, if it is a commit.
        picked: globs to include and to exclude, for the files of each checkpoint.
        retry: look again at what failed before.
    """

    def __init__(
        self,
        state: LogState,
        history: HistoryReader,
        remembered: Remembered,
        *,
        base: str,
        version: Version | None,
        picked: tuple[Sequence[str], Sequence[str]] = ((), ()),
        retry: bool = False,
    ) -> None:
        self.base = base
        self._state = state
        self._history = history
        self._remembered = remembered
        self._version = version
        self._include, self._exclude = picked
        self._retry = retry

    def plan(self, candidates: Sequence[Candidate]) -> tuple[Planned, ...]:
        """What becomes of each, in their order.

        Raises:
            StorageError: the store, or a whole source, cannot be reached.
        """
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="deltastore-plan") as pool:
            return tuple(pool.map(self._one, candidates))

    def scan(self, candidate: Candidate) -> CheckpointFolder:
        """Look at the files of one; raises as `Tree.scan`, and refuses previews.

        Raises:
            InvalidError: it is a preview.
        """
        folder = candidate.scan(include=self._include, exclude=self._exclude)
        refuse_preview_files(FolderSource(folder).files())
        return folder

    def remember_failure(self, candidate: Candidate, failure: Failure) -> None:
        """Keep it for the next import, if only another content can change it."""
        if failure.kind in _LASTING:
            self._remembered.add_failure(candidate.source, candidate.version, self.base, failure)

    def remember_stored(self, candidate: Candidate, commit: str) -> None:
        """Keep for the next import which commit has it."""
        self._remembered.add_stored(candidate.source, candidate.version, candidate.ref, commit)

    def _one(self, candidate: Candidate) -> Planned:
        found = candidate.found
        listed = Planned(candidate, size=found.size, files=len(found.files))
        stored = self._stored(candidate)
        if stored is not None:
            return replace(listed, stored=stored)
        key = (candidate.source, candidate.version, self.base)
        known = None if self._retry else self._remembered.failure(*key)
        if known is not None:
            return replace(listed, failure=known, remembered=True)
        try:
            folder = self.scan(candidate)
        except DeltastoreError as reason:
            self.remember_failure(candidate, failure_of(reason))
            return replace(listed, failure=failure_of(reason))
        doubt = self._foreign(folder)
        return Planned(candidate, doubt=doubt, size=folder.size, files=len(folder.files))

    def _stored(self, candidate: Candidate) -> CommitId | None:
        """The commit of the branch's history that has these very files of this very place."""
        tip = self._state.ref(candidate.ref)
        if tip is None:
            return None
        known = self._remembered.stored(candidate.source, candidate.version, candidate.ref)
        if known == tip:
            return tip
        for commit in self._ancestors(tip):
            metadata = self._history.header(commit).metadata
            found = (metadata.get(SOURCE_KEY), metadata.get(VERSION_KEY))
            if commit == known or found == (candidate.source, candidate.version):
                return commit
        return None

    def _ancestors(self, tip: CommitId) -> Iterator[CommitId]:
        """The tip and what it grew from, first parents only."""
        commit: CommitId | None = tip
        for _ in range(MOST_ANCESTORS):
            if commit is None:
                return
            yield commit
            parents = self._history.header(commit).parents
            commit = parents[0] if parents else None

    def _foreign(self, folder: CheckpointFolder) -> Failure | None:
        """Why the base that was named cannot fit; what `commit` finds out decides."""
        shapes = {_shape(entry) for file in folder.files for entry in _entries(file.header)}
        if self._version is None or not shapes or shapes & self._base_shapes:
            return None
        if is_adapter(file.path for file in folder.files):
            return None
        return Failure(
            "incompatible",
            "no tensor here has the shape of one in the base",
            "name the version this was trained from, or say --base none",
        )

    @cached_property
    def _base_shapes(self) -> frozenset[tuple[int, ...]]:
        files = self._version.weights if self._version is not None else ()
        return frozenset(_shape(entry) for file in files for entry in _entries(file.header))


def _entries(header: SafetensorsHeader | None) -> Sequence[TensorEntry]:
    return header.tensors if header is not None else ()


def _shape(entry: TensorEntry) -> tuple[int, ...]:
    """Sorted: a base's tensors may be the other way round."""
    return tuple(sorted(entry.spec.shape))


def failure_of(reason: DeltastoreError) -> Failure:
    """An error as it is remembered and told."""
    return Failure(reason.kind, str(reason), reason.hint)
