"""The refs that `namespace/name[@branch]` means where their moves are asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from deltastore.errors import UsageError
from deltastore.history.refs import DEFAULT_BRANCH, branch_ref, check_model, tag_ref
from deltastore.history.suggestions import no_such_model, no_such_name

if TYPE_CHECKING:
    from deltastore.history.state import LogState

__all__ = ["refs_named"]

_STEPS = re.compile(r"[~^]|@\{")


def refs_named(text: str, state: LogState) -> tuple[str, ...]:
    """Full names of the refs that `namespace/name[@branch]` means; deleted ones count.

    Raises:
        NotFoundError: there never was such a model, branch or tag.
        UsageError: a commit, or steps from a branch: neither has a reflog.
    """
    if "/" not in text.partition("@")[0] or _STEPS.search(text):
        raise UsageError(
            f"{text!r} is no branch, tag or model, which are what a reflog is of",
            hint="write NAMESPACE/NAME@BRANCH, or NAMESPACE/NAME for all of a model",
        )
    model, at, name = text.partition("@")
    known = [ref for ref in state.refs if ref.startswith(f"models/{check_model(model)}/")]
    if not known:
        raise no_such_model(model, state)
    if not at:
        return tuple(known)
    meant = {branch_ref(model, name or DEFAULT_BRANCH), tag_ref(model, name or DEFAULT_BRANCH)}
    found = tuple(ref for ref in known if ref in meant)
    if not found:
        raise no_such_name(model, name, state.heads(model), state.tags(model))
    return found
