"""What callers write, as what operations need: paths, targets, sources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltastore.checkpoints.folder import scan
from deltastore.checkpoints.source import ArraysSource, FolderSource
from deltastore.errors import InvalidError, UnsupportedError, UsageError
from deltastore.history.refs import DEFAULT_BRANCH, check_model, check_ref_name
from deltastore.materialize.files import FIDELITY_KEY
from deltastore.materialize.state_dicts import PreviewState, raw_arrays

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from deltastore.checkpoints.source import TensorSource

__all__ = [
    "OpenedSource",
    "is_path",
    "local_path",
    "open_source",
    "split_target",
]

_PATH = re.compile(r"[./~\\]|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://")
_REMOTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


@dataclass(frozen=True, slots=True)
class OpenedSource:
    """What is to be committed, the paths left out, and what a person should be told."""

    source: TensorSource
    skipped: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all files, as far as they are known."""
        return sum(file.size or 0 for file in self.source.files())


def is_path(text: str) -> bool:
    """Whether a text, where both are allowed, is a path rather than a revision."""
    return _PATH.match(text) is not None


def local_path(path: str | PathLike[str]) -> Path:
    """A local path.

    Raises:
        InvalidError: no path at all: empty, or with a NUL in it.
        UnsupportedError: a URL of somewhere else.
    """
    text = str(path)
    if not text or "\0" in text:
        raise InvalidError(f"{text!r} is not a path", hint="name a file or folder")
    found = _REMOTE.match(text)
    if found and found.group(1) != "file":
        raise UnsupportedError(
            f"{found.group(1)}:// is not a place that files are read from or written to yet",
            hint="use a local folder; the store itself may be anywhere",
        )
    return Path(text.removeprefix("file://")).expanduser()


def split_target(to: str) -> tuple[str, str]:
    """Model and branch of `namespace/name[@branch]`.

    Raises:
        InvalidError: a name that breaks the rules.
    """
    model, _, branch = to.partition("@")
    return check_model(model), check_ref_name(branch or DEFAULT_BRANCH)


def open_source(
    source: str | PathLike[str] | Mapping[str, Any],
    *,
    files: str | PathLike[str] | None,
    include: Sequence[str],
    exclude: Sequence[str],
) -> OpenedSource:
    """A folder, a file or a state dict as a source; a preview's state dict makes a marked file.

    Args:
        source: what to commit.
        files: with a state dict, the folder that holds the other files.
        include: globs of what is left out by default.
        exclude: globs of more to leave out.

    Raises:
        InvalidError: a broken checkpoint.
        NotFoundError: there is nothing.
        UsageError: `files` without a state dict.
    """
    if isinstance(source, Mapping):
        beside = (
            None if files is None else scan(local_path(files), include=include, exclude=exclude)
        )
        metadata = {"format": "pt"}
        if isinstance(source, PreviewState):
            metadata[FIDELITY_KEY] = "preview"
        arrays = ArraysSource(
            raw_arrays(source), FolderSource(beside) if beside else None, metadata=metadata
        )
        skipped = (*(beside.skipped if beside else ()), *arrays.replaced)
        return OpenedSource(arrays, skipped, beside.warnings if beside else ())
    if files is not None:
        raise UsageError("files= goes with a state dict only", hint="a folder brings its own files")
    folder = scan(local_path(source), include=include, exclude=exclude)
    return OpenedSource(FolderSource(folder), folder.skipped, folder.warnings)
