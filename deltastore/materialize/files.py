"""A version into a folder: byte for byte as committed, or its preview, marked as such."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.checkpoints.existing import ExpectedFile
from deltastore.checkpoints.state_dicts import serialize_header
from deltastore.errors import ExistsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeAlias

    from deltastore.checkpoints.destinations import Destination, Writer
    from deltastore.checkpoints.safetensors_header import SafetensorsHeader
    from deltastore.history.manifests import ManifestFile
    from deltastore.materialize.tensors import TensorReader
    from deltastore.materialize.versions import Version
    from deltastore.storage.records import Placement

    Report: TypeAlias = Callable[[str, int, int], None]

__all__ = ["FIDELITY_KEY", "Written", "check_out", "marked_preview"]

FIDELITY_KEY = "deltastore.fidelity"
"""Metadata key of safetensors files that hold a preview."""

NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Written:
    """What a checkout did: files of the selection, their bytes, and how many were there before."""

    files: int
    bytes: int
    kept: int


def marked_preview(header: SafetensorsHeader) -> SafetensorsHeader:
    """The header of the same tensors in a file that says it is a preview."""
    metadata = {**header.metadata, FIDELITY_KEY: "preview"}
    return serialize_header([entry.spec for entry in header.tensors], metadata)


class _Checkout:
    """One checkout in progress."""

    def __init__(
        self,
        version: Version,
        reader: TensorReader,
        *,
        preview: bool,
        report: Callable[[int], None],
    ) -> None:
        self.version = version
        self.preview = preview
        self.report = report
        self.reader = reader

    def expected(self, file: ManifestFile, folder: Destination, *, rebuild: bool) -> ExpectedFile:
        """Size and SHA-256; both are other ones where a preview's tensors are.

        No SHA-256 of those is stored. It takes rebuilding the file, so it is left out unless a file
        of the right size is there to be compared with.
        """
        if not self._is_preview(file):
            return ExpectedFile(file.path, file.size, file.sha256)
        size = marked_preview(self.version.weights_file(file.path).header).file_size
        sha256 = hashlib.sha256()
        if not rebuild or folder.size(file.path) != size:
            return ExpectedFile(file.path, size, None)
        for content in self._contents(file):
            sha256.update(content)
        return ExpectedFile(file.path, size, sha256.hexdigest())

    def write_all(self, files: Sequence[ManifestFile], folder: Destination) -> None:
        """Write files; what all of them need is fetched ahead."""
        with self.version.ahead(self._needed(files)) as (version, packs), folder.sink() as sink:
            near = _Checkout(
                version, self.reader.over(packs), preview=self.preview, report=self.report
            )
            for file in files:
                with sink.open(file.path) as writer:
                    near.write(file, writer)

    def _needed(self, files: Sequence[ManifestFile]) -> Iterator[Placement]:
        """The sections that files are written from, in order."""
        previews = self.version.preview if self.preview else None
        for file in files:
            yield from self.version.sections([file])
            read = (previews.file(file.path) if previews else None) or file
            yield from self.reader.sections(read.tensors)

    def write(self, file: ManifestFile, writer: Writer) -> None:
        for content in self._contents(file):
            writer.write(content)
            self.report(len(content))
        writer.finish(None if self._is_preview(file) else file.sha256)

    def _contents(self, file: ManifestFile) -> Iterator[bytes | memoryview]:
        """The file, piece by piece."""
        if file.blob is not None:
            yield from self.version.blob(file.blob)
            return
        weights = self.version.weights_file(file.path, preview=self.preview)
        header, tensors = weights.header, weights.tensors
        if self._is_preview(file):
            header = marked_preview(header)
            named = {tensor.entry.spec.name: tensor for tensor in tensors}
            tensors = tuple(named[entry.spec.name] for entry in header.in_offset_order())
        yield header.raw
        for content in self.reader.read_many(tensor.wanted for tensor in tensors):
            yield content.data

    def _is_preview(self, file: ManifestFile) -> bool:
        if not self.preview or self.version.preview is None:
            return False
        previewed = self.version.preview.file(file.path)
        return previewed is not None and previewed.sha256 is None


def check_out(
    version: Version,
    files: Sequence[ManifestFile],
    folder: Destination,
    reader: TensorReader,
    *,
    preview: bool = False,
    overwrite: bool = False,
    report: Report = lambda _stage, _done, _total: None,
) -> Written:
    """Write files of a version; those that are there already with the right bytes are kept.

    Args:
        version: to read from.
        files: of its manifest.
        folder: made if absent; files of other names in it are not touched.
        reader: of the version's tensors.
        preview: previewed tensors instead of exact ones.
        overwrite: replace files that differ; previews are written again without a look.
        report: called with "checkout", bytes done and bytes in all.

    Raises:
        ExistsError: files that differ are in the way, and `overwrite` is off; nothing was written.
        CorruptError: what was rebuilt is not what was committed; that file was not written.
    """
    done = total = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        report("checkout", done, total)

    checkout = _Checkout(version, reader, preview=preview, report=count)
    expected = [checkout.expected(file, folder, rebuild=not overwrite) for file in files]
    total = sum(item.size for item in expected)
    existing = folder.compare(expected)
    if existing.different and not overwrite:
        raise _in_the_way(folder.name, existing.different)
    kept = set(existing.same)
    count(sum(item.size for item in expected if item.path in kept))
    checkout.write_all([file for file in files if file.path not in kept], folder)
    return Written(len(files), total, len(kept))


def _in_the_way(folder: str, paths: Sequence[str]) -> ExistsError:
    shown = ", ".join(paths[:NAMES_SHOWN])
    more = f" and {len(paths) - NAMES_SHOWN} more" if len(paths) > NAMES_SHOWN else ""
    return ExistsError(
        f"{folder} holds files that differ: {shown}{more}. Nothing was written",
        hint="--overwrite replaces them, or check out into another folder",
    )
