"""History as people ask for it: `show`, `log`, `ls` and refs, from the log and headers alone."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING

from deltastore.history.ancestry import graph_rows, log_order
from deltastore.history.drawing import draw
from deltastore.history.refs import parse_ref
from deltastore.results import CommitInfo, FileInfo, LogResult, ModelInfo, RefInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal

    from deltastore.history.manifests import Manifest
    from deltastore.history.objects import HistoryReader
    from deltastore.history.refs import Ref
    from deltastore.history.state import LogState
    from deltastore.ids import CommitId

__all__ = ["RefNames", "commit_info", "file_infos", "log_result", "model_infos", "ref_infos"]


class RefNames:
    """`ns/name@branch` and `ns/name@tag` of the refs that stand on a commit."""

    def __init__(self, state: LogState) -> None:
        self._names: dict[CommitId, list[str]] = {}
        for ref, commit in _standing(state):
            self._names.setdefault(commit, []).append(f"{ref.model}@{ref.name}")

    def of(self, commit: CommitId) -> tuple[str, ...]:
        """Sorted; empty if there are none."""
        return tuple(self._names.get(commit, ()))


def commit_info(
    commit: CommitId, history: HistoryReader, names: RefNames, *, files: bool = False
) -> CommitInfo:
    """One commit as recorded, with the names of the refs that stand on it."""
    header = history.header(commit)
    manifest = history.manifest(commit, header.manifest) if files else None
    return CommitInfo(
        commit=commit,
        parents=header.parents,
        base=header.base,
        author=header.author,
        time=header.time,
        message=header.message,
        recipe=header.recipe,
        inputs=header.inputs,
        metadata=header.metadata,
        metrics={name: float(text) for name, text in header.metrics.items()},
        files=file_infos(manifest) if manifest else (),
        preview_error=float(header.preview.error) if header.preview else None,
        refs=names.of(commit),
    )


def file_infos(manifest: Manifest) -> tuple[FileInfo, ...]:
    """The files of a version."""
    return tuple(FileInfo(file.path, file.size, file.sha256) for file in manifest.files)


def log_result(
    tip: CommitId,
    history: HistoryReader,
    state: LogState,
    *,
    limit: int | None,
    graph: bool,
) -> LogResult:
    """A commit and what is behind it, newest first.

    Args:
        tip: where to begin.
        history: reads headers.
        state: for the names of refs.
        limit: most commits; None for all.
        graph: whether to draw it.
    """
    order = log_order([tip], history.header)
    commits: Sequence[CommitId] = tuple(order if limit is None else islice(order, limit + 1))
    shown = commits if limit is None else commits[:limit]
    drawing = tuple(draw(graph_rows(shown, history.header))) if graph else ()
    names = RefNames(state)
    infos = tuple(commit_info(commit, history, names) for commit in shown)
    return LogResult(infos, len(commits) > len(shown), drawing)


def model_infos(state: LogState, pattern: str | None) -> tuple[ModelInfo, ...]:
    """Models whose name fits a glob, or that are in a namespace (`ns/`); all when None."""
    glob = "*" if not pattern else f"{pattern}*" if pattern.endswith("/") else pattern
    names: dict[str, dict[str, list[str]]] = {}
    for ref, _ in _standing(state):
        kinds = names.setdefault(ref.model, {"branch": [], "tag": []})
        kinds[ref.kind].append(ref.name)
    return tuple(
        ModelInfo(model, tuple(names[model]["branch"]), tuple(names[model]["tag"]))
        for model in sorted(names)
        if fnmatchcase(model, glob)
    )


def ref_infos(
    state: LogState, kind: Literal["branch", "tag"], model: str | None
) -> tuple[RefInfo, ...]:
    """The branches or tags of a model, or of all models."""
    found = [
        RefInfo(ref.model, ref.name, kind, commit)
        for ref, commit in _standing(state)
        if ref.kind == kind and model in (None, ref.model)
    ]
    return tuple(sorted(found, key=lambda info: info.model))


def _standing(state: LogState) -> Iterator[tuple[Ref, CommitId]]:
    """Branches and tags with their commits, in one pass, sorted within each model."""
    for full in sorted(state.refs):
        commit = state.ref(full)
        ref = parse_ref(full) if commit else None
        if commit and ref and ref.model:
            yield ref, commit
