"""What a store says that a catalog is to hold: packs and commits, one at a time."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deltastore.checkpoints.safetensors_header import (
    LENGTH_BYTES,
    MAX_HEADER_BYTES,
    parse_header,
)
from deltastore.errors import DeltastoreError, StorageError
from deltastore.ids import CommitId, Digest
from deltastore.storage.records import Kind, PackId
from deltastore.storage.sketches import MAX_SKETCHES, decode_sketches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deltastore.history.commits import CommitHeader
    from deltastore.history.manifests import Manifest, ManifestFile
    from deltastore.history.objects import HistoryReader
    from deltastore.specs import TensorSpec
    from deltastore.storage.packs import PackContents, PackReader
    from deltastore.storage.sketches import Sketch

__all__ = ["CommitRead", "Item", "PackRead", "StoreReader"]

KEPT_HEADERS = 64
"""Parsed safetensors headers; those of a base and its fine-tunes are mostly the same."""

logger = logging.getLogger("deltastore.catalog")


@dataclass(frozen=True, slots=True)
class Item:
    """Something to read.

    Attributes:
        v: the log entry that made it live: of a commit, that of its meta pack.
        kind: what it is.
        id: of the pack or commit.
    """

    v: int
    kind: Literal["pack", "commit"]
    id: str

    @property
    def order(self) -> tuple[int, bool, str]:
        """Sorts by entry, packs before commits."""
        return self.v, self.kind == "commit", self.id


@dataclass(frozen=True, slots=True)
class PackRead:
    """A pack, read; and the sketches in it."""

    item: Item
    contents: PackContents
    sketches: tuple[Sketch, ...] = ()


@dataclass(frozen=True, slots=True)
class CommitRead:
    """A commit, read.

    Attributes:
        item: what was asked for.
        commit: its id.
        header: as recorded.
        manifest: of the version.
        preview: of its preview, or None.
        specs: name, dtype and shape of the tensors behind a safetensors header, by its digest, in
            the order of the manifest; headers that could not be read are left out.
    """

    item: Item
    commit: CommitId
    header: CommitHeader
    manifest: Manifest
    preview: Manifest | None
    specs: Mapping[Digest, tuple[TensorSpec, ...]]


class StoreReader:
    """Reads packs and commits for the catalog. Thread-safe.

    Args:
        packs: of the store.
        history: of the store.
    """

    def __init__(self, packs: PackReader, history: HistoryReader) -> None:
        self._packs = packs
        self._history = history
        self._lock = threading.Lock()
        self._specs: OrderedDict[Digest, tuple[TensorSpec, ...]] = OrderedDict()

    def read(self, item: Item) -> PackRead | CommitRead | None:
        """What there is to say about an item; None if the store's bytes are damaged or gone.

        Raises:
            StorageError: the backend fails.
        """
        try:
            if item.kind == "pack":
                contents = self._packs.contents(PackId(item.id))
                return PackRead(item, contents, tuple(self._sketches(contents)))
            return self._commit(item, CommitId(item.id))
        except StorageError:
            raise
        except DeltastoreError as reason:
            logger.warning("left out of the catalog: %s %s: %s", item.kind, item.id, reason)
            return None

    def _sketches(self, contents: PackContents) -> Iterator[Sketch]:
        """Those of a pack, at most 256 MiB; damaged ones are left out: they are only hints."""
        left = MAX_SKETCHES
        for placement in contents.placements:
            if placement.record.kind is not Kind.SKETCHES:
                continue
            try:
                data = self._packs.object(placement, max_bytes=left)
                yield from decode_sketches(data, what=f"pack {contents.pack}")
            except StorageError:
                raise
            except DeltastoreError as reason:
                logger.info("left out of the catalog: sketches in %s: %s", contents.pack, reason)
            left -= min(left, placement.record.raw_length)

    def _commit(self, item: Item, commit: CommitId) -> CommitRead:
        header = self._history.header(commit)
        manifest = self._history.manifest(commit, header.manifest)
        second = header.preview
        preview = self._history.manifest(commit, second.manifest) if second else None
        files = {
            file.header: file
            for each in (manifest, preview)
            for file in (each.files if each else ())
            if file.header is not None
        }
        found = {digest: self._header_specs(commit, file) for digest, file in files.items()}
        specs = {digest: each for digest, each in found.items() if each is not None}
        return CommitRead(item, commit, header, manifest, preview, specs)

    def _header_specs(self, commit: CommitId, file: ManifestFile) -> tuple[TensorSpec, ...] | None:
        """Names, dtypes and shapes of a file's tensors; None where its header cannot be read."""
        digest = file.header or Digest("")
        with self._lock:
            known = self._specs.get(digest)
        if known is None:
            try:
                known = self._read_specs(commit, file, digest)
            except StorageError:
                raise
            except DeltastoreError as reason:
                logger.info("%s: tensors of %s have no names: %s", commit, file.path, reason)
                return None
            self._remember(digest, known)
        return known if len(known) == len(file.tensors) else None

    def _read_specs(
        self, commit: CommitId, file: ManifestFile, digest: Digest
    ) -> tuple[TensorSpec, ...]:
        for placement in self._history.locator(commit):
            if placement.record.kind is Kind.BLOB and placement.record.digest == digest:
                raw = self._packs.object(placement, max_bytes=LENGTH_BYTES + MAX_HEADER_BYTES)
                header = parse_header(raw, file_size=file.size, what=file.path)
                return tuple(entry.spec for entry in header.tensors)
        return ()

    def _remember(self, digest: Digest, specs: tuple[TensorSpec, ...]) -> None:
        with self._lock:
            self._specs[digest] = specs
            while len(self._specs) > KEPT_HEADERS:
                self._specs.popitem(last=False)
