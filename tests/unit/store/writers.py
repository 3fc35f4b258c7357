"""Stores of two writers, small weights, and somebody who acts in between."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

import deltastore

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltastore.store import Store

Weights = dict[str, np.ndarray[Any, np.dtype[np.float32]]]

_NAMES = itertools.count()


def weights(seed: int, size: int = 8) -> Weights:
    random = np.random.default_rng(seed)
    return {"w": random.standard_normal((size, size), dtype=np.float32)}


def ada_and_bob() -> tuple[Store, Store]:
    """One store in memory, opened by two writers."""
    url = f"memory://writers-{next(_NAMES)}"
    deltastore.init(url).close()
    return deltastore.open(url, author="Ada"), deltastore.open(url, author="Bob")


def meanwhile(store: Store, act: Callable[[], object]) -> None:
    """Let somebody act once, after this store's next change has been decided on."""
    log = store._log
    append = log.append

    def racing(compose: Any, **options: Any) -> Any:
        log.append = append  # type: ignore[method-assign]
        act()
        return append(compose, **options)

    log.append = racing  # type: ignore[method-assign]


def between_compose_and_write(store: Store, act: Callable[[], object]) -> None:
    """Let somebody act once when this store's next entry has been composed: a race it loses."""
    log = store._log
    attempt = log._try
    acted = False

    def racing(compose: Any, state: Any, deadline: float) -> Any:
        def composed(at: Any) -> Any:
            nonlocal acted
            draft = compose(at)
            if not acted:
                acted = True
                act()
            return draft

        return attempt(composed, state, deadline)

    log._try = racing  # type: ignore[method-assign]


def refs(store: Store) -> dict[tuple[str, str], str]:
    """Every branch and tag and where it stands."""
    found = (*store.branches(None), *store.tags(None))
    return {(f"{ref.model}@{ref.name}", ref.kind): ref.commit for ref in found}
