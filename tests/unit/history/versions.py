"""Whole versions for tests: packs with tensors kept whole or as deltas, meta packs, entries."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from deltastore.history.commits import PreviewRef
from deltastore.history.entries import Draft, RefMove, Transaction, new_token
from deltastore.history.manifests import Manifest, ManifestFile
from deltastore.history.meta_packs import MetaVersion, write_meta
from deltastore.history.objects import HistoryReader
from deltastore.ids import bytes_digest
from deltastore.storage.packs import publish
from deltastore.storage.records import Input, Kind, Representation
from deltastore.storage.spool import PackSpool
from tests.unit.history.samples import MAIN, TIME, digest, header
from tests.unit.history.stores import started

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from deltastore.history.entries import Entry
    from deltastore.history.log import Log
    from deltastore.history.state import LogState
    from deltastore.ids import CommitId
    from deltastore.storage.records import PackId, Placement

WRITER = "deltastore/test"


@dataclass
class Fixture:
    """A store, and where its tensors are, by readable name."""

    log: Log = field(default_factory=started)
    places: dict[str, list[Placement]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.backend = self.log.reader._backend
        self.history = HistoryReader(self.log.packs, self.log)

    def tensors(self, kept: Mapping[str, Collection[str]]) -> PackId:
        """Write a pack of tensors; each name with the names of what it is a delta on."""
        with TemporaryDirectory() as folder, PackSpool(Path(folder), WRITER) as spool:
            for name, inputs in kept.items():
                spool.add("whole", tensor(name, inputs), [name.encode()])
            (pack,) = spool.finish()
            publish(self.backend, pack)
        for name, placement in zip(kept, pack.placements, strict=True):
            self.places.setdefault(name, []).append(placement)
        return pack.pack

    def placements(self, names: Iterable[str]) -> list[Placement]:
        return [placement for name in names for placement in self.places[name]]

    def meta(
        self,
        names: Iterable[str],
        *,
        parents: Iterable[CommitId] = (),
        base: CommitId | None = None,
        inputs: Iterable[CommitId] = (),
        preview: Iterable[str] = (),
        closure: Iterable[str] | None = None,
        message: str = "",
    ) -> tuple[PackId, CommitId]:
        """Write the meta pack of one version."""
        chosen, previewed = list(names), list(preview)
        manifest = version(chosen)
        second = version(previewed) if previewed else None
        head = header(
            parents=parents,
            base=base,
            inputs=inputs,
            manifest=bytes_digest(manifest.encode()),
            preview=PreviewRef(bytes_digest(second.encode()), "ternary/1", "0.5")
            if second
            else None,
            message=message,
        )
        needed = [*chosen, *previewed] if closure is None else closure
        meta = MetaVersion(head, manifest, second, self.placements(needed))
        with TemporaryDirectory() as folder:
            pack, (commit,) = write_meta([meta], Path(folder), writer=WRITER)
            publish(self.backend, pack)
        return pack.pack, commit

    def record(
        self, commit: CommitId, meta: PackId, packs: Iterable[PackId] = (), ref: str = MAIN
    ) -> Entry:
        """Move a ref to a new commit."""

        def compose(state: LogState) -> Draft:
            move = RefMove(ref, state.ref(ref), commit)
            txn = Transaction(new_token(), "commit", "a", TIME, "", (move,), (commit,), meta)
            return Draft((txn,), add=(*packs, meta))

        return self.log.append(compose)

    def condemn(self, *packs: PackId) -> Entry:
        txn = Transaction(new_token(), "gc", "a", TIME, "")
        return self.log.append(lambda _: Draft((txn,), condemn=packs))

    def delete(self, ref: str) -> Entry:
        def compose(state: LogState) -> Draft:
            move = RefMove(ref, state.ref(ref), None)
            return Draft((Transaction(new_token(), "rm", "a", TIME, "", (move,)),))

        return self.log.append(compose)

    def commit(
        self,
        name: str,
        *,
        ref: str = MAIN,
        parents: Iterable[CommitId] = (),
        base: CommitId | None = None,
        inputs: Iterable[CommitId] = (),
    ) -> CommitId:
        """Commit a version of one tensor, kept whole."""
        packs = [self.tensors({name: ()})] if name not in self.places else []
        meta, commit = self.meta([name], parents=parents, base=base, inputs=inputs, message=name)
        self.record(commit, meta, packs, ref)
        return commit


def tensor(name: str, inputs: Collection[str] = ()) -> Representation:
    return Representation(
        kind=Kind.TENSOR,
        digest=digest(name),
        codec="exact/1" if inputs else "dense/1",
        raw_length=1,
        blocks=1,
        dtype="U8",
        shape=(1,),
        inputs=tuple(Input(digest(each)) for each in inputs),
    )


def version(names: Iterable[str]) -> Manifest:
    tensors = tuple(digest(name) for name in names)
    return Manifest(
        (ManifestFile("m.safetensors", 9, "a" * 64, header=tensors[0], tensors=tensors),)
    )
