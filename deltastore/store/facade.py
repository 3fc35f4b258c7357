"""The whole `Store`, and the two ways to get one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from deltastore.history.initialize import init_store
from deltastore.results import InitResult
from deltastore.storage.location import open_backend
from deltastore.store.care import Care
from deltastore.store.finding import Finding
from deltastore.store.importing import Importing
from deltastore.store.looking import Looking
from deltastore.store.moves import Moves
from deltastore.store.notebooks import Notebooks
from deltastore.store.opened import PRODUCER, now, this_user
from deltastore.store.reverting import Reverting
from deltastore.store.standing import Standing
from deltastore.store.texts import nfc
from deltastore.store.weights import Weights

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Store", "init", "open_store"]


class Store(Importing, Moves, Reverting, Looking, Finding, Weights, Care, Standing, Notebooks):
    """An opened store. Made by `deltastore.init` and `deltastore.open`; a context manager.

    Thread-safe. A forked child cannot use it, is told so, and opens it again.

    Attributes:
        initialized: what `init` found or made; None when opened.
    """


def init(
    url: str | PathLike[str],
    *,
    unsafe_single_writer: bool = False,
    threads: int | None = None,
    author: str | None = None,
    cache: str | PathLike[str] | None = None,
    cache_size: int | str | None = None,
    **options: Any,
) -> Store:
    """Make a store, or open the one that is there.

    Args:
        url: a path or fsspec URL.
        unsafe_single_writer: accept a place that two writers would overwrite each other in; only
            one process may ever write then.
        threads: as `open_store`.
        author: as `open_store`.
        cache: as `open_store`.
        cache_size: as `open_store`.
        **options: for fsspec's file system, also where other calls name URLs of the same scheme;
            credentials belong here or in the environment.

    Returns:
        The opened store; `initialized` says what was found or made.

    Raises:
        UnsafeBackendError: the place does not create atomically.
        StorageError: it cannot be reached or written.
    """
    backend = open_backend(os.fspath(url), **options)
    actor = nfc(author or this_user(), "author")
    made = init_store(
        backend, created=now(), actor=actor, single_writer=unsafe_single_writer, writer=PRODUCER
    )
    store = Store(
        backend,
        threads=threads,
        author=author,
        cache=cache,
        cache_size=cache_size,
        options=options,
    )
    found = backend.capabilities()
    store.initialized = InitResult(
        backend.url, made.store_id, found.tier, made.created, found.detail
    )
    return store


def open_store(
    url: str | PathLike[str],
    *,
    threads: int | None = None,
    author: str | None = None,
    cache: str | PathLike[str] | None = None,
    cache_size: int | str | None = None,
    here: str | PathLike[str] | None = None,
    **options: Any,
) -> Store:
    """Open a store.

    Args:
        url: a path or fsspec URL.
        threads: that encode and decode; one per processor when None.
        author: recorded with what this store does; `user@host` when None.
        cache: folder for disposable files, also for what is fetched from a store that is not
            local; the platform's user cache when None.
        cache_size: bytes of fetched pieces to keep, or text such as `20GB`; 0 for none, 20 GB when
            None.
        here: folder one stands in: `@REV` and `HEAD` mean the model of the workspace that it is in;
            without it they mean nothing.
        **options: for fsspec's file system, also where other calls name URLs of the same scheme;
            credentials belong here or in the environment.

    Raises:
        NotAStoreError: there is no store.
        NewerFormatError: it needs a newer deltastore.
        StorageError: it cannot be reached.
    """
    backend = open_backend(os.fspath(url), **options)
    return Store(
        backend,
        threads=threads,
        author=author,
        cache=cache,
        cache_size=cache_size,
        here=here,
        options=options,
    )
