"""Small real stores for tests of the catalog.

Weights are a few bytes under invented digests: a catalog looks at records, never into tensors.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from deltastore.history.commits import CommitHeader, PreviewRef
from deltastore.history.entries import Absent, Draft, RefMove, Transaction, new_token
from deltastore.history.initialize import init_store
from deltastore.history.log import Log
from deltastore.history.manifests import Manifest, ManifestFile
from deltastore.history.meta_packs import MetaVersion, write_meta
from deltastore.history.objects import HistoryReader
from deltastore.history.reachability import reachable
from deltastore.ids import blob_digest, bytes_digest
from deltastore.storage.blobs import blob_payloads, blob_representation
from deltastore.storage.memory import MemoryBackend
from deltastore.storage.packs import publish
from deltastore.storage.records import Input, Kind, Representation
from deltastore.storage.spool import PackSpool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from deltastore.ids import CommitId, Digest
    from deltastore.storage.backend import Backend
    from deltastore.storage.packing import SpooledPack
    from deltastore.storage.records import PackClass, PackId, Placement

TIME = "2026-01-02T03:04:05Z"
MAIN = "models/me/x/heads/main"
WRITER = "deltastore/test"

_NAMES = itertools.count()


def tensor(seed: object) -> Digest:
    """The digest of a tensor that exists in tests only."""
    return bytes_digest(f"tensor {seed}".encode())


@dataclass
class World:
    """A store, written to through its log, and all that was ever written.

    Attributes:
        backend: where it is.
        versions: what meta packs said of each commit.
        kept: where each digest has been put, ever.
    """

    backend: Backend = field(default_factory=lambda: MemoryBackend(f"memory://w-{next(_NAMES)}"))
    versions: dict[CommitId, MetaVersion] = field(default_factory=dict)
    kept: dict[Digest, list[Placement]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        init_store(self.backend, created=TIME, actor="ada")
        self.log = Log.open(self.backend)
        self.folder = Path(mkdtemp(prefix="deltastore-world-"))

    @property
    def history(self) -> HistoryReader:
        return HistoryReader(self.log.packs, self.log)

    def fresh(self) -> tuple[Log, HistoryReader]:
        """The store as another process sees it."""
        log = Log.open(self.backend)
        return log, HistoryReader(log.packs, log)

    def entry(
        self,
        refs: Mapping[str, CommitId | None] | None = None,
        *,
        add: Sequence[PackId] = (),
        condemn: Iterable[PackId] = (),
        absent: Iterable[Digest] = (),
        commits: tuple[CommitId, ...] = (),
        meta: PackId | None = None,
    ) -> None:
        """One more entry of the log."""
        state = self.log.refresh()
        moves = tuple(RefMove(name, state.ref(name), to) for name, to in (refs or {}).items())
        txn = Transaction(new_token(), "test", "ada", TIME, "", moves, commits, meta)
        draft = Draft(
            (txn,),
            add=(*add, *([meta] if meta else [])),
            condemn=tuple(condemn),
            absent=tuple(Absent(each, "archived") for each in absent),
        )
        self.log.append(lambda _: draft)

    def commit(
        self,
        tensors: Mapping[str, Digest],
        *,
        ref: str = MAIN,
        base: CommitId | None = None,
        parent: CommitId | None = None,
        previews: Mapping[str, Digest] | None = None,
        against: Mapping[str, Digest] | None = None,
        blobs: Sequence[bytes] = (),
        **facts: Any,
    ) -> CommitId:
        """Commit a version; tensors and blobs that no live pack has are stored, others reused.

        Args:
            tensors: digest by name; all are F32 of shape [2, 3].
            ref: to move.
            base: to record.
            parent: of a ref that does not exist yet.
            previews: digests of previewed tensors, by name.
            against: digests that new ones are kept as deltas of, by name.
            blobs: contents of the other files.
            **facts: of the commit's header: author, time, message, metadata, metrics.
        """
        content = Content(tensors, previews or {}, against or {}, tuple(blobs))
        live = set(self.log.refresh().live)
        packs = self._store(content, live)
        tip = self.log.state.ref(ref) or parent
        closure = self._closure(content, live | set(packs))
        version = content.version(tip, base, closure, f"number {len(self.versions)}")
        version = replace(version, header=replace(version.header, **facts))
        pack, (commit,) = write_meta([version], self.folder, writer=WRITER)
        self._publish([pack])
        self.versions[commit] = version
        self.entry({ref: commit}, add=packs, commits=(commit,), meta=pack.pack)
        return commit

    def rehome(self, commit: CommitId) -> None:
        """Write what is said of a commit to a new meta pack, as repacking does."""
        pack, _ = write_meta([self.versions[commit]], self.folder, writer=WRITER)
        self._publish([pack])
        self.entry(commits=(commit,), meta=pack.pack)

    def meta(self, commit: CommitId) -> PackId:
        return self.log.state.commits[commit]

    def reachable(self) -> set[CommitId]:
        state = self.log.state
        return reachable(state.roots(), lambda commit: self.versions[commit].header)

    def reachable_from(self, commit: CommitId) -> bool:
        """Whether a ref could stand on a commit: all that is behind it is still there."""
        state = self.log.state
        behind = reachable([commit], lambda each: self.versions[each].header)
        return all(state.commits[each] in state.live for each in behind)

    def _store(self, content: Content, live: set[PackId]) -> list[PackId]:
        with PackSpool(self.folder, WRITER) as spool:
            for pack_class, item, payload in content.sections():
                if not any(each.pack in live for each in self.kept.get(item.digest, ())):
                    spool.add(pack_class, item, payload)
            packs = spool.finish()
            self._publish(packs)
        return [pack.pack for pack in packs]

    def _publish(self, packs: Iterable[SpooledPack]) -> None:
        for pack in packs:
            for placement in pack.placements:
                self.kept.setdefault(placement.record.digest, []).append(placement)
            publish(self.backend, pack)

    def _closure(self, content: Content, usable: set[PackId]) -> list[Placement]:
        pending = sorted(content.digests())
        seen, found = set(pending), []
        while pending:
            for placement in self.kept.get(pending.pop(), ()):
                if placement.pack in usable:
                    found.append(placement)
                    fresh = {each.digest for each in placement.record.inputs} - seen
                    seen |= fresh
                    pending.extend(sorted(fresh))
        return found


@dataclass(frozen=True)
class Content:
    """What a version consists of; see `World.commit`."""

    tensors: Mapping[str, Digest]
    previews: Mapping[str, Digest]
    against: Mapping[str, Digest]
    blobs: tuple[bytes, ...]

    @property
    def manifest(self) -> Manifest:
        return manifest_of(self.tensors, self.blobs, "ab" * 32)

    @property
    def preview(self) -> Manifest | None:
        return manifest_of({**self.tensors, **self.previews}, self.blobs) if self.previews else None

    def digests(self) -> set[Digest]:
        preview = self.preview
        return {*self.manifest.digests(), *(preview.digests() if preview else ())}

    def sections(self) -> Iterator[tuple[PackClass, Representation, list[bytes]]]:
        for name, digest in dict(sorted(self.tensors.items())).items():
            inputs = [each[name] for each in (self.previews, self.against) if name in each]
            if inputs:
                yield "exact", _tensor(digest, "exact/1", inputs), [name.encode() * 3]
            else:
                yield "whole", _tensor(digest, "dense/1", ()), [name.encode() * 2]
        for name, digest in self.previews.items():
            inputs = [self.against[name]] if name in self.against else []
            yield "preview", _tensor(digest, "ternary/1", inputs), [b"q"]
        for data in dict.fromkeys((header_of(self.tensors), *self.blobs)):
            item = blob_representation(Kind.BLOB, _blob(data), len(data))
            yield "whole", item, list(blob_payloads(data))

    def version(
        self,
        parent: CommitId | None,
        base: CommitId | None,
        closure: Sequence[Placement],
        message: str,
    ) -> MetaVersion:
        preview = self.preview
        second = preview and PreviewRef(bytes_digest(preview.encode()), "ternary/1", "0.5")
        header = CommitHeader(
            parents=(parent,) if parent else (),
            manifest=bytes_digest(self.manifest.encode()),
            base=base,
            inputs=(),
            preview=second if isinstance(second, PreviewRef) else None,
            author="Ada",
            time=TIME,
            message=message,
            recipe=None,
            metadata={},
            metrics={},
            producer=WRITER,
        )
        return MetaVersion(header, self.manifest, preview, closure)


def _tensor(digest: Digest, codec: str, inputs: Iterable[Digest]) -> Representation:
    sources = tuple(map(Input, inputs))
    return Representation(Kind.TENSOR, digest, codec, 24, 1, "F32", (2, 3), b"", sources)


def _blob(data: bytes) -> Digest:
    return blob_digest(len(data), bytes_digest(data))


def header_of(names: Iterable[str]) -> bytes:
    """A safetensors header of F32 tensors of shape [2, 3]."""
    entries = {
        name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [24 * i, 24 * i + 24]}
        for i, name in enumerate(names)
    }
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


def manifest_of(
    tensors: Mapping[str, Digest], blobs: Sequence[bytes], sha256: str | None = None
) -> Manifest:
    header = header_of(tensors)
    weights = ManifestFile(
        path="model.safetensors",
        size=len(header) + 24 * len(tensors),
        sha256=sha256,
        header=_blob(header),
        tensors=tuple(tensors.values()),
    )
    others = [
        ManifestFile(f"f{i:03d}.json", len(data), "cd" * 32, blob=_blob(data))
        for i, data in enumerate(blobs)
    ]
    return Manifest((*others, weights))
