"""`Workspace`: a folder with a version's files, and what people do in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltastore.progress import as_report
from deltastore.results import SwitchResult
from deltastore.store.workspace_files import (
    locate,
    locked,
    no_workspace,
    read_record,
)
from deltastore.store.workspace_places import (
    Terms,
    branch_of,
    head_of,
    tip_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from deltastore.history.manifests import Manifest
    from deltastore.history.resolving import Resolved
    from deltastore.ids import CommitId
    from deltastore.materialize.session import Session
    from deltastore.progress import Progress
    from deltastore.results import Commit, Diff, RestoreResult, Status
    from deltastore.store.facade import Store
    from deltastore.store.places import UrlOptions
    from deltastore.store.workspace_files import WorkspaceRecord

__all__ = ["Workspace"]


class Workspace:
    """A folder that holds a version of a model and knows which one: its HEAD.

    Made by `Store.clone`, found by `Workspace.find` and `Store.workspace`. Its record is read anew
    by every call, so several objects, and processes, may stand for one folder.

    Attributes:
        folder: absolute.
        store: that it belongs to; `@REV`, `HEAD` and `HEAD~1` mean this workspace's model there.
    """

    def __init__(
        self,
        folder: Path,
        store: Store,
        *,
        session: Callable[[], Session],
        resolve: Callable[[str], Resolved],
        actor: Callable[[], str],
        options: UrlOptions,
    ) -> None:
        self.folder = folder
        self.store = store
        self._session = session
        self._resolve = resolve
        self._actor = actor
        self._options = options

    @classmethod
    def find(cls, path: str | PathLike[str] = ".", **options: Any) -> Workspace:
        """The workspace that a folder is, or is in, with its store opened.

        Args:
            path: where to begin; folders above are looked at too.
            **options: as `deltastore.open`.

        Raises:
            UsageError: there is none.
            InvalidError: its record is damaged.
            NotAStoreError: the store is not where it was.
        """
        from deltastore.store.facade import open_store

        folder = locate(path)
        if folder is None:
            raise no_workspace(path)
        return open_store(read_record(folder).store, here=folder, **options).workspace()

    @staticmethod
    def locate(path: str | PathLike[str] = ".") -> Path | None:
        """The folder of the workspace one would find; None without one. Nothing is opened."""
        return locate(path)

    @staticmethod
    def record(folder: str | PathLike[str]) -> WorkspaceRecord:
        """What the workspace `folder` knows of itself: store, model, branch, head. Opens nothing.

        Raises:
            InvalidError: its record is damaged.
            AccessDeniedError: it belongs to somebody else.
        """
        return read_record(Path(folder))

    def __repr__(self) -> str:
        return f"Workspace({str(self.folder)!r})"

    @property
    def model(self) -> str:
        """`namespace/name`."""
        return read_record(self.folder).model

    @property
    def branch(self) -> str | None:
        """The branch it follows; None where it stands on a tag or commit."""
        return read_record(self.folder).branch

    @property
    def head(self) -> CommitId:
        """The commit its files come from."""
        return head_of(read_record(self.folder), self.folder)

    def status(self, *, progress: Progress | bool | None = None) -> Status:
        """Where it stands, and which files are not as in HEAD.

        Files that were not touched since they were last read are not read again.

        Args:
            progress: as `Store.checkout`.
        """
        from deltastore.store.workspace_status import status

        return status(self._session(), self.folder, as_report(progress))

    def commit(
        self,
        source: str | PathLike[str] | None = None,
        *,
        message: str,
        to: str | None = None,
        expect: str | None = None,
        parent: str | None = None,
        include: Sequence[str] = (),
        **options: Any,
    ) -> Commit:
        """Store the workspace's files as the next version of its branch; HEAD moves to it.

        Args:
            source: another folder or file to commit; HEAD stays then.
            message: what it is.
            to: `@branch` of this model, which is followed from then on, or any
                `namespace/name[@branch]`; the branch it follows when None. A new branch of this
                model grows from HEAD.
            expect: as `Store.commit`; a branch of this model must stand at HEAD when None.
            parent: as `Store.commit`.
            include: globs of files that are left out by default; files of HEAD never are.
            **options: as `Store.commit`.

        Raises:
            ConflictError: the branch moved; the hint says how to go on. Also: another process works
                in this workspace.
            DirtyError: a command that was bringing other files was interrupted.
            UsageError: it follows no branch, and `to` names none.
        """
        from deltastore.store.workspace_commits import Wanted, commit

        asked = Terms(expect, parent)
        wanted = Wanted(source, message, to, asked, tuple(include), self._actor())
        with locked(self.folder):
            record = read_record(self.folder)
            return commit(self.store, self._session(), self.folder, record, wanted, options)

    def switch(
        self, branch: str, *, create: bool = False, progress: Progress | bool | None = None
    ) -> SwitchResult:
        """Follow another branch of the model, or the same one to where it stands by now.

        Files that are the same in both versions keep what was changed in them, others are brought
        only where nothing of anybody's own is lost. Interrupted, the same call finishes it.

        Args:
            branch: `name`, `@name` or `namespace/name@name`.
            create: make it, at HEAD.
            progress: as `Store.checkout`.

        Raises:
            DirtyError: changes would be overwritten; nothing was changed.
            NotFoundError: there is no such branch.
            ExistsError: there is one to be made, at another commit.
            ConflictError: another process works in this workspace.
        """
        from deltastore.store.workspace_moves import bring

        with locked(self.folder):
            record = read_record(self.folder)
            old, target = head_of(record, self.folder), branch_of(branch, record)
            created = create and self.store.branch(target.name, old).old is None
            session, report = self._session(), as_report(progress)
            commit = old if create else tip_of(session.log.refresh(), target)
            done = bring(session, self.folder, record, commit, target.branch, report=report)
        return SwitchResult(
            model=record.model,
            branch=target.branch,
            previous=record.branch,
            commit=commit,
            old=old,
            written=tuple(file.path for file in done.plan.write),
            removed=done.plan.remove,
            kept=done.plan.keep,
            fetched_bytes=done.fetched_bytes,
            requests=done.requests,
            created=created,
        )

    def restore(
        self,
        paths: Sequence[str | PathLike[str]] = (),
        *,
        source: str | None = None,
        progress: Progress | bool | None = None,
    ) -> RestoreResult:
        """Bring files of HEAD back, over what is there; other files are not touched.

        Args:
            paths: files, folders or globs, relative to where one stands; all files when empty.
            source: another revision to take them from; HEAD stays where it is.
            progress: as `Store.checkout`.

        Raises:
            NotFoundError: no file of the version fits a path.
            UsageError: a path is outside of the workspace.
            ConflictError: another process works in this workspace.
        """
        from deltastore.store.workspace_restoring import restore

        with locked(self.folder):
            record = read_record(self.folder)
            head, session = head_of(record, self.folder), self._session()
            commit = head if source is None else self._resolve(source).commit
            session.log.refresh()
            return restore(session, self.folder, record, commit, paths, as_report(progress))

    def diff(self, revision: str | None = None, *, progress: Progress | bool | None = None) -> Diff:
        """What differs between a version and the workspace's files, weights included.

        Args:
            revision: the older side, HEAD when None; a path is compared with HEAD instead.
            progress: as `Store.checkout`.
        """
        from deltastore.store.differences import difference
        from deltastore.store.places import is_path
        from deltastore.store.working_files import tracked_globs

        session, report = self._session(), as_report(progress)
        if revision is not None and is_path(revision):
            return difference(session, "HEAD", revision, self._resolve, report, self._options)
        include = tracked_globs(self.folder, self._files(self.head))
        return difference(
            session,
            revision or "HEAD",
            str(self.folder),
            self._resolve,
            report,
            self._options,
            include=include,
        )

    def _files(self, commit: CommitId) -> Manifest:
        from deltastore.store.workspace_moves import files_of

        session = self._session()
        session.log.refresh()
        return files_of(session, commit)
