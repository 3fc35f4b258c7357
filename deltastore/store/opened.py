"""What all parts of `Store` share: the backend, the log, and how names are looked up."""

from __future__ import annotations

import getpass
import logging
import os
import socket
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from deltastore.errors import StorageError, UsageError
from deltastore.history.log import Log
from deltastore.history.objects import HistoryReader
from deltastore.history.reflog import positions
from deltastore.history.resolving import Place, Resolved, resolve
from deltastore.history.revisions import parse_revision
from deltastore.history.views import RefNames
from deltastore.places.urls import scheme_of
from deltastore.storage.packs import PackReader
from deltastore.store.caching import cache_folder, with_cache
from deltastore.store.texts import nfc

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from types import TracebackType

    from deltastore.catalog.catalog import Catalog
    from deltastore.materialize.session import Session
    from deltastore.results import InitResult
    from deltastore.storage.backend import Backend

__all__ = ["PRODUCER", "OpenedStore", "now", "this_user"]

PRODUCER = "deltastore/0.1.0"

LOGGER = logging.getLogger("deltastore")


class _Warned(Protocol):
    """What carries sentences worth reading."""

    @property
    def warnings(self) -> tuple[str, ...]: ...


W = TypeVar("W", bound=_Warned)


class OpenedStore:
    """An opened store; see `Store`.

    Thread-safe, except that a fork makes it unusable in the child.

    Attributes:
        initialized: what `init` found or made; None when opened.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        threads: int | None = None,
        author: str | None = None,
        cache: str | PathLike[str] | None = None,
        cache_size: int | str | None = None,
        here: str | PathLike[str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.initialized: InitResult | None = None
        self._store_itself = backend
        self._backend, forget = with_cache(backend, cache, cache_size)
        distant = backend.traffic.requests is not None
        self._packs = PackReader(self._backend, distant=distant, forget=forget)
        log = Log.open(self._backend, packs=self._packs, writer=PRODUCER)
        self._opened_log = log
        self._opened_history = HistoryReader(self._packs, log)
        self._threads = threads
        self._author = author
        self._cache = cache_folder(cache)
        self._here = None if here is None else Path(here)
        self._options = dict(options or {})
        self._opened: Session | None = None
        self._projection: Catalog | None = None
        self._process = os.getpid()
        self._making = threading.Lock()

    # what it is

    @property
    def url(self) -> str:
        """Where it is, without credentials."""
        return self._backend.url

    @property
    def store_id(self) -> str:
        """32 hex digits."""
        return self._opened_log.form.store_id

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End its threads; the store can still be used, and starts them again.

        What other threads are doing with it is finished first, on the threads it has. In a forked
        child nothing happens: the threads are the parent's.
        """
        if os.getpid() != self._process:
            return
        if self._opened is not None:
            self._opened.workers.close()
        if self._projection is not None:
            self._projection.close()

    # every way in passes one of these two: their locks may be held for ever in a forked child

    @property
    def _log(self) -> Log:
        self._refuse_fork()
        return self._opened_log

    @property
    def _history(self) -> HistoryReader:
        self._refuse_fork()
        return self._opened_history

    def _refuse_fork(self) -> None:
        if os.getpid() != self._process:
            raise StorageError(
                f"{self!r} was opened before a fork", hint="open it again in the child process"
            )

    def _session(self) -> Session:
        from deltastore.engine.threads import Workers
        from deltastore.materialize.session import Session

        log, history = self._log, self._history
        with self._making:
            if self._opened is None:
                workers = Workers(self._threads)
                self._opened = Session(self._backend, log, self._packs, history, workers)
            return self._opened

    def _session_without_cache(self) -> Session:
        """A session that reads packs from the store itself, whatever was kept of them."""
        usual = self._session()
        distant = self._store_itself.traffic.requests is not None
        packs = PackReader(self._store_itself, distant=distant)
        history = HistoryReader(packs, usual.log)
        return replace(usual, backend=self._store_itself, packs=packs, history=history)

    def _catalog(self) -> Catalog:
        """The catalog, brought up to date."""
        catalog = self._made_catalog()
        catalog.sync(self._log, self._history)
        return catalog

    def _quick_catalog(self) -> Catalog | None:
        """The catalog, unless bringing it up to date would keep a commit waiting."""
        catalog = self._made_catalog()
        fresh = catalog.sync(self._log, self._history, within_commit=True)
        return catalog if fresh else None

    def _made_catalog(self) -> Catalog:
        from deltastore.catalog.catalog import Catalog

        self._refuse_fork()
        with self._making:
            if self._projection is None:
                folder = self._cache / "catalogs"
                self._projection = Catalog(folder, self.store_id, self.url)
            return self._projection

    def _resolve(self, revision: str, *, here: Path | None = None) -> Resolved:
        parsed = parse_revision(revision)
        return self._told(
            resolve(
                parsed,
                self._log.refresh(),
                self._history.header,
                lambda ref: positions(self._log, ref),
                place=self._place(here) if parsed.scope == "workspace" else None,
            )
        )

    def _place(self, here: Path | None = None) -> Place | None:
        """The workspace around `here`, or where one stood on opening; None without either."""
        here = here or self._here
        if here is None:
            return None
        from deltastore.store.workspace_places import place_in

        return place_in(here, self.store_id, self.url)

    def _full_name(self, name: str) -> str:
        """`@name` with the workspace's model before it, `HEAD` as its branch; others as is."""
        if not name.startswith("@") and name != "HEAD":
            return name
        place = self._place()
        if place is None:
            raise UsageError(
                f"{name!r} needs a workspace, and this is none", hint="write NAMESPACE/NAME@NAME"
            )
        if name not in ("@", "HEAD"):
            return f"{place.model}{name}"
        return f"{place.model}@{place.branch}" if place.branch else place.model

    def _told(self, result: W) -> W:
        """A result whose warnings have gone through `logging`."""
        for warning in result.warnings:
            LOGGER.warning("%s", warning)
        return result

    def _names(self) -> RefNames:
        return RefNames(self._log.state)

    def _url_options(self, scheme: str) -> Mapping[str, Any]:
        """Options for URLs that are not the store: its own, for those of its own scheme."""
        return self._options if scheme == scheme_of(self._backend.url) else {}

    def _requests(self) -> int | None:
        return self._backend.traffic.requests

    def _requests_since(self, before: int | None) -> int | None:
        found = self._requests()
        return None if found is None or before is None else found - before

    def _traffic(self) -> tuple[int, int | None]:
        """Bytes read and requests so far."""
        return self._backend.traffic.bytes_read, self._requests()

    def _traffic_since(self, before: tuple[int, int | None]) -> tuple[int, int | None]:
        return self._backend.traffic.bytes_read - before[0], self._requests_since(before[1])

    def _actor(self, author: str | None = None) -> str:
        return nfc(author or self._author or this_user(), "author")


def now() -> str:
    """The time in RFC 3339, UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def this_user() -> str:
    """`user@host`."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
