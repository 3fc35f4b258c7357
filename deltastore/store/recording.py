"""The methods of `Store` that record: commit, branch, tag."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from deltastore.errors import UsageError
from deltastore.progress import as_report
from deltastore.storage.location import spool_folder
from deltastore.store.opened import PRODUCER, OpenedStore, now
from deltastore.store.texts import density_text, globs, metadata_texts, metric_texts, nfc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from deltastore.catalog.catalog import Catalog
    from deltastore.ids import CommitId, Digest
    from deltastore.progress import Progress
    from deltastore.results import Commit, RefMoveResult
    from deltastore.store.inputs import OpenedSource

__all__ = ["Recording"]

DENSITY = 0.05
"""Fraction of a delta's elements that a preview keeps unless asked otherwise."""


class Recording(OpenedStore):
    """See `Store`."""

    def commit(
        self,
        source: str | PathLike[str] | Mapping[str, Any] | OpenedSource,
        *,
        to: str,
        message: str,
        base: str | None = None,
        parent: str | None = None,
        expect: str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        metadata: Mapping[str, str] | None = None,
        metrics: Mapping[str, float | str] | None = None,
        preview: float | None = DENSITY,
        author: str | None = None,
        files: str | PathLike[str] | None = None,
        reference: str | PathLike[str] | None = None,
        lossy: bool = False,
        progress: Progress | bool | None = None,
    ) -> Commit:
        """Store a checkpoint as a whole version of a model.

        Args:
            source: a folder or safetensors file, here or at a URL, or a state dict (name to PyTorch
                tensor or NumPy array).
            to: `namespace/name[@branch]`; a branch that exists is appended to.
            message: what it is.
            base: revision it was fine-tuned from; `none`; `auto` for the nearest version in the
                store; None for the parent's base, or `auto` where there is no parent.
            parent: revision a new branch grows from.
            expect: revision the branch must stand at, or `none`; anything else is a conflict.
            include: globs of files that are left out by default.
            exclude: globs of files to leave out.
            metadata: remarks, text by name.
            metrics: numbers by name.
            preview: fraction of each delta that a preview keeps, above 0 and at most 1; None for no
                preview.
            author: for people.
            files: with a state dict, the folder that holds the other files.
            reference: a checkpoint folder at hand; the base's tensors are taken from it where their
                content is the same.
            lossy: take files that are marked as previews.
            progress: a callback, or True for a bar in a notebook and a line on stderr elsewhere.

        Raises:
            InvalidError: a broken checkpoint or name.
            IncompatibleError: no tensor is in the base.
            ConflictError: the branch is not where `expect` says.
            NotFoundError: no such base, parent or source.
            StorageError: nothing was recorded, except with `outcome_unknown`.
        """
        from deltastore.ingest.committing import commit
        from deltastore.ingest.requests import Request
        from deltastore.ingest.writing import refuse_preview_files
        from deltastore.store.inputs import open_source, split_target
        from deltastore.store.outcomes import commit_result, counted
        from deltastore.store.references import with_reference

        report, before = as_report(progress), self._requests()
        model, branch = split_target(self._full_name(to))
        base_commit, inherit = self._base(base)
        request = Request(
            model=model,
            branch=branch,
            message=nfc(message, "message"),
            author=self._actor(author),
            time=now(),
            producer=PRODUCER,
            base=base_commit,
            inherit=inherit,
            look=base == "auto",
            parent=None if parent is None else self._resolve(parent).commit,
            expect=self._expected(expect),
            density=None if preview is None else density_text(preview),
            metadata=metadata_texts(metadata),
            metrics=metric_texts(metrics),
            find=self._holder,
            index=self._index,
        )
        opened = open_source(
            source,
            files=files,
            include=globs(include),
            exclude=globs(exclude),
            options=self._url_options,
        )
        if not lossy:
            refuse_preview_files(opened.source.files())
        with (
            TemporaryDirectory(prefix="deltastore-") as fallback,
            with_reference(self._session(), reference, self._url_options) as session,
        ):
            folder = spool_folder(self._backend, Path(fallback))
            done = commit(
                session,
                request,
                opened.source,
                folder,
                report=counted(report, "commit", opened.size),
            )
            return self._told(
                commit_result(done, request, opened, self._names(), self._requests_since(before))
            )

    def _holder(self, digest: Digest) -> CommitId | None:
        """A commit that has a tensor; None also when the catalog is too far behind."""
        catalog = self._quick_catalog()
        return None if catalog is None else catalog.holders([digest]).get(digest)

    def _index(self, *, look: bool) -> Catalog | None:
        """Where bases are found; None when that would keep a commit waiting, unless asked for."""
        return self._catalog() if look else self._quick_catalog()

    def _base(self, base: str | None) -> tuple[CommitId | None, bool]:
        """The base's id, and whether the parent's is kept, or one looked for."""
        if base in (None, "none", "auto"):
            return None, base != "none"
        return self._resolve(base).commit, False

    def _expected(self, expect: str | None) -> str | None:
        if expect is None:
            return None
        return "" if expect == "none" else self._resolve(expect).commit

    def branch(
        self,
        name: str,
        revision: str | None = None,
        *,
        delete: bool = False,
        force: bool = False,
        message: str = "",
    ) -> RefMoveResult:
        """Make, move (`force`) or delete the branch `namespace/name@branch`.

        Raises:
            ExistsError: it exists and is not to be moved.
            NotFoundError: no such branch or revision.
        """
        return self._change("branch", name, revision, delete=delete, force=force, message=message)

    def tag(
        self, name: str, revision: str | None = None, *, delete: bool = False, message: str = ""
    ) -> RefMoveResult:
        """Make or delete the tag `namespace/name@tag`; tags never move.

        Raises:
            ExistsError: it stands, or stood, at another commit.
            NotFoundError: no such tag or revision.
        """
        return self._change("tag", name, revision, delete=delete, force=False, message=message)

    def _change(
        self,
        kind: Literal["branch", "tag"],
        name: str,
        revision: str | None,
        *,
        delete: bool,
        force: bool,
        message: str,
    ) -> RefMoveResult:
        from deltastore.history.ref_moves import RefChange, change_ref
        from deltastore.history.refs import check_model

        model, at, short_name = self._full_name(name).partition("@")
        if not at:
            raise UsageError(f"which {kind}? {name!r} names none", hint=f"write {name}@NAME")
        if delete and revision is not None:
            raise UsageError(f"a {kind} to delete needs no revision")
        start = revision or ("HEAD" if name.startswith("@") else model)
        commit = None if delete else self._resolve(start).commit
        change = RefChange(kind, check_model(model), short_name, commit, force=force)
        return self._told(
            change_ref(
                self._log,
                self._history,
                change,
                actor=self._actor(),
                time=now(),
                message=nfc(message, "message"),
            )
        )
