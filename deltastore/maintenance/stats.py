"""Sizes and counts, from the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastore.results import Stats

if TYPE_CHECKING:
    from deltastore.catalog.catalog import Catalog
    from deltastore.ids import CommitId
    from deltastore.materialize.session import Session
    from deltastore.storage.records import PackId

__all__ = ["store_stats", "version_stats"]


def store_stats(catalog: Catalog) -> Stats:
    """Of the whole store. `stored_bytes` are the packs the log names, whole."""
    found = catalog.stats()
    return Stats(
        logical_bytes=found.logical_bytes,
        stored_bytes=found.pack_bytes,
        ratio=_ratio(found.logical_bytes, found.pack_bytes),
        garbage_bytes=catalog.garbage().pack_bytes,
        commits=found.commits,
        models=found.models,
        tensors=found.tensors,
        objects=found.packs,
    )


def version_stats(session: Session, catalog: Catalog, commit: CommitId) -> Stats:
    """Of one version: what it is made of, and what would be freed if only it went.

    `stored_bytes` are all sections it needs, those of its base included.
    """
    version = session.version(commit)
    manifests = [version.manifest, *([version.preview] if version.preview else [])]
    digests = {digest for manifest in manifests for digest in manifest.digests()}
    stored = 0
    packs: set[PackId] = set()
    for kept in version.closure.needed(sorted(digests)):
        stored += kept.stored_bytes
        packs.update(placement.pack for placement in kept.placements)
    return Stats(
        logical_bytes=version.manifest.size,
        stored_bytes=stored,
        ratio=_ratio(version.manifest.size, stored),
        garbage_bytes=0,
        commits=1,
        models=1,
        tensors=len({digest for file in version.manifest.files for digest in file.tensors}),
        objects=len(packs),
        own_bytes=catalog.own_bytes(commit),
        codecs=catalog.codec_bytes(commit),
    )


def _ratio(logical: int, stored: int) -> float | None:
    return logical / stored if stored and logical else None
