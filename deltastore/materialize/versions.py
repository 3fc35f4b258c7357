"""One commit opened for reading: its header, files, tensors, and what they need."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from deltastore.checkpoints.safetensors_header import parse_header
from deltastore.errors import CorruptError, InvalidError, NotFoundError
from deltastore.materialize.closure import Closure
from deltastore.materialize.shelves import EMPTY
from deltastore.materialize.tensors import Wanted

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from deltastore.checkpoints.safetensors_header import SafetensorsHeader, TensorEntry
    from deltastore.history.commits import CommitHeader
    from deltastore.history.manifests import Manifest, ManifestFile
    from deltastore.history.objects import HistoryReader
    from deltastore.ids import CommitId, Digest
    from deltastore.materialize.shelves import Shelf
    from deltastore.storage.packs import PackReader
    from deltastore.storage.records import PackId, Placement

__all__ = ["Version", "VersionFile", "VersionTensor", "open_version"]

MAX_HEADER_BYTES = 100_000_008
"""Of a safetensors file: the library's own limit and the 8 length bytes."""


@dataclass(frozen=True, slots=True)
class VersionTensor:
    """One tensor of a file: where the file has it, and which tensor it is."""

    entry: TensorEntry
    digest: Digest

    @property
    def wanted(self) -> Wanted:
        """As the tensor reader asks for it."""
        return Wanted(self.digest, self.entry.spec)


@dataclass(frozen=True, slots=True)
class VersionFile:
    """A safetensors file of a version.

    Attributes:
        file: as the manifest has it.
        header: verbatim and parsed.
        tensors: in offset order.
    """

    file: ManifestFile
    header: SafetensorsHeader
    tensors: tuple[VersionTensor, ...]


class Version:
    """A commit's content; headers of safetensors files are read when they are asked for.

    Args:
        commit: its id.
        header: what was recorded.
        manifest: of the exact content.
        preview: of the previewed content, or None.
        closure: what both need.
        packs: to read from.
    """

    def __init__(
        self,
        commit: CommitId,
        header: CommitHeader,
        manifest: Manifest,
        preview: Manifest | None,
        closure: Closure,
        packs: PackReader,
    ) -> None:
        self.commit = commit
        self.header = header
        self.manifest = manifest
        self.preview = preview
        self.closure = closure
        self._packs = packs

    @cached_property
    def weights(self) -> tuple[VersionFile, ...]:
        """The safetensors files, exact."""
        return tuple(self._open_files(self.manifest))

    @cached_property
    def preview_weights(self) -> tuple[VersionFile, ...]:
        """The same at preview fidelity; the exact ones where there is no preview."""
        return tuple(self._open_files(self.preview)) if self.preview else self.weights

    @cached_property
    def tensors(self) -> Mapping[str, VersionTensor]:
        """The exact tensors by name; of one name in several files the first one counts."""
        return _by_name(self.weights)

    @cached_property
    def _by_place(self) -> Mapping[tuple[str, str], VersionTensor]:
        return {(f.file.path, t.entry.spec.name): t for f in self.weights for t in f.tensors}

    def counterpart(self, path: str, name: str) -> VersionTensor | None:
        """The exact tensor that stands for one of another version.

        Args:
            path: of the file it is in.
            name: of the tensor.

        Returns:
            The one of that name in the file of that path; else of that name anywhere, in the first
            file that has it; None if there is none. Its dtype and shape may be others.
        """
        return self._by_place.get((path, name)) or self.tensors.get(name)

    @cached_property
    def previews(self) -> Mapping[Digest, Digest]:
        """Digest of a previewed tensor by that of the exact one."""
        pairs = zip(self.weights, self.preview_weights, strict=True)
        return {
            exact.digest: preview.digest
            for file, other in pairs
            for exact, preview in zip(file.tensors, other.tensors, strict=True)
            if exact.digest != preview.digest
        }

    def file(self, path: str) -> ManifestFile:
        """The file of that path.

        Raises:
            NotFoundError: there is none.
        """
        found = self.manifest.file(path)
        if found is None:
            names = ", ".join(file.path for file in self.manifest.files[:10])
            raise NotFoundError(f"{path}: no such file in this version", hint=f"it has: {names}")
        return found

    def weights_file(self, path: str, *, preview: bool = False) -> VersionFile:
        """The safetensors file of that path."""
        files = self.preview_weights if preview else self.weights
        return next(file for file in files if file.file.path == path)

    def blob(self, digest: Digest) -> Iterator[bytes]:
        """The content of an opaque file, 4 MiB at a time; checked at the end."""
        return self._packs.blob_chunks(self.closure[digest].placements)

    def sections(self, files: Iterable[ManifestFile]) -> Iterator[Placement]:
        """The sections that files and headers of files with tensors are rebuilt from, in order."""
        digests = (digest for file in files for digest in (file.blob, file.header) if digest)
        return self.closure.sections(digests)

    @contextmanager
    def ahead(self, sections: Iterable[Placement]) -> Iterator[tuple[Version, PackReader]]:
        """This version, and packs for its tensors, over packs that fetch sections ahead."""
        with self._packs.ahead(sections) as packs:
            other = Version(
                self.commit, self.header, self.manifest, self.preview, self.closure, packs
            )
            yield other, packs

    def _open_files(self, manifest: Manifest) -> Iterator[VersionFile]:
        digests = [file.header for file in manifest.files if file.header is not None]
        with self._packs.ahead(self.closure.sections(digests)) as packs:
            for file in manifest.files:
                if file.header is not None:
                    yield self._open_file(file, file.header, packs)

    def _open_file(self, file: ManifestFile, digest: Digest, packs: PackReader) -> VersionFile:
        kept = self.closure[digest]
        if kept.representation.raw_length > MAX_HEADER_BYTES:
            raise CorruptError(f"{file.path}: its header is over {MAX_HEADER_BYTES} bytes")
        raw = b"".join(packs.blob_chunks(kept.placements))
        try:
            header = parse_header(raw, file_size=file.size, what=file.path)
        except InvalidError as reason:
            raise CorruptError(f"stored header: {reason}") from reason
        if header.raw != raw or len(header.tensors) != len(file.tensors):
            raise CorruptError(f"{file.path}: its header and its tensors do not belong together")
        pairs = zip(header.tensors, file.tensors, strict=True)
        digests = {entry.spec.name: digest for entry, digest in pairs}
        ordered = (VersionTensor(e, digests[e.spec.name]) for e in header.in_offset_order())
        return VersionFile(file, header, tuple(ordered))


