"""Writing the meta pack of a transaction: commit headers, manifests, locators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.errors import InvalidError
from deltastore.history.commits import commit_id
from deltastore.ids import bytes_digest
from deltastore.storage.locators import encode_locator
from deltastore.storage.records import Kind
from deltastore.storage.sketches import encode_sketches
from deltastore.storage.spool import MAX_TARGET, PackSpool

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from deltastore.history.commits import CommitHeader
    from deltastore.history.manifests import Manifest
    from deltastore.ids import CommitId
    from deltastore.storage.packing import SpooledPack
    from deltastore.storage.records import Placement
    from deltastore.storage.sketches import Sketch

__all__ = ["MetaVersion", "write_meta"]


@dataclass(frozen=True, slots=True)
class MetaVersion:
    """One commit as a meta pack holds it.

    Attributes:
        header: names the manifests.
        manifest: of the version.
        preview: of its preview, or None.
        placements: of every digest of both, and of all they are rebuilt from.
        sketches: of its new tensors.
    """

    header: CommitHeader
    manifest: Manifest
    preview: Manifest | None
    placements: Sequence[Placement]
    sketches: Sequence[Sketch] = ()


def write_meta(
    versions: Iterable[MetaVersion], folder: Path, *, writer: str
) -> tuple[SpooledPack, tuple[CommitId, ...]]:
    """Spool one meta pack.

    Args:
        versions: what it is to hold.
        folder: for the temporary file, which publishing removes.
        writer: program and version, kept in the pack.

    Returns:
        The pack, not yet in any store, and the ids of the commits in it.

    Raises:
        InvalidError: a header does not name the manifests that come with it, or something is too
            large.
    """
    spool = PackSpool(folder, writer, target_bytes=MAX_TARGET)
    try:
        commits = tuple(_add(spool, version) for version in versions)
        (pack,) = spool.finish()
    except BaseException:
        spool.discard()
        raise
    return pack, commits


def _add(spool: PackSpool, version: MetaVersion) -> CommitId:
    data = version.header.encode()
    commit, header = commit_id(data), version.header
    spool.add_blob("meta", Kind.COMMIT, bytes_digest(data), data)
    _add_manifest(spool, version.manifest, header.manifest)
    if version.preview is not None and header.preview is not None:
        _add_manifest(spool, version.preview, header.preview.manifest)
    elif version.preview is not None or header.preview is not None:
        raise InvalidError(f"commit {commit}: a preview that its header does not name, or none")
    spool.add_blob("meta", Kind.LOCATOR, header.manifest, encode_locator(version.placements))
    if version.sketches:
        data = encode_sketches(version.sketches)
        spool.add_blob("meta", Kind.SKETCHES, bytes_digest(data), data)
    return commit


def _add_manifest(spool: PackSpool, manifest: Manifest, digest: str) -> None:
    data = manifest.encode()
    if bytes_digest(data) != digest:
        raise InvalidError(f"manifest {bytes_digest(data)} comes with a header that names {digest}")
    spool.add_blob("meta", Kind.MANIFEST, bytes_digest(data), data)
