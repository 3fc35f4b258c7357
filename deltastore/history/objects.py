"""Commit headers, manifests and locators, read from meta packs and verified by digest."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from deltastore.errors import MissingObjectError
from deltastore.history.commits import MAX_HEADER_BYTES, CommitHeader
from deltastore.history.manifests import MAX_MANIFEST_BYTES, Manifest
from deltastore.ids import Digest
from deltastore.storage.locators import MAX_LOCATOR, decode_locator
from deltastore.storage.records import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltastore.history.state import LogState
    from deltastore.ids import CommitId
    from deltastore.storage.packs import PackReader
    from deltastore.storage.records import PackId, Placement

__all__ = ["HistoryReader", "StateSource"]

T = TypeVar("T")

CACHED_HEADERS = 8192
CACHED_VERSIONS = 16
"""Manifests and locators of one version are up to some megabytes."""


class StateSource(Protocol):
    """Knows the state of the log, and how to make it fresher."""

    @property
    def state(self) -> LogState:
        """The newest state seen."""
        ...

    def refresh(self) -> LogState:
        """The state at the tip."""
        ...


class HistoryReader:
    """Reads what commits say. Thread-safe; keeps what was read last.

    Args:
        packs: of the store.
        source: of the log's state, such as a `Log`.
    """

    def __init__(self, packs: PackReader, source: StateSource) -> None:
        self._packs = packs
        self._source = source
        self._headers: _Cache[CommitHeader] = _Cache(CACHED_HEADERS)
        self._manifests: _Cache[Manifest] = _Cache(CACHED_VERSIONS)
        self._locators: _Cache[tuple[Placement, ...]] = _Cache(CACHED_VERSIONS)

    def header(self, commit: CommitId) -> CommitHeader:
        """The header of a commit.

        Raises:
            MissingObjectError: the store knows no such commit, or its meta pack is gone.
            CorruptError: the stored bytes are not what the id promises.
        """

        def read() -> CommitHeader:
            return CommitHeader.decode(
                self._object(commit, Kind.COMMIT, Digest(commit), max_bytes=MAX_HEADER_BYTES)
            )

        return self._headers.get(commit, read)

    def manifest(self, commit: CommitId, digest: Digest) -> Manifest:
        """A manifest of a commit: the one its header names, or the one of its preview.

        Raises:
            MissingObjectError: it is not in the commit's meta pack.
            CorruptError: the stored bytes are not what the digest promises.
        """

        def read() -> Manifest:
            return Manifest.decode(
                self._object(commit, Kind.MANIFEST, digest, max_bytes=MAX_MANIFEST_BYTES)
            )

        return self._manifests.get(digest, read)

    def locator(self, commit: CommitId) -> tuple[Placement, ...]:
        """Where the store keeps a commit's tensors and blobs, with all they are rebuilt from.

        A hint: it may name packs that were condemned since.

        Raises:
            MissingObjectError: it is not in the commit's meta pack.
            CorruptError: it breaks the format.
        """

        def read() -> tuple[Placement, ...]:
            manifest = self.header(commit).manifest
            data = self._object(commit, Kind.LOCATOR, manifest, max_bytes=MAX_LOCATOR)
            return decode_locator(data, what=f"locator of commit {commit}")

        return self._locators.get(self._meta(commit), read, commit)

    def manifests(self, commit: CommitId) -> tuple[tuple[Digest, Manifest], ...]:
        """The manifest of a commit and, if it has a preview, that one's: digest and content."""
        header = self.header(commit)
        digests = [header.manifest, *([header.preview.manifest] if header.preview else [])]
        return tuple((digest, self.manifest(commit, digest)) for digest in digests)

    def _meta(self, commit: CommitId) -> PackId:
        pack = self._source.state.commits.get(commit)
        if pack is None:
            pack = self._source.refresh().commits.get(commit)
        if pack is None:
            raise MissingObjectError(f"commit {commit} is not in this store")
        return pack

    def _object(self, commit: CommitId, kind: Kind, digest: Digest, *, max_bytes: int) -> bytes:
        pack = self._meta(commit)
        try:
            return self._read(pack, commit, kind, digest, max_bytes)
        except MissingObjectError:
            # repacked meanwhile: the log names the new place
            newer = self._source.refresh().commits.get(commit, pack)
            if newer == pack:
                raise
            return self._read(newer, commit, kind, digest, max_bytes)

    def _read(
        self, pack: PackId, commit: CommitId, kind: Kind, digest: Digest, max_bytes: int
    ) -> bytes:
        for placement in self._packs.index(pack):
            if placement.record.kind is kind and placement.record.digest == digest:
                return self._packs.object(placement, max_bytes=max_bytes)
        raise MissingObjectError(
            f"commit {commit}: its meta pack {pack} has no {kind.name.lower()} {digest}"
        )


class _Cache(Generic[T]):
    """The values used last, by key."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._values: OrderedDict[tuple[str, ...], T] = OrderedDict()

    def get(self, key: str, read: Callable[[], T], *more: str) -> T:
        with self._lock:
            if (key, *more) in self._values:
                self._values.move_to_end((key, *more))
                return self._values[(key, *more)]
        value = read()
        with self._lock:
            self._values[(key, *more)] = value
            while len(self._values) > self._size:
                self._values.popitem(last=False)
        return value