def _by_name(files: tuple[VersionFile, ...]) -> dict[str, VersionTensor]:
    found: dict[str, VersionTensor] = {}
    for file in files:
        for tensor in file.tensors:
            found.setdefault(tensor.entry.spec.name, tensor)
    return found


def open_version(
    history: HistoryReader,
    packs: PackReader,
    commit: CommitId,
    *,
    live: Container[PackId] | None = None,
    shelf: Shelf = EMPTY,
) -> Version:
    """Everything about a commit except its weights.

    Args:
        history: reads what commits say.
        packs: to read content from.
        commit: its id.
        live: packs that the log vouches for, which are used before others; None when all count.
        shelf: tensors that need not be read.

    Raises:
        MissingObjectError: its meta pack, or something in it, is not there.
        CorruptError: something is not what its digest promises.
    """
    header = history.header(commit)
    manifest = history.manifest(commit, header.manifest)
    preview = history.manifest(commit, header.preview.manifest) if header.preview else None
    closure = Closure(history.locator(commit), live=live, shelf=shelf)
    for file in manifest.files:
        _check_file(commit, file, closure)
    if preview is not None:
        _check_preview(commit, manifest, preview)
    return Version(commit, header, manifest, preview, closure, packs)


def _check_file(commit: CommitId, file: ManifestFile, closure: Closure) -> None:
    """What an exact manifest must say of a file: nothing else tells a wrong order of tensors."""
    if file.sha256 is None:
        raise CorruptError(f"commit {commit}: its manifest has no SHA-256 of {file.path!r}")
    kept = None if file.blob is None else closure.get(file.blob)
    size = file.size if kept is None else kept.representation.raw_length
    if size != file.size:
        raise CorruptError(
            f"commit {commit}: its manifest has {file.size} bytes for {file.path!r}, which has "
            f"{size}"
        )


def _check_preview(commit: CommitId, manifest: Manifest, preview: Manifest) -> None:
    """A preview has the same files, apart from the digests of tensors (format-v1, section 5)."""
    if [file.path for file in preview.files] != [file.path for file in manifest.files]:
        raise CorruptError(f"commit {commit}: its preview has other files")
    for exact, other in zip(manifest.files, preview.files, strict=True):
        same = replace(other, sha256=exact.sha256, tensors=exact.tensors) == exact
        if not same or len(other.tensors) != len(exact.tensors):
            raise CorruptError(f"commit {commit}: its preview has another {exact.path!r}")
        differs = other.tensors != exact.tensors
        if other.sha256 != exact.sha256 and not (differs and other.sha256 is None):
            raise CorruptError(
                f"commit {commit}: its preview has another SHA-256 of {exact.path!r}"
            )
