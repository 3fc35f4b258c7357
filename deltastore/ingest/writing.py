"""A source into packs: every file and tensor that the store lacks, encoded and verified.

What comes out is a `WrittenVersion`: finished local packs, the manifests, and what to tell people.
They are in the store by then, but nobody sees them until a log entry names them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blake3 import blake3

from deltastore.codecs.choose import PREVIEW_LEAST_SIZE
from deltastore.errors import InvalidError, UsageError
from deltastore.history.manifests import Manifest, ManifestFile
from deltastore.ids import Digest, blob_digest, bytes_digest, tensor_digest
from deltastore.ingest.likeness import sketch_of
from deltastore.ingest.written import Tally, WrittenBlob, WrittenVersion
from deltastore.materialize.files import FIDELITY_KEY
from deltastore.materialize.sides import hash_blob
from deltastore.storage.blobs import blob_payloads, blob_representation
from deltastore.storage.records import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from deltastore.checkpoints.safetensors_header import SafetensorsHeader
    from deltastore.checkpoints.source import SourceFile, TensorSource
    from deltastore.ingest.encoding import Encoded, EncodedTensor, TensorEncoder
    from deltastore.ingest.known import KnownPreview, KnownVersions
    from deltastore.materialize.tensors import Bytes
    from deltastore.specs import TensorSpec
    from deltastore.storage.packing import SpooledPack
    from deltastore.storage.records import PackClass, Placement, Representation
    from deltastore.storage.sketches import Sketch
    from deltastore.storage.spool import PackSpool

__all__ = ["VersionWriter", "refuse_preview_files"]


class VersionWriter:
    """Writes one version.

    Args:
        spool: takes what is new; finished by `write`.
        encoder: makes representations.
        known: what may be reused and referred to.
        density: of previews, as decimal text; None for none.
        publish: puts a pack that is full into the store; until an entry names it, it is nothing.
        report: called with the bytes of each finished piece.
    """

    def __init__(
        self,
        spool: PackSpool,
        encoder: TensorEncoder,
        known: KnownVersions,
        *,
        density: str | None,
        publish: Callable[[SpooledPack], None],
        report: Callable[[int], None],
    ) -> None:
        self._publish = publish
        self._packs: list[SpooledPack] = []
        self._spool = spool
        self._encoder = encoder
        self._known = known
        self._density = density if known.base is not None else None
        self._report = report
        self._tally = Tally()
        self._sketches: list[Sketch] = []
        self._written: dict[Digest, str] = {}
        self._previews: dict[Digest, Digest] = {}
        self._reused: dict[Digest, None] = {}
        self._taken_over: list[tuple[str, TensorSpec, Digest, KnownPreview]] = []

    def write(
        self, source: TensorSource, unchanged: Callable[[Manifest], bool] = lambda _manifest: False
    ) -> WrittenVersion | None:
        """Write all files of a source.

        Args:
            source: what to write.
            unchanged: whether a manifest is nothing new; then None is returned.

        Raises:
            InvalidError: a file is not what it was when it was scanned.
            NoSpaceError: the temporary folder's disk is full.
        """
        files = []
        for file in source.files():
            with file:
                files.append(self._weights(file) if file.header else self._blob(file))
        manifest = Manifest(tuple(files))
        return None if unchanged(manifest) else self._finish(manifest)

    def _finish(self, manifest: Manifest) -> WrittenVersion:
        self._measure_taken_over()
        self._publish_finished(self._spool.finish())
        packs = tuple(self._packs)
        tally = self._tally
        reused = tuple(self._reused)
        return WrittenVersion(
            packs=packs,
            manifest=manifest,
            preview=self._preview_manifest(manifest),
            preview_error=tally.preview_error,
            placements=tuple(self._placements(packs, reused)),
            reused=reused,
            unchanged=tally.unchanged,
            delta=tally.delta,
            dense=tally.dense,
            dense_names=tuple(tally.dense_names),
            too_deep=tally.too_deep,
            blobs=tuple(tally.blobs),
            sketches=tuple(self._sketches),
        )

    def _publish_finished(self, packs: Iterable[SpooledPack]) -> None:
        """Publish full packs at once, so that little is spooled however large a version is."""
        for pack in packs:
            self._publish(pack)
            self._packs.append(pack)

    def _placements(
        self, packs: Iterable[SpooledPack], reused: Sequence[Digest]
    ) -> Iterator[Placement]:
        """New sections, then the closure of what is reused and of what deltas refer to."""
        new = [placement for pack in packs for placement in pack.placements]
        yield from new
        inputs = [source.digest for p in new for source in p.record.inputs]
        outside = [digest for digest in dict.fromkeys(inputs) if digest not in self._written]
        # by representation: what one version keeps deep another may keep whole
        seen: set[Representation] = set()
        for kept in self._known.needed([*reused, *outside]):
            if kept.representation not in seen:
                seen.add(kept.representation)
                yield from kept.placements

    def _preview_manifest(self, manifest: Manifest) -> Manifest | None:
        if not self._previews:
            return None
        return Manifest(tuple(self._previewed(file) for file in manifest.files))

    def _previewed(self, file: ManifestFile) -> ManifestFile:
        tensors = tuple(self._previews.get(digest, digest) for digest in file.tensors)
        sha256 = file.sha256 if tensors == file.tensors else None
        return ManifestFile(file.path, file.size, sha256, file.blob, file.header, tensors)

    # files

    def _blob(self, file: SourceFile) -> ManifestFile:
        digest, sha256, size = hash_blob(file)
        stored = 0 if self._has(digest) else self._write_blob(file, digest, size)
        self._tally.blobs.append(WrittenBlob(file.path, size, stored))
        self._report(size)
        return ManifestFile(file.path, size, sha256, blob=digest)

    def _write_blob(self, file: SourceFile, digest: Digest, size: int) -> int:
        stored, content = 0, blake3()

        def hashed() -> Iterator[bytes]:
            for chunk in file.chunks():
                content.update(chunk)
                yield chunk

        def counted() -> Iterator[bytes]:
            nonlocal stored
            for payload in blob_payloads(hashed()):
                stored += len(payload)
                yield payload

        try:
            self._spool.add("whole", blob_representation(Kind.BLOB, digest, size), counted())
        except UsageError as reason:  # other blocks than its size had announced
            raise _changing(file.path) from reason
        if blob_digest(size, Digest(content.hexdigest())) != digest:
            raise _changing(file.path)
        self._written[digest] = "blob"
        self._publish_finished(self._spool.take())
        return stored

    def _weights(self, file: SourceFile) -> ManifestFile:
        header = file.header
        if header is None:  # the caller looked
            raise InvalidError(f"{file.path}: not a safetensors file")
        digests = {
            entry.spec.name: self._tensor(file.path, entry.spec, file.read_tensor(entry))
            for entry in header.in_offset_order()
        }
        return ManifestFile(
            file.path,
            header.file_size,
            file.sha256(),
            header=self._header(header),
            tensors=tuple(digests[entry.spec.name] for entry in header.tensors),
        )

    def _header(self, header: SafetensorsHeader) -> Digest:
        digest = blob_digest(len(header.raw), bytes_digest(header.raw))
        if not self._has(digest):
            self._spool.add_blob("whole", Kind.BLOB, digest, header.raw)
            self._written[digest] = "blob"
        self._report(len(header.raw))
        return digest

    # tensors

    def _tensor(self, path: str, spec: TensorSpec, data: Bytes) -> Digest:
        digest = tensor_digest(spec.dtype, spec.shape, bytes_digest(data.data))
        if digest in self._written:
            self._count(self._written[digest], path, spec)
        elif self._has(digest) or self._has_elsewhere(digest, spec):
            self._count("unchanged", path, spec)
            self._preview_of_stored(digest, path, spec, data)
        else:
            self._encode(digest, path, spec, data)
            self._publish_finished(self._spool.take())
        self._report(spec.nbytes)
        return digest

    def _encode(self, digest: Digest, path: str, spec: TensorSpec, data: Bytes) -> None:
        known = self._known
        base = known.base.reference(path, spec) if known.base else None
        layered = self._layered(spec)
        parent = None
        if known.parent and (layered or self._density is None or base is None):
            parent = known.parent.reference(path, spec)
        encoded = self._encoder.encode(
            digest, spec, data, base=base, parent=parent, preview=layered and base is not None
        )
        self._keep(encoded, path, spec)
        sketch = sketch_of(digest, spec, data)
        if sketch is not None:
            self._sketches.append(sketch)

    def _has_elsewhere(self, digest: Digest, spec: TensorSpec) -> bool:
        self._known.proposals.look_for(digest, spec.nbytes)
        return self._has(digest)

    def _layered(self, spec: TensorSpec) -> bool:
        return self._density is not None and spec.size >= PREVIEW_LEAST_SIZE

    def _keep(self, encoded: EncodedTensor, path: str, spec: TensorSpec) -> None:
        exact, preview = encoded.exact, encoded.preview
        kind = "delta" if exact.representation.inputs else "dense"
        if preview is not None:
            self._keep_preview(exact.representation.digest, preview)
            self._tally.add_error(encoded.squared_error, encoded.squared_change)
        pack_class = self._pack_class(exact, layered=preview is not None)
        self._spool.add(pack_class, exact.representation, exact.payloads)
        self._written[exact.representation.digest] = kind
        self._count(kind, path, spec)

    def _pack_class(self, exact: Encoded, *, layered: bool) -> PackClass:
        """Format-v1 section 6: `preview` is what preview fidelity needs beyond the base."""
        if not exact.representation.inputs:
            return "whole"
        return "preview" if self._density is not None and not layered else "exact"

    def _keep_preview(self, digest: Digest, preview: Encoded) -> None:
        how = preview.representation
        if not self._is_kept_so(how):
            self._spool.add("preview", how, preview.payloads)
            self._written.setdefault(how.digest, "preview")
        self._previews[digest] = how.digest

    def _is_kept_so(self, how: Representation) -> bool:
        """Whether a preview is kept already, as one.

        A preview that was committed as a version of its own may be as deep as a tensor can be, and
        an exact layer is yet to be taken against it.
        """
        if self._written.get(how.digest) == "preview":
            return True
        holder = self._known.holder(how.digest)
        if holder is None:
            return False
        kept = holder.version.closure[how.digest].representation
        if (kept.codec, kept.inputs) != (how.codec, how.inputs):
            return False
        self._reused[how.digest] = None
        return True

    def _preview_of_stored(self, digest: Digest, path: str, spec: TensorSpec, data: Bytes) -> None:
        """Find or make the preview of a tensor whose exact bits the store has already."""
        base = self._known.base
        if self._density is None or base is None or not self._layered(spec):
            return
        original = base.counterpart(path, spec)
        if original is None or original.tensor.digest == digest or digest in self._previews:
            return
        found = self._known.preview_of(digest, original.source, self._density)
        if found is not None:
            self._has(found.digest)
            self._previews[digest] = found.digest
            self._taken_over.append((path, spec, digest, found))
            return
        reference = base.reference(path, spec)
        layer = self._encoder.preview(digest, spec, data, reference) if reference else None
        if layer is not None:
            self._keep_preview(digest, layer.encoded)
            self._tally.add_error(layer.squared_error, layer.squared_change)

    def _measure_taken_over(self) -> None:
        """Errors of previews that were stored before; read once it is clear that they count."""
        base = self._known.base
        for path, spec, digest, preview in self._taken_over:
            reference = base.reference(path, spec) if base else None
            holder = self._known.holder(digest)
            if reference is None or holder is None:
                continue
            shown = preview.version.reader.read(preview.digest, spec)
            exact = holder.reader.read(digest, spec)
            original = reference.words.view("u1")
            self._tally.add_error(*self._encoder.squared_errors(spec, exact, shown, original))

    def _has(self, digest: Digest) -> bool:
        """Whether nothing has to be written for a digest; remembers that it is relied on."""
        if digest in self._written:
            return True
        if self._known.holder(digest) is None:
            return False
        self._reused[digest] = None
        return True

    def _count(self, kind: str, path: str, spec: TensorSpec) -> None:
        tally = self._tally
        tally.unchanged += kind in ("unchanged", "preview")
        tally.delta += kind == "delta"
        tally.dense += kind == "dense"
        base = self._known.base
        if kind == "dense" and base:
            found = base.counterpart(path, spec)
            if found is None:
                tally.dense_names.append(spec.name)
            elif base.too_deep(found.tensor.digest):
                tally.too_deep += 1


def _changing(path: str) -> InvalidError:
    return InvalidError(
        f"{path} changed while it was being read",
        hint="wait until nothing writes to it, or leave it out with --exclude",
    )


def refuse_preview_files(files: Iterable[SourceFile]) -> None:
    """Refuse to commit what is only a preview as if it were the real thing.

    Raises:
        InvalidError: a file's metadata says that it is a preview.
    """
    for file in files:
        if file.header and file.header.metadata.get(FIDELITY_KEY) == "preview":
            raise InvalidError(
                f"{file.path} is a preview: its weights are approximations",
                hint="--lossy commits it all the same; an exact checkout has the original",
            )
