"""What to say when a name is not found: what there is, and what comes close."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from deltastore.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from deltastore.history.state import LogState

__all__ = ["no_such_model", "no_such_name"]

MOST_NAMES = 10
MOST_COMPARED = 10_000


def no_such_model(model: str, state: LogState) -> NotFoundError:
    """The error for a model that has neither branch nor tag."""
    models = state.models()
    close = get_close_matches(model, models[:MOST_COMPARED], n=3)
    if not models:
        hint = "this store has no models yet; deltastore commit FOLDER --to NAMESPACE/NAME"
    elif close:
        hint = f"did you mean {' or '.join(close)}?"
    else:
        hint = f"models here: {_listed(models)}"
    return NotFoundError(f"{model}: no such model", hint=hint)


def no_such_name(
    model: str, name: str, branches: Collection[str], tags: Collection[str]
) -> NotFoundError:
    """The error for a name that is no branch, tag or commit of a model."""
    close = get_close_matches(name, [*branches, *tags][:MOST_COMPARED], n=1, cutoff=0.5)
    parts = []
    if tags:
        parts.append(f"tags of this model: {_listed(tags)}.")
    if branches and (not tags or not close):
        parts.append(f"branches of this model: {_listed(branches)}.")
    if close:
        parts.append(f"{'Did' if parts else 'did'} you mean {model}@{close[0]}?")
    return NotFoundError(f"{model}@{name}: no such branch, tag or commit", hint=" ".join(parts))


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - MOST_NAMES} more" if len(ordered) > MOST_NAMES else ""
    return ", ".join(ordered[:MOST_NAMES]) + more
