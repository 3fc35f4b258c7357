"""What a catalog should answer, worked out in plain Python from packs and the log."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from deltastore.catalog.answers import GarbageRow, ModelRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deltastore.catalog.catalog import Catalog
    from deltastore.ids import CommitId, Digest
    from deltastore.storage.records import Placement
    from tests.unit.catalog.worlds import World

__all__ = ["Oracle", "answers"]


class Oracle:
    """The answers for a world as it stands."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.state = world.log.refresh()
        self.reachable = world.reachable()
        self.sections: list[Placement] = [
            placement for pack in self.state.live for placement in world.log.packs.index(pack)
        ]

    def contents(self, commit: CommitId) -> set[Digest]:
        """Digests that the commit's manifests name and that are owed."""
        version = self.world.versions[commit]
        found: set[Digest] = set()
        if version.header.manifest not in self.state.absent:
            found |= set(version.manifest.digests())
        preview = version.header.preview
        if preview and version.preview and preview.manifest not in self.state.absent:
            found |= set(version.preview.digests())
        return found

    def needed(self, commits: Iterable[CommitId]) -> set[str]:
        """All digests some commits keep in the store, with all they are rebuilt from."""
        pending: list[str] = []
        for commit in commits:
            header = self.world.versions[commit].header
            pending += [commit, header.manifest, *self.contents(commit)]
            pending += [header.preview.manifest] if header.preview else []
        seen: set[str] = set()
        while pending:
            digest = pending.pop()
            if digest not in seen:
                seen.add(digest)
                for placement in self.sections:
                    if placement.record.digest == digest:
                        pending += [each.digest for each in placement.record.inputs]
        return seen

    def holders(self, digests: Iterable[Digest]) -> dict[Digest, CommitId]:
        wanted = sorted(set(digests))
        having = {c: self.contents(c) & set(wanted) for c in self.reachable}
        order = sorted(having, key=lambda commit: (-len(having[commit]), commit))
        best = ((digest, [c for c in order if digest in having[c]]) for digest in wanted)
        return {digest: commits[0] for digest, commits in best if commits}

    def own_bytes(self, commit: CommitId) -> int:
        own = self.needed([commit]) - self.needed(self.reachable - {commit})
        return sum(each.record.length for each in self.sections if each.record.digest in own)

    def codec_bytes(self, commit: CommitId) -> dict[str, int]:
        found: Counter[str] = Counter()
        for placement in self.sections:
            if placement.record.kind < 3 and placement.record.digest in self.contents(commit):
                found[placement.record.codec] += placement.record.length
        return dict(found)

    def garbage(self) -> GarbageRow:
        needed = self.needed(self.reachable)
        wasted = [p for p in self.sections if p.record.kind < 6 and p.record.digest not in needed]
        useful = {p.pack for p in self.sections if p.record.kind >= 6 or p.record.digest in needed}
        whole = {placement.pack for placement in wasted} - useful
        return GarbageRow(
            sections=len(wasted),
            bytes=sum(placement.record.length for placement in wasted),
            packs=len(whole),
            pack_bytes=sum(self.world.log.packs.contents(pack).head.size for pack in whole),
        )

    def models(self) -> tuple[ModelRow, ...]:
        state = self.state
        return tuple(
            ModelRow(model, len(state.heads(model)), len(state.tags(model)))
            for model in state.models()
        )

    def stats(self) -> tuple[int, int, int, int, int, int]:
        """Models, commits, tensors, logical bytes, packs, bytes of packs."""
        versions = [self.world.versions[commit] for commit in self.reachable]
        packs = [self.world.log.packs.contents(pack).head.size for pack in self.state.live]
        return (
            len(self.state.models()),
            len(versions),
            len({d for v in versions for file in v.manifest.files for d in file.tensors}),
            sum(v.manifest.size for v in versions if v.header.manifest not in self.state.absent),
            len(packs),
            sum(packs),
        )

    def answers(self) -> dict[str, object]:
        """Everything, to be compared with `answers`."""
        commits = sorted(c for c, meta in self.state.commits.items() if meta in self.state.live)
        return {
            "models": self.models(),
            "stats": self.stats(),
            "garbage": self.garbage(),
            "holders": self.holders(self.world.kept),
            "own": {commit: self.own_bytes(commit) for commit in commits},
            "codecs": {commit: self.codec_bytes(commit) for commit in commits},
        }


def answers(catalog: Catalog, world: World) -> dict[str, object]:
    """The same, as a catalog has it."""
    state = world.log.state
    commits = sorted(commit for commit, meta in state.commits.items() if meta in state.live)
    stats = catalog.stats()
    assert stats.unread == 0
    assert sum(stats.class_bytes.values()) == stats.pack_bytes
    return {
        "models": catalog.models(),
        "stats": (
            stats.models,
            stats.commits,
            stats.tensors,
            stats.logical_bytes,
            stats.packs,
            stats.pack_bytes,
        ),
        "garbage": catalog.garbage(),
        "holders": catalog.holders(world.kept),
        "own": {commit: catalog.own_bytes(commit) for commit in commits},
        "codecs": {commit: catalog.codec_bytes(commit) for commit in commits},
    }
