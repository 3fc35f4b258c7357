"""Removing and renaming whole models: all of their refs in one log entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastore.errors import ExistsError, UsageError
from deltastore.history.entries import Draft, RefMove, Transaction, new_token
from deltastore.history.move_views import moved_refs
from deltastore.history.reachability import prove_all_reachable
from deltastore.history.refs import check_model, parse_ref
from deltastore.history.suggestions import no_such_model
from deltastore.ids import short
from deltastore.results import RemoveResult, RenameResult

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from deltastore.history.log import Log
    from deltastore.history.objects import HistoryReader
    from deltastore.history.state import LogState

__all__ = ["remove_models", "rename_model"]


def remove_models(
    log: Log, models: Sequence[str], *, actor: str, time: str, message: str
) -> RemoveResult:
    """Delete every branch and tag of some models; all of them or none.

    What they name stays in the store until it is collected as garbage.

    Raises:
        InvalidError: no model name.
        NotFoundError: there is no such model.
    """
    wanted = tuple(dict.fromkeys(map(check_model, models)))
    txn = new_token()
    moves: tuple[RefMove, ...] = ()

    def compose(state: LogState) -> Draft:
        nonlocal moves
        standing = _refs_of(state, wanted)
        missing = [model for model in wanted if not standing[model]]
        if missing:
            raise no_such_model(missing[0], state)
        names = sorted(name for refs in standing.values() for name in refs)
        moves = tuple(RefMove(name, state.ref(name), None) for name in names)
        return Draft((Transaction(txn, "rm", actor, time, message, refs=moves),))

    entry = log.append(compose)
    return RemoveResult(wanted, moved_refs(moves), entry.v)


def rename_model(
    log: Log,
    history: HistoryReader,
    old: str,
    new: str,
    *,
    actor: str,
    time: str,
    message: str,
) -> RenameResult:
    """Give all branches and tags of a model to another name.

    Raises:
        InvalidError: no model name.
        NotFoundError: there is no model of the old name.
        ExistsError: there is one of the new name, or one of its tags stood elsewhere.
        UsageError: both names are one.
    """
    if check_model(old) == check_model(new):
        raise UsageError(f"{old} and {new} are one name", hint="name the model anew")
    txn = new_token()
    made: tuple[RefMove, ...] = ()

    def compose(state: LogState) -> Draft:
        nonlocal made
        made = _renamed(state, old, new)
        prove_all_reachable(state, (move.new for move in made if move.new), history)
        gone = tuple(RefMove(_under(move.name, old), move.new, None) for move in made)
        text = message or f"{old} to {new}"
        return Draft((Transaction(txn, "mv", actor, time, text, refs=(*gone, *made)),))

    entry = log.append(compose)
    return RenameResult(new, old, moved_refs(made), entry.v)


def _renamed(state: LogState, old: str, new: str) -> tuple[RefMove, ...]:
    """The refs of the new name, made."""
    standing = _refs_of(state, (old, new))
    if not standing[old]:
        raise no_such_model(old, state)
    if standing[new]:
        there = ", ".join(parse_ref(name).label for name in standing[new][:3])
        raise ExistsError(
            f"{new} exists ({there}); nothing was renamed",
            hint=f"choose another name, or deltastore rm {new} first",
        )
    made = tuple(RefMove(_under(name, new), None, state.ref(name)) for name in standing[old])
    for move in made:
        _check_tag(state, move)
    return made


def _check_tag(state: LogState, move: RefMove) -> None:
    """A tag of the new name that was deleted may only be made again where it stood."""
    known, ref = state.refs.get(move.name), parse_ref(move.name)
    if known is not None and ref.kind == "tag" and known.last != move.new:
        raise ExistsError(
            f"{ref.label} stood at {short(known.last)} once; tags never move, nothing was renamed",
            hint="choose another name for the model",
        )


def _refs_of(state: LogState, models: Collection[str]) -> dict[str, list[str]]:
    """The refs that stand, by model, sorted."""
    found: dict[str, list[str]] = {model: [] for model in models}
    for name in sorted(state.refs):
        model = "/".join(name.split("/", 3)[1:3])
        if model in found and name.startswith("models/") and state.ref(name):
            found[model].append(name)
    return found


def _under(full: str, model: str) -> str:
    """The same ref of another model."""
    return f"models/{model}/{full.split('/', 3)[3]}"
