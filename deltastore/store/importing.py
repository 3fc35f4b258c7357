"""The method of `Store` that commits many checkpoints at once: import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastore.errors import UsageError
from deltastore.progress import as_report
from deltastore.store.places import local_path, place_of
from deltastore.store.recording import DENSITY, Recording
from deltastore.store.texts import globs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from deltastore.checkpoints.trees import Tree
    from deltastore.ingest.import_plans import Planned, Planner
    from deltastore.ingest.remembering import Remembered
    from deltastore.progress import Progress
    from deltastore.results import Commit, ImportResult
    from deltastore.store.inputs import OpenedSource

__all__ = ["Importing"]


class Importing(Recording):
    """See `Store`."""

    def import_(
        self,
        *sources: str | PathLike[str],
        to: str,
        base: str = "auto",
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        message: str | None = None,
        preview: float | None = DENSITY,
        author: str | None = None,
        dry_run: bool = False,
        retry: bool = False,
        planned: Callable[[ImportResult], None] | None = None,
        progress: Progress | bool | None = None,
    ) -> ImportResult:
        """Commit every checkpoint below some folders or URLs, each as a version of its own.

        Each commit records where it came from and what the listing showed, so a second import
        skips what is stored, wherever the first one ended, and reads listings only. What is broken
        is reported, does not stop the rest, and is not read again until it changes.

        Args:
            *sources: folders, files or URLs.
            to: `namespace/{name}[@branch]`; `{name}` is the last part of a checkpoint's path,
                `{path}` the whole of it below its source with `-` for `/`.
            base: revision that all were fine-tuned from; `none`; `auto` for the nearest version in
                the store, those committed just before among them.
            include: globs of files that are left out by default.
            exclude: globs of files or folders to leave out.
            message: of the commits; where each came from when None.
            preview: as `commit`.
            author: for people.
            dry_run: commit nothing; the result is the plan.
            retry: read again what failed last time and has not changed.
            planned: called with the plan before anything is committed.
            progress: a callback, or True for a line on stderr.

        Returns:
            What was committed, skipped, or failed; failures raise nothing.

        Raises:
            NotFoundError: nothing at a source, no checkpoint in any, or no such base.
            UsageError: two checkpoints would get one name.
            StorageError: a source or the store cannot be reached.
        """
        from deltastore.ingest.import_plans import SOURCE_KEY, VERSION_KEY
        from deltastore.store.import_runs import ImportRun
        from deltastore.store.imported import plan_result

        planner, plans = self._planned(sources, to, base, (globs(include), globs(exclude)), retry)
        plan = plan_result(plans, self._names(), planner.base)
        if planned is not None:
            planned(plan)
        if dry_run:
            return plan

        def record(found: Planned, opened: OpenedSource, report: Progress) -> Commit:
            source = found.candidate.source
            return self.commit(
                opened,
                to=f"{found.candidate.model}@{found.candidate.branch}",
                message=message or f"imported from {source}",
                base=planner.base,
                metadata={SOURCE_KEY: source, VERSION_KEY: found.candidate.version},
                preview=preview,
                author=author,
                progress=report,
            )

        return ImportRun(plans, planner, record, as_report(progress)).commit_all()

    def _planned(
        self,
        sources: Sequence[str | PathLike[str]],
        to: str,
        base: str,
        picked: tuple[Sequence[str], Sequence[str]],
        retry: bool,
    ) -> tuple[Planner, tuple[Planned, ...]]:
        """What is to be done with everything that the sources hold."""
        from deltastore.ingest.candidates import find_candidates, parse_target
        from deltastore.ingest.import_plans import Planner

        target = parse_target(to)
        if not sources:
            raise UsageError("nothing to import", hint="name a folder, a file or a URL")
        commit = None if base in ("auto", "none") else self._resolve(base).commit
        trees = [self._tree(source) for source in sources]
        candidates = find_candidates([(tree, tree.list()) for tree in trees], target, *picked)
        planner = Planner(
            self._log.refresh(),
            self._history,
            self._remembered(),
            base=commit or base,
            version=None if commit is None else self._session().version(commit),
            picked=picked,
            retry=retry,
        )
        return planner, planner.plan(candidates)

    def _tree(self, source: str | PathLike[str]) -> Tree:
        from deltastore.checkpoints.trees import LocalTree, UrlTree

        place = place_of(source, self._url_options)
        return LocalTree(local_path(source)) if place is None else UrlTree(place)

    def _remembered(self) -> Remembered:
        from deltastore.ingest.remembering import Remembered

        return Remembered(self._cache / "imports" / f"{self.store_id}.jsonl")
