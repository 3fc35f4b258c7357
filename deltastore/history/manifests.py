"""Manifests: the files of one version, by digest (format-v1, section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

from deltastore.checkpoints.paths import check_path
from deltastore.errors import CorruptError, InvalidError
from deltastore.history.documents import Fields, encode_document, parse_document
from deltastore.ids import MAX_JSON_INTEGER, is_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deltastore.errors import DeltastoreError
    from deltastore.ids import Digest, JsonObject

__all__ = ["MAX_FILES", "MAX_MANIFEST_BYTES", "MAX_TENSORS", "Manifest", "ManifestFile"]

MAX_MANIFEST_BYTES = 64 * 2**20
MAX_TENSORS = 10**6
MAX_FILES = 10**5


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file: either a blob, or a safetensors header and the tensors behind it.

    Attributes:
        path: relative, `/`-separated.
        size: bytes of the file.
        sha256: 64 lower-case hex digits; None where a preview's content differs.
        blob: digest of the whole file, or None.
        header: blob digest of the verbatim safetensors header (8 length bytes and JSON), or None.
        tensors: tensor digests in the order of the header's JSON keys; empty for a blob.
    """

    path: str
    size: int
    sha256: str | None
    blob: Digest | None = None
    header: Digest | None = None
    tensors: tuple[Digest, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """All files of one version.

    Attributes:
        files: sorted by path.
    """

    files: tuple[ManifestFile, ...]

    def encode(self) -> bytes:
        """The bytes to store: canonical JSON.

        Raises:
            InvalidError: too large, or something that `decode` would refuse.
        """
        _check(self.files, InvalidError)
        document: JsonObject = {"files": [_document(file) for file in self.files]}
        return encode_document(document, what="manifest", max_bytes=MAX_MANIFEST_BYTES)

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """The manifest in stored bytes; keys of later versions are ignored.

        Raises:
            CorruptError: no valid manifest: a limit, a path that escapes or occurs twice, a file
                that is neither blob nor tensors.
        """
        fields = parse_document(data, what="manifest", max_bytes=MAX_MANIFEST_BYTES)
        if len(fields.items("files")) > MAX_FILES:
            raise fields.refuse("files", f"has more than {MAX_FILES} files")
        files = tuple(_file(item) for item in fields.children("files"))
        _check(files, CorruptError)
        return cls(files)

    def file(self, path: str) -> ManifestFile | None:
        """The file of that path, or None."""
        return next((file for file in self.files if file.path == path), None)

    def digests(self) -> Iterator[Digest]:
        """Every digest this manifest owes: blobs, headers and tensors; some more than once."""
        for file in self.files:
            if file.blob is not None:
                yield file.blob
            if file.header is not None:
                yield file.header
            yield from file.tensors

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


def _document(file: ManifestFile) -> JsonObject:
    common: JsonObject = {"path": file.path, "size": file.size, "sha256": file.sha256}
    if file.blob is not None:
        return {**common, "blob": file.blob}
    return {**common, "header": file.header, "tensors": list(file.tensors)}


def _file(fields: Fields) -> ManifestFile:
    blob = fields.optional_digest("blob")
    return ManifestFile(
        path=fields.text("path"),
        size=fields.integer("size"),
        sha256=fields.optional_digest("sha256"),
        blob=blob,
        header=fields.optional_digest("header"),
        tensors=fields.digests("tensors") if blob is None else (),
    )


def _check(files: tuple[ManifestFile, ...], error: type[DeltastoreError]) -> None:
    if len(files) > MAX_FILES:
        raise error(f"manifest: {len(files)} files, more than the {MAX_FILES} allowed")
    if sum(len(file.tensors) for file in files) > MAX_TENSORS:
        raise error(f"manifest: more than the {MAX_TENSORS} tensors allowed")
    for file in files:
        _check_file(file, error)
    _check_tree([file.path for file in files], error)


def _check_file(file: ManifestFile, error: type[DeltastoreError]) -> None:
    def refuse(reason: str) -> NoReturn:
        raise error(f"manifest: {file.path[:200]!r}: {reason}")

    try:
        check_path(file.path)
    except InvalidError as reason:
        refuse(str(reason))
    if (file.blob is None) == (file.header is None):
        refuse("it must be either a blob or a header with tensors")
    if file.blob is not None and file.tensors:
        refuse("a blob has no tensors")
    if not 0 <= file.size <= MAX_JSON_INTEGER:
        refuse(f"impossible size {file.size}")
    digests = (file.sha256, file.blob, file.header, *file.tensors)
    if not all(digest is None or is_digest(digest) for digest in digests):
        refuse("a digest is not 64 lower-case hex digits")


def _check_tree(paths: list[str], error: type[DeltastoreError]) -> None:
    """Sorted, no path twice, and none a folder of another."""
    if any(first >= second for first, second in pairwise(paths)):
        raise error("manifest: paths are not sorted, or one occurs twice")
    known = set(paths)
    cleared: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in cleared:
            if folder in known:
                raise error(f"manifest: {folder!r} is a file and a folder (of {path!r})")
            cleared.add(folder)
            folder = folder.rpartition("/")[0]
