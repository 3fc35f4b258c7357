"""What callers write, as what operations need: paths, targets, sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltastore.checkpoints.source import ArraysSource, FolderSource
from deltastore.errors import UsageError
from deltastore.history.refs import DEFAULT_BRANCH, check_model, check_ref_name
from deltastore.materialize.files import FIDELITY_KEY
from deltastore.materialize.state_dicts import PreviewState, raw_arrays
from deltastore.store.places import scan_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from deltastore.checkpoints.source import TensorSource
    from deltastore.store.places import UrlOptions

__all__ = [
    "OpenedSource",
    "open_source",
    "split_target",
]


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


def split_target(to: str) -> tuple[str, str]:
    """Model and branch of `namespace/name[@branch]`.

    Raises:
        InvalidError: a name that breaks the rules.
    """
    model, _, branch = to.partition("@")
    return check_model(model), check_ref_name(branch or DEFAULT_BRANCH)


def open_source(
    source: str | PathLike[str] | Mapping[str, Any] | OpenedSource,
    *,
    files: str | PathLike[str] | None,
    include: Sequence[str],
    exclude: Sequence[str],
    options: UrlOptions,
) -> OpenedSource:
    """A folder, a file or a state dict as a source; a preview's state dict makes a marked file.

    Args:
        source: what to commit; what is opened already is returned.
        files: with a state dict, the folder that holds the other files.
        include: globs of what is left out by default.
        exclude: globs of more to leave out.
        options: for the file systems of URLs.

    Raises:
        InvalidError: a broken checkpoint.
        NotFoundError: there is nothing.
        UsageError: `files` without a state dict.
    """
    if isinstance(source, OpenedSource):
        return source
    if isinstance(source, Mapping):
        beside = (
            None if files is None else scan_path(files, options, include=include, exclude=exclude)
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
    folder = scan_path(source, options, include=include, exclude=exclude)
    return OpenedSource(FolderSource(folder), folder.skipped, folder.warnings)
