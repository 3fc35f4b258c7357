"""What an import plans and does, put into the words of `deltastore.results`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from deltastore.ids import CommitId, Digest
from deltastore.results import FailedItem, ImportedItem, ImportResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.history.views import RefNames
    from deltastore.ingest.import_plans import Planned
    from deltastore.ingest.remembering import Failure
    from deltastore.results import Commit

__all__ = ["done_item", "failed_item", "plan_result", "planned_item"]

_REASONS = {"none": "--base none", "auto": "looked for when it is committed"}


def plan_result(plans: Sequence[Planned], names: RefNames, base: str) -> ImportResult:
    """The plan: what would be committed, what is stored, what cannot be.

    Args:
        plans: one for each checkpoint.
        names: of commits, for people.
        base: a commit's id, `auto` or `none`.
    """
    commit = None if base in _REASONS else CommitId(Digest(base))
    known = names.of(commit) if commit else ()
    planned = partial(planned_item, base=base, commit=commit, name=known[0] if known else None)
    return ImportResult(
        items=tuple(planned(found) for found in plans if not found.trouble),
        failed=tuple(failed_item(found, found.trouble) for found in plans if found.trouble),
        dry_run=True,
    )


def failed_item(planned: Planned, failure: Failure) -> FailedItem:
    """Why one could not be committed."""
    source = planned.candidate.source
    return FailedItem(source, failure.kind, failure.message, failure.hint, planned.remembered)


def planned_item(
    planned: Planned, *, base: str = "", commit: CommitId | None = None, name: str | None = None
) -> ImportedItem:
    """One that is stored, or would be committed against a base, which has a name."""
    stored = planned.stored is not None
    return ImportedItem(
        source=planned.candidate.source,
        model=planned.candidate.model,
        commit=planned.stored,
        stored_bytes=0,
        skipped=stored,
        branch=planned.candidate.branch,
        base=None if stored else commit,
        base_name=None if stored else name,
        reason="" if stored else _REASONS.get(base, "named"),
        logical_bytes=planned.size,
        files=planned.files,
    )


def done_item(planned: Planned, done: Commit, base: str) -> ImportedItem:
    """One that was committed, or whose branch had its files already."""
    return ImportedItem(
        source=planned.candidate.source,
        model=done.model,
        commit=done.commit,
        stored_bytes=done.stored_bytes,
        skipped=done.unchanged,
        branch=done.branch,
        base=done.base,
        base_name=done.base_name,
        reason=_reason(done, base),
        logical_bytes=done.logical_bytes,
        files=done.weight_files + done.other_files,
    )


def _reason(done: Commit, base: str) -> str:
    if base != "auto":
        return _REASONS.get(base, "named")
    if done.base is None:
        return "nothing near enough"
    return done.found_base.reason if done.found_base else "the parent's"
