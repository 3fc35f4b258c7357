"""The method of `Store` that takes a commit's change back: revert."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from deltastore.errors import UsageError
from deltastore.progress import as_report
from deltastore.storage.location import spool_folder
from deltastore.store.opened import PRODUCER, OpenedStore, now
from deltastore.store.recording import DENSITY
from deltastore.store.texts import density_text, nfc

if TYPE_CHECKING:
    from deltastore.history.resolving import Resolved
    from deltastore.progress import Progress
    from deltastore.results import RevertResult

__all__ = ["Reverting"]


class Reverting(OpenedStore):
    """See `Store`."""

    def revert(
        self,
        revision: str,
        *,
        to: str | None = None,
        message: str | None = None,
        author: str | None = None,
        progress: Progress | bool | None = None,
    ) -> RevertResult:
        """Record a new commit that takes one commit's change back.

        Of a branch's tip: the files of its first parent again, bit for bit. Of an older commit:
        what it did not change stays, what has not changed since goes back to the bits before it,
        and in weights that changed since as well its change is subtracted:
        tip - (commit - parent), in double precision and rounded once. `exact` tells which.

        Args:
            revision: the commit.
            to: `namespace/name@branch` that has it; the branch in `revision`, else `main`, if None.
            message: what to record; git's words when None.
            author: for people.
            progress: a callback, or True for a line on stderr.

        Raises:
            ConflictError: files that it changed were changed since, or the branch moved meanwhile.
            IncompatibleError: integer tensors were, or the branch does not have the commit.
            NotFoundError: no such commit or branch, or it has no parent.
        """
        from deltastore.ingest.requests import Request
        from deltastore.ingest.reverting import revert, revert_message
        from deltastore.store.inputs import OpenedSource, split_target
        from deltastore.store.outcomes import commit_result, counted, revert_result

        report, before = as_report(progress), self._requests()
        found = self._resolve(revision)
        model, branch = (
            split_target(self._full_name(to)) if to else self._branch_of(revision, found)
        )
        words = message or revert_message(self._history.header(found.commit), found.commit)
        request = Request(
            model=model,
            branch=branch,
            message=nfc(words, "message"),
            author=self._actor(author),
            time=now(),
            producer=PRODUCER,
            density=density_text(DENSITY),
        )
        with TemporaryDirectory(prefix="deltastore-") as fallback:
            folder = spool_folder(self._backend, Path(fallback))
            made = revert(
                self._session(),
                request,
                found.commit,
                folder,
                report=partial(counted, report, "revert"),
            )
        opened = OpenedSource(made.source, (), ())
        recorded = commit_result(
            made.done, request, opened, self._names(), self._requests_since(before)
        )
        return self._told(revert_result(recorded, found.commit, made.subtracted))

    def _branch_of(self, revision: str, found: Resolved) -> tuple[str, str]:
        """The branch that a revision begins at, else the model's default one."""
        from deltastore.history.refs import DEFAULT_BRANCH
        from deltastore.history.revisions import parse_revision

        if found.model is None:
            raise UsageError(
                f"{revision}: on which branch?", hint=f"revert {revision} --to NAMESPACE/NAME"
            )
        parsed = parse_revision(revision)
        place = self._place() if parsed.scope == "workspace" and parsed.name is None else None
        name = found.branch or (place.branch if place else parsed.name)
        known = self._log.state.heads(found.model)
        return found.model, name if name in known else DEFAULT_BRANCH
