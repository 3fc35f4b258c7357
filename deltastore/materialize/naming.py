"""Tensors of a version by name, where several files may have one of the same name."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from deltastore.errors import AmbiguousError, IncompatibleError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deltastore.materialize.tensors import Wanted
    from deltastore.materialize.versions import VersionFile

__all__ = ["named", "selected"]

QUALIFIED = ".safetensors:"
"""In a name or glob: it is of `path:name`, for versions that have one name in several files."""


def selected(files: Iterable[VersionFile], glob: str | None) -> dict[str, Wanted]:
    """Tensors by name whose name fits a glob.

    Args:
        files: of a version.
        glob: of names; of `path:name` where it has `.safetensors:` in it; None for all.

    Raises:
        NotFoundError: the glob fits none.
        IncompatibleError: two files have different tensors of one name, and a state dict or a
            single file holds only one.
    """
    found: dict[str, Wanted] = {}
    homes: dict[str, str] = {}
    for path, wanted in _fitting(files, glob):
        name = wanted.spec.name
        if found.setdefault(name, wanted) != wanted:
            raise IncompatibleError(
                f"tensor {name!r} is in {homes[name]} and, with other values, in {path}",
                hint=f"select one of them with tensors='{path}:*', or check the files out",
            )
        homes.setdefault(name, path)
    if glob is not None and not found:
        raise NotFoundError(
            f"no tensor is named like {glob!r}",
            hint="ls REV --tensors lists the names; quote the pattern",
        )
    return found


def _fitting(files: Iterable[VersionFile], glob: str | None) -> Iterator[tuple[str, Wanted]]:
    """The path and the tensor of everything a glob fits."""
    qualified = glob is not None and QUALIFIED in glob
    for file in files:
        prefix = f"{file.file.path}:" if qualified else ""
        for tensor in file.tensors:
            if glob is None or fnmatchcase(prefix + tensor.entry.spec.name, glob):
                yield file.file.path, tensor.wanted


def named(files: Iterable[VersionFile], name: str) -> Wanted | None:
    """The tensor of a name, or of `path:name`; None if there is none.

    Raises:
        AmbiguousError: several files have different tensors of that name.
    """
    found: dict[Wanted, str] = {}
    for file in files:
        for tensor in file.tensors:
            plain = tensor.entry.spec.name
            full = f"{file.file.path}:{plain}"
            if name in (plain, full):
                found.setdefault(tensor.wanted, full)
    if len(found) > 1:
        raise AmbiguousError(
            f"several files have a tensor {name!r}", hint=f"one of: {', '.join(found.values())}"
        )
    return next(iter(found), None)
