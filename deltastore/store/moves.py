"""The methods of `Store` that move refs and take things back: reflog, undo, reset, rm, mv."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastore.errors import UsageError
from deltastore.store.opened import OpenedStore, now
from deltastore.store.texts import nfc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.results import (
        ReflogResult,
        RefMoveResult,
        RemoveResult,
        RenameResult,
        UndoResult,
    )

__all__ = ["Moves"]


class Moves(OpenedStore):
    """See `Store`."""

    def reflog(self, revision: str | None = None, *, limit: int | None = None) -> ReflogResult:
        """Where branches and tags stood, who moved them and why; newest first.

        Args:
            revision: `namespace/name@branch` for one branch or tag, `namespace/name` for all of a
                model, also of one that was removed; None for all there are. What was renamed is
                followed to its former name.
            limit: most moves; None for all.

        Raises:
            NotFoundError: there never was such a model, branch or tag.
            UsageError: a commit, or something with steps, which has no reflog.
        """
        from deltastore.history.move_views import reflog_result
        from deltastore.history.named_refs import refs_named
        from deltastore.history.reflog import reflog, reflog_of

        state = self._log.refresh()
        if revision is None:
            return reflog_result(reflog(self._log), limit)
        return reflog_result(
            reflog_of(self._log, refs_named(self._full_name(revision), state)), limit
        )

    def undo(self, seq: int | None = None, *, dry_run: bool = False) -> UndoResult:
        """Take back what the same author did last, or in one log entry.

        Every branch and tag goes where it stood before; a removed model comes back with all of
        them. To take back an undo is to do it again. An entry that was taken back already is left
        as it is.

        Args:
            seq: the entry, as `reflog` numbers them; the author's own last one when None.
            dry_run: only tell what would be taken back.

        Raises:
            ConflictError: it is another author's, others have built on it, or what it would bring
                back was collected as garbage.
            NotFoundError: there is no such entry, or none of this author.
        """
        from deltastore.history.deeds import deed_at, last_deed
        from deltastore.history.undoing import undo

        if seq is not None and type(seq) is not int:
            raise UsageError(f"seq: {seq!r} is no number of a log entry", hint="reflog shows them")
        actor = self._actor()
        self._log.refresh()
        deed = last_deed(self._log, actor) if seq is None else deed_at(self._log, seq, actor)
        return undo(self._log, self._history, deed, actor=actor, time=now(), dry_run=dry_run)

    def reset(
        self, name: str, revision: str, *, expect: str | None = None, message: str = ""
    ) -> RefMoveResult:
        """Move the branch `namespace/name@branch` to any commit.

        Args:
            name: of the branch.
            revision: where it is to stand.
            expect: revision the branch must stand at; anything else is a conflict.
            message: why, for the reflog.

        Raises:
            ConflictError: the branch is not where `expect` says.
            NotFoundError: no such branch or revision.
        """
        from deltastore.history.ref_moves import BranchReset, change_ref
        from deltastore.store.inputs import split_target

        model, branch = split_target(self._full_name(name))
        expected = None if expect is None else self._resolve(expect).commit
        commit = self._resolve(revision).commit
        return change_ref(
            self._log,
            self._history,
            BranchReset(model, branch, commit, expect=expected),
            actor=self._actor(),
            time=now(),
            message=nfc(message, "message"),
        )

    def rm(self, models: str | Sequence[str], *, message: str = "") -> RemoveResult:
        """Remove models: all their branches and tags, in one log entry.

        Nothing is freed: what they name stays until it is collected as garbage, and `undo` brings
        them back until then.

        Args:
            models: `namespace/name`, one or several; all are removed or none.
            message: why, for the reflog.

        Raises:
            NotFoundError: there is no such model.
            UsageError: no model, or a branch or tag of one.
        """
        from deltastore.history.model_moves import remove_models

        names = (models,) if isinstance(models, str) else tuple(models)
        if not names:
            raise UsageError("no model to remove", hint="rm NAMESPACE/NAME")
        _whole_models(names)
        return remove_models(
            self._log, names, actor=self._actor(), time=now(), message=nfc(message, "message")
        )

    def mv(self, old: str, new: str, *, message: str = "") -> RenameResult:
        """Rename a model: all its branches and tags, in one log entry.

        Args:
            old: `namespace/name`.
            new: the same form; there must be no such model.
            message: why, for the reflog.

        Raises:
            ExistsError: there is a model of the new name.
            NotFoundError: there is none of the old name.
            UsageError: a branch or tag instead of a model, or one name twice.
        """
        from deltastore.history.model_moves import rename_model

        _whole_models((old, new))
        return rename_model(
            self._log,
            self._history,
            old,
            new,
            actor=self._actor(),
            time=now(),
            message=nfc(message, "message"),
        )


def _whole_models(names: Sequence[str]) -> None:
    for name in names:
        model, at, ref = nfc(name, "model").partition("@")
        if at:
            raise UsageError(
                f"{name} is a branch or tag; this is about the whole model {model}",
                hint=f"write {model}; a branch goes with deltastore branch -d {model}@{ref}",
            )
