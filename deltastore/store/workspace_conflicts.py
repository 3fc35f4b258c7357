"""What to tell whoever commits from a workspace onto a branch that others have moved."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deltastore.errors import ConflictError
from deltastore.history.refs import branch_ref
from deltastore.ids import short

if TYPE_CHECKING:
    from deltastore.history.log import Log
    from deltastore.history.reflog import LoggedMove
    from deltastore.history.state import LogState
    from deltastore.ids import CommitId
    from deltastore.store.workspace_places import Target

__all__ = ["Attempt", "moved_error"]

LONGEST_MESSAGE = 60
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True, slots=True)
class Attempt:
    """A commit that was refused.

    Attributes:
        target: the branch it was meant for.
        head: where the workspace began.
        message: of the commit.
        actor: who tried.
        follows: whether it is the branch that the workspace follows.
    """

    target: Target
    head: CommitId
    message: str
    actor: str
    follows: bool = True


def moved_error(log: Log, attempt: Attempt) -> ConflictError | None:
    """Who moved the branch, when, and the two commands to go on; None if it did not move."""
    state, target = log.refresh(), attempt.target
    name, ref = target.name, branch_ref(target.model, target.branch)
    tip = state.ref(ref)
    if tip == attempt.head:
        return None
    from deltastore.history.reflog import reflog

    last = next(reflog(log, ref), None)
    told = f" ({_when_and_who(last, attempt.actor)})" if last else ""
    if tip is None:
        return ConflictError(
            f"{name} was deleted{told}; you began at {short(attempt.head)}, nothing was recorded",
            hint=f"deltastore branch @{target.branch} HEAD makes it anew, then commit again",
        )
    if not attempt.follows:
        return ConflictError(
            f"{name} is at {short(tip)}, and this workspace began at {short(attempt.head)}{told}",
            hint=f"{_two_commands(state, attempt)}\n"
            f"--expect @{target.branch} puts yours on top all the same",
        )
    return ConflictError(
        f"{name} moved: you began at {short(attempt.head)}, it is now {short(tip)}{told}",
        hint=_two_commands(state, attempt),
    )


def _two_commands(state: LogState, attempt: Attempt) -> str:
    branch, taken, number = attempt.target.branch, state.heads(attempt.target.model), 2
    while f"{branch}-{number}" in taken:
        number += 1
    beside = f"{branch}-{number}"
    short_enough = len(attempt.message) <= LONGEST_MESSAGE and attempt.message.isprintable()
    message = attempt.message if short_enough else "MESSAGE"
    commit = f"deltastore commit --to @{beside} -m {shlex.quote(message)}"
    return (
        f"keep yours beside it: {commit}\nthen compare the two: deltastore diff @{branch} @{beside}"
    )


def _when_and_who(move: LoggedMove, actor: str) -> str:
    who = "you" if move.actor == actor else move.actor
    return f"{_ago(move.time)}, {who}"


def _ago(time: str) -> str:
    """`3 minutes ago`; the time itself where it cannot be told."""
    try:
        seconds = int((datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds())
    except (TypeError, ValueError):
        return time
    for size, unit in _UNITS:
        count = seconds // size
        if count >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
