"""The grammar of revisions: `namespace/name[@REV]`, `@REV`, `HEAD`, or a bare commit id.

REV is a branch, a tag or a commit prefix, then any of `~N`, `^`, `^N`, `@{N}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from deltastore.errors import InvalidError, NotFoundError
from deltastore.history.refs import DEFAULT_BRANCH, check_model, refuse_url

__all__ = ["MIN_BARE_PREFIX", "MIN_PREFIX", "Revision", "Step", "parse_revision"]

MIN_PREFIX = 4
"""Hex digits of a commit id after a model."""

MIN_BARE_PREFIX = 7
"""Hex digits of a commit id that stands alone."""

StepKind = Literal["ancestor", "parent", "reflog"]
Scope = Literal["model", "workspace", "commit"]

_NAME = re.compile(r"[^~^@]*")
_STEP = re.compile(r"~(?P<ancestor>\d{0,9})|\^(?P<parent>\d{0,9})|@\{(?P<reflog>\d{1,9})\}")
_COMMIT = re.compile(rf"[0-9a-f]{{{MIN_BARE_PREFIX},64}}")


@dataclass(frozen=True, slots=True)
class Step:
    """One step from a commit to another.

    Attributes:
        kind: `~N` the Nth first parent, `^N` the Nth parent, `@{N}` where the branch stood N moves
            ago.
        count: N; 1 where it was left out.
    """

    kind: StepKind
    count: int


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision, taken apart and not yet looked up.

    Attributes:
        text: as typed.
        scope: named by a model, by the workspace one stands in, or by a commit id alone.
        model: `namespace/name`, or None.
        name: branch, tag or commit prefix; None for the workspace's HEAD.
        steps: from there.
    """

    text: str
    scope: Scope
    model: str | None
    name: str | None
    steps: tuple[Step, ...]


def parse_revision(text: str) -> Revision:
    """Take a revision apart.

    Raises:
        InvalidError: a model name that breaks the rules, or a suffix that is none.
        NotFoundError: it is neither a model nor a commit id.
    """
    refuse_url(text, "a revision")
    head = text[: _name_end(text)]
    rest = text[len(head) :]
    if "/" in head:
        model = check_model(head)
        name, steps = _name_and_steps(text, rest)
        return Revision(text, "model", model, name or DEFAULT_BRANCH, steps)
    if not head and rest.startswith("@"):
        name, steps = _name_and_steps(text, rest)
        return Revision(text, "workspace", None, name, steps)
    if head == "HEAD":
        return Revision(text, "workspace", None, None, _steps(text, rest))
    if _COMMIT.fullmatch(head):
        return Revision(text, "commit", None, head, _steps(text, rest))
    raise NotFoundError(
        f"{text!r} is neither a model nor a commit",
        hint="a revision is NAMESPACE/NAME, NAMESPACE/NAME@BRANCH, @BRANCH in a workspace, or a "
        f"commit id of at least {MIN_BARE_PREFIX} hex digits",
    )


def _name_end(text: str) -> int:
    found = _NAME.match(text)
    return found.end() if found else 0


def _name_and_steps(text: str, rest: str) -> tuple[str | None, tuple[Step, ...]]:
    """What follows a model: `@REV`, or steps from its default branch."""
    if not rest.startswith("@") or rest.startswith("@{"):
        return None, _steps(text, rest)
    end = _name_end(rest[1:]) + 1
    name = rest[1:end]
    if not name and (rest != "@" and not rest.startswith(("@~", "@^"))):
        raise InvalidError(f"{text!r}: nothing between two '@'", hint="a branch has no '@' in it")
    if name == "HEAD":
        name = ""
    return name or None, _steps(text, rest[end:])


def _steps(text: str, rest: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    at = 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None:
            raise InvalidError(
                f"{text!r}: {rest[at:]!r} is no step from a commit",
                hint="steps are ~N, ^, ^N and @{N}",
            )
        steps.append(_step(found))
        at = found.end()
    return tuple(steps)


def _step(found: re.Match[str]) -> Step:
    kinds: tuple[StepKind, ...] = ("ancestor", "parent", "reflog")
    kind = next(kind for kind in kinds if found[kind] is not None)
    return Step(kind, int(found[kind] or 1))
