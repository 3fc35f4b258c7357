"""`diff`: two revisions or folders, by names as callers write them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deltastore.checkpoints.source import FolderSource
from deltastore.errors import InvalidError, NotFoundError
from deltastore.ids import short
from deltastore.materialize.compare import compare
from deltastore.materialize.sides import Side, SourceSide, VersionSide
from deltastore.store.places import is_path, scan_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deltastore.history.diff import NamedTensor
    from deltastore.history.resolving import Resolved
    from deltastore.ids import CommitId
    from deltastore.materialize.session import Session
    from deltastore.materialize.tensors import Bytes
    from deltastore.progress import Progress
    from deltastore.results import Diff
    from deltastore.store.places import UrlOptions

__all__ = ["difference"]


@dataclass(frozen=True, slots=True)
class _Named:
    """A side and how people know it; `base` as its commit records it."""

    side: Side
    label: str
    base: CommitId | None = None


def difference(
    session: Session,
    a: str,
    b: str | None,
    resolve: Callable[[str], Resolved],
    report: Progress,
    options: UrlOptions,
    *,
    include: Sequence[str] = (),
) -> Diff:
    """Compare A and B; A alone with its first parent, which then is the older side.

    `include` has globs of files of a folder that are left out by default.

    Raises:
        NotFoundError: a revision or folder does not exist, or A has no parent.
        StorageError: a URL cannot be reached.
    """
    if b is None:
        a, b = _parent_of(session, a, resolve), a
    first, second = (_open(session, text, resolve, options, include) for text in (a, b))
    base = first.base if first.base == second.base else None
    found = compare(
        first.side, second.side, _base_reader(session, base), report=partial(report, "diff")
    )
    return replace(found, a=first.label, b=second.label)


def _parent_of(session: Session, text: str, resolve: Callable[[str], Resolved]) -> str:
    commit = _resolved(text, resolve).commit
    header = session.history.header(commit)
    if not header.parents:
        other = f"with its base: diff {short(header.base)} {text}" if header.base else "diff A B"
        raise NotFoundError(
            f"{text} has no parent to compare with", hint=f"name two versions, {other}"
        )
    return header.parents[0]


def _open(
    session: Session,
    text: str,
    resolve: Callable[[str], Resolved],
    options: UrlOptions,
    include: Sequence[str],
) -> _Named:
    if is_path(text):
        folder = scan_path(text, options, include=include)
        return _Named(SourceSide(FolderSource(folder)), text)
    found = _resolved(text, resolve)
    version = session.version(found.commit)
    name = found.branch or found.tag
    label = f"{found.model}@{name} {short(found.commit)}" if name else short(found.commit)
    return _Named(VersionSide(version, session.reader(version)), label, version.header.base)


def _resolved(text: str, resolve: Callable[[str], Resolved]) -> Resolved:
    """What a revision names; who meant a folder of that name is told how to write it."""
    try:
        return resolve(text)
    except (InvalidError, NotFoundError) as error:
        if text and "\0" not in text and Path(text).exists():
            hint = f"a revision was looked for; the {_kind(text)} here is ./{text}"
            raise type(error)(str(error), hint=hint) from None
        raise


def _kind(text: str) -> str:
    return "folder" if Path(text).is_dir() else "file"


def _base_reader(session: Session, base: CommitId | None) -> Callable[[NamedTensor], Bytes | None]:
    if base is None:
        return lambda _tensor: None
    version = session.version(base)
    reader = session.reader(version)

    def read(tensor: NamedTensor) -> Bytes | None:
        found = version.counterpart(tensor.path, tensor.spec.name)
        if found is None or found.entry.spec != tensor.spec:
            return None
        return reader.read(found.digest, tensor.spec)

    return read
