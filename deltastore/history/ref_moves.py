"""Making, moving, resetting and deleting branches and tags: one log entry each."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Literal

from deltastore.errors import ConflictError, ExistsError, NotFoundError
from deltastore.history.entries import Draft, RefMove, Transaction, new_token
from deltastore.history.reachability import prove_reachable
from deltastore.history.refs import branch_ref, looks_like_commit, tag_ref
from deltastore.history.suggestions import no_such_model
from deltastore.ids import short
from deltastore.results import RefMoveResult

if TYPE_CHECKING:
    from deltastore.history.log import Log
    from deltastore.history.objects import HistoryReader
    from deltastore.history.state import LogState
    from deltastore.ids import CommitId

__all__ = ["BranchReset", "RefChange", "change_ref"]

RefKind = Literal["branch", "tag"]


class _NothingToDoError(Exception):
    """The ref stands where it should: no entry is written."""


class RefChange:
    """What is to become of one branch or tag.

    Args:
        kind: branch or tag.
        model: `namespace/name`.
        name: of the branch or tag.
        commit: where it is to stand; None to delete it.
        force: move a branch that exists.
    """

    def __init__(
        self, kind: RefKind, model: str, name: str, commit: CommitId | None, *, force: bool = False
    ) -> None:
        self.kind: RefKind = kind
        self.op: str = kind
        self.model = model
        self.name = name
        self.commit = commit
        self.full = (branch_ref if kind == "branch" else tag_ref)(model, name)
        self._force = force

    def move(self, state: LogState) -> RefMove:
        """The move that does it.

        Raises:
            NotFoundError: there is nothing to delete.
            ExistsError: a branch that exists and is not to be moved by force, or a tag that stands
                or stood elsewhere.
        """
        old, label = state.ref(self.full), f"{self.model}@{self.name}"
        if self.commit is None and old is None:
            raise NotFoundError(f"{label}: no such {self.kind}", hint=self._names_hint(state))
        if old == self.commit:
            raise _NothingToDoError
        if self.commit is not None:
            self._check_free(state, old, label)
        return RefMove(self.full, old, self.commit)

    def _check_free(self, state: LogState, old: CommitId | None, label: str) -> None:
        if self.kind == "branch" and old is not None and not self._force:
            raise ExistsError(
                f"{label} exists, at {short(old)}",
                hint="branch -f moves it, and says how to move it back",
            )
        known = state.refs.get(self.full)
        if self.kind == "tag" and known is not None and known.last != self.commit:
            verb = "stands" if old else "stood"
            raise ExistsError(
                f"{label} {verb} at {short(known.last)}; tags never move",
                hint="choose another name, or use a branch, which moves",
            )

    def _names_hint(self, state: LogState) -> str:
        names = (state.heads if self.kind == "branch" else state.tags)(self.model)
        plural = "branches" if self.kind == "branch" else "tags"
        return f"{plural} of this model: {', '.join(names)}" if names else f"it has no {plural}"

    def result(self, old: CommitId | None, seq: int | None) -> RefMoveResult:
        """For the caller."""
        warnings: tuple[str, ...] = ()
        if self.commit is not None and looks_like_commit(self.name):
            warnings = (f"the name {self.name!r} reads like a commit id; it wins over one",)
        return RefMoveResult(self.model, self.name, self.kind, old, self.commit, warnings, seq)


class BranchReset(RefChange):
    """A branch that exists is to stand at another commit.

    Args:
        model: `namespace/name`.
        name: of the branch.
        commit: where it is to stand.
        expect: where it must stand before; None for anywhere.
    """

    def __init__(
        self, model: str, name: str, commit: CommitId, *, expect: CommitId | None = None
    ) -> None:
        super().__init__("branch", model, name, commit, force=True)
        self.op = "reset"
        self._expect = expect

    def move(self, state: LogState) -> RefMove:
        """The move that does it.

        Raises:
            ConflictError: the branch is not where it was expected.
            NotFoundError: there is no such branch.
        """
        old, label = state.ref(self.full), f"{self.model}@{self.name}"
        if old is None and not state.heads(self.model) and not state.tags(self.model):
            raise no_such_model(self.model, state)
        if old is None:
            known = self._names_hint(state)
            raise NotFoundError(
                f"{label}: no such branch", hint=f"{known}; deltastore branch {label} REV makes it"
            )
        if self._expect not in (None, old):
            raise ConflictError(
                f"{label} moved: expected at {short(self._expect or '')}, it is at {short(old)}; "
                "nothing was changed",
                hint=f"deltastore reflog {label} shows what moved it",
            )
        return super().move(state)


def change_ref(
    log: Log, history: HistoryReader, change: RefChange, *, actor: str, time: str, message: str
) -> RefMoveResult:
    """Write the entry; nothing is written when the ref stands there already.

    Raises:
        NotFoundError, ExistsError: as `RefChange.move`.
        ConflictError: what the commit needs was collected as garbage.
        StorageError: the backend failed.
    """
    txn = new_token()
    old: CommitId | None = change.commit
    seq: int | None = None

    def compose(state: LogState) -> Draft:
        nonlocal old
        move = change.move(state)
        old = move.old
        if move.new is not None:
            prove_reachable(state, move.new, history)
        return Draft((Transaction(txn, change.op, actor, time, message, refs=(move,)),))

    with contextlib.suppress(_NothingToDoError):
        seq = log.append(compose).v
    return change.result(old, seq)
