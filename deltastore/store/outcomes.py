"""What operations return, put into the words of `deltastore.results`."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from deltastore.results import Commit, FoundBase, KeptWhole, RevertResult, TensorCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deltastore.history.views import RefNames
    from deltastore.ids import CommitId
    from deltastore.ingest.requests import Committed, Request
    from deltastore.ingest.written import WrittenVersion
    from deltastore.progress import Progress
    from deltastore.store.inputs import OpenedSource

__all__ = ["commit_result", "counted", "revert_result"]


PREVIEW_SHARE = 1.05
"""What a preview adds to a delta, about, on top of what is predicted for the latter."""


def counted(report: Progress, stage: str, total: int) -> Callable[[int], None]:
    """A callback for each finished piece's bytes, from one for totals."""
    done = 0

    def add(size: int) -> None:
        nonlocal done
        done += size
        report(stage, min(done, total), total)

    return add


def commit_result(
    done: Committed,
    request: Request,
    opened: OpenedSource,
    names: RefNames,
    requests: int | None,
) -> Commit:
    """The value `commit` returns."""
    written = done.written
    base = done.header.base
    known = names.of(base) if base else ()
    files = opened.source.files()
    return Commit(
        commit=done.commit,
        model=request.model,
        branch=request.branch,
        parents=done.header.parents,
        base=base,
        unchanged=written is None,
        tensors=_counts(written, opened),
        logical_bytes=done.logical_bytes,
        stored_bytes=done.stored_bytes,
        preview_bytes=done.preview_bytes,
        preview_error=written.preview_error if written else _recorded_error(done),
        requests=requests,
        skipped_files=opened.skipped,
        new_model=done.new_model,
        new_branch=done.new_branch,
        moved=done.moved,
        base_name=known[0] if known else None,
        weight_files=sum(file.header is not None for file in files),
        other_files=sum(file.header is None for file in files),
        kept_whole=_kept_whole(written),
        dense_names=written.dense_names if written else (),
        warnings=(*opened.warnings, *_too_deep(written)),
        found_base=_found_base(done, _kept_whole(written)),
    )


def _found_base(done: Committed, kept_whole: Sequence[KeptWhole]) -> FoundBase | None:
    """Both ratios are of the whole commit, so files that no base makes smaller count in both."""
    found, stored = done.found, done.stored_bytes
    if found is None:
        return None
    predicted = max(1.0, PREVIEW_SHARE * found.predicted_bytes)
    predicted += sum(file.stored_bytes for file in kept_whole)
    ratio = done.logical_bytes / stored if done.written is not None and stored else None
    return FoundBase(found.reason, found.considered, done.logical_bytes / predicted, ratio)


def revert_result(
    recorded: Commit, reverted: CommitId, subtracted: tuple[str, ...]
) -> RevertResult:
    """The value `revert` returns."""
    same = {field.name: getattr(recorded, field.name) for field in fields(Commit)}
    return RevertResult(**same, reverted=reverted, exact=not subtracted, subtracted=subtracted)


def _counts(written: WrittenVersion | None, opened: OpenedSource) -> TensorCounts:
    if written is None:
        total = sum(len(file.header.tensors) for file in opened.source.files() if file.header)
        return TensorCounts(total, total, 0, 0)
    total = written.unchanged + written.delta + written.dense
    return TensorCounts(total, written.unchanged, written.delta, written.dense)


def _too_deep(written: WrittenVersion | None) -> tuple[str, ...]:
    if written is None or not written.too_deep:
        return ()
    reason = "those of the base are deltas, four versions from one that is kept whole"
    return (f"{written.too_deep} tensors are kept whole: {reason}",)


def _recorded_error(done: Committed) -> float | None:
    return float(done.header.preview.error) if done.header.preview else None


def _kept_whole(written: WrittenVersion | None) -> tuple[KeptWhole, ...]:
    blobs = sorted(written.blobs if written else (), key=lambda blob: -blob.stored_bytes)
    return tuple(
        KeptWhole(blob.path, blob.size, blob.stored_bytes) for blob in blobs if blob.stored_bytes
    )
