"""The log of one store: the state at its tip, and the only way to change it.

Reading never lists and never locks. Writing is optimistic: compose an entry for the freshest state,
create it, and when somebody else was first, compose again (format-v1, sections 1.2 and 4).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from deltastore.errors import ConflictError, CorruptError, StorageError, UnsafeBackendError
from deltastore.history.checkpointing import Checkpointer
from deltastore.history.entries import Draft, Entry
from deltastore.history.entry_drafting import draft_entry
from deltastore.history.hints import HINT_KEY, encode_hint
from deltastore.history.log_reading import LogReader, check_needs, head_hash, peek_needs
from deltastore.history.publishing import Outcome, interrupts_held, pause, publish_entry
from deltastore.history.state import EMPTY, LogState
from deltastore.history.store_format import StoreFormat, read_format
from deltastore.storage.packs import PackReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deltastore.history.checkpoint_roots import Root
    from deltastore.ids import Digest
    from deltastore.storage.backend import Backend

__all__ = ["BUDGET_SECONDS", "Compose", "Log", "Position"]

BUDGET_SECONDS = 30.0
FAR_BEHIND = 64
WRITER = "deltastore/0.1.0"

Compose: TypeAlias = Callable[[LogState], Draft]
"""Says what the next entry is to do, given the freshest state. Called again after a lost race: it
proves what it relies on anew, and raises `ConflictError` when that cannot be."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in one store's history, to be remembered between processes.

    Attributes:
        store_id: 32 hex digits.
        v: the newest entry seen.
        head: hash of its head.
    """

    store_id: str
    v: int
    head: Digest


class Log:
    """One store's log. Thread-safe.

    Args:
        backend: where the store is.
        form: who the store is, as `read_format` says.
        known: the newest position seen by an earlier process, which must still be history.
        packs: reads packs of the store; shared with other readers to share its cache.
        writer: program and version, kept in entries.
    """

    def __init__(
        self,
        backend: Backend,
        form: StoreFormat,
        *,
        known: Position | None = None,
        packs: PackReader | None = None,
        writer: str = WRITER,
    ) -> None:
        self._backend = backend
        self._known = known
        self._writer = writer
        self._state: LogState | None = None
        self._lock = threading.RLock()
        self._appending = threading.Lock()
        self._may_write = form.single_writer
        self.form = form
        self.packs = packs or PackReader(backend)
        self.reader = LogReader(backend, self.packs)
        self._checkpoints = Checkpointer(backend, self.packs, self.reader, writer)

    @classmethod
    def open(
        cls,
        backend: Backend,
        *,
        known: Position | None = None,
        packs: PackReader | None = None,
        writer: str = WRITER,
    ) -> Log:
        """The log of the store at `backend`; nothing but FORMAT is read yet.

        Raises:
            NotAStoreError: there is no store.
            NewerFormatError: another version of the format.
            CorruptError: FORMAT breaks the format, or `known` is of another store.
        """
        form = read_format(backend)
        if known is not None and known.store_id != form.store_id:
            raise _rewritten(
                f"{backend.url} is another store ({form.store_id}) than it was ({known.store_id})"
            )
        return cls(backend, form, known=known, packs=packs, writer=writer)

    @property
    def state(self) -> LogState:
        """The newest state seen; read from the store if there is none yet."""
        return self._state or self.refresh()

    @property
    def position(self) -> Position:
        """What a later process should remember of `state`."""
        state = self.state
        return Position(state.store_id, state.v, state.head_hash or self.form.genesis)

    def refresh(self) -> LogState:
        """The state at the tip. A stale "absent" costs a writer a lost race, nothing more.

        Raises:
            CorruptError: the log has a hole, an entry is damaged or illegal, or history is not what
                it was (`history_rewritten`).
            NewerFormatError: the store needs a newer program.
        """
        with self._lock:
            if self._state is None:
                self._state = self._load()
            else:
                self._catch_up(self._state)
            return self._state

    def check_writer(self) -> None:
        """See that this place can be written to safely; to be called before the first write.

        Raises:
            NewerFormatError: the store may only be written by a newer program.
            UnsafeBackendError: the backend does not create atomically.
            StorageError: it cannot be reached or written to.
        """
        check_needs(self.state.needs, writing=True)
        if self._may_write:
            return
        found = self._backend.capabilities()
        if found.tier != "A":
            raise UnsafeBackendError(
                f"{self._backend.url}: two writers could overwrite each other ({found.detail})",
                hint="make the store with --unsafe-single-writer if only one process ever writes",
            )
        self._may_write = True

    def append(self, compose: Compose, *, budget_seconds: float = BUDGET_SECONDS) -> Entry:
        """Create the next entry.

        Args:
            compose: makes the draft; called with the freshest state, again after every lost race.
            budget_seconds: how long to go on losing races.

        Returns:
            The entry, which is in the log for ever; `state` includes it.

        Raises:
            ConflictError: `compose` says so, a pack of the draft was condemned meanwhile, or every
                race within the budget was lost. Nothing was written.
            InvalidError: the draft is no legal entry. Nothing was written.
            OutcomeUnknownError: the backend stopped answering in the middle.
            UnsafeBackendError: the backend does not create atomically.
            NewerFormatError: the store may only be written by a newer program.
        """
        deadline = time.monotonic() + budget_seconds
        with self._appending:
            self.check_writer()
            while True:
                entry = self._try(compose, self.refresh(), deadline)
                if entry is not None:
                    return entry
                if time.monotonic() >= deadline:
                    raise ConflictError(
                        f"other writers were faster for {budget_seconds:g} seconds; nothing was "
                        "written",
                        hint="run the same command again",
                    )

    def entry(self, v: int) -> Entry:
        """Entry `v` of the log.

        Raises:
            CorruptError: it is missing or damaged.
        """
        return next(self.entries(v, v))

    def entries(self, first: int, last: int) -> Iterator[Entry]:
        """Entries `first` to `last`, both included; the newest ones are remembered.

        Raises:
            CorruptError: one is missing or damaged.
        """
        return self._checkpoints.entries(first, last)

    def root(self) -> Root | None:
        """The newest checkpoint of `state`; None if there is none, or it cannot be read."""
        return self._checkpoints.root(self.state.ckpt)

    def replay(self, last: int | None = None) -> LogState:
        """The state after `last` from the entries alone, checkpoints not believed.

        Raises:
            CorruptError: an entry is missing, damaged, redacted or illegal.
        """
        end = self.state.v if last is None else last
        return EMPTY.apply_all(self.reader.stretch(0, end))

    def find_txn(self, txn: str, *, since: int = 0) -> Entry | None:
        """The entry with a transaction, among `since` and all later ones; None if there is none.

        Settles an `OutcomeUnknownError` of an earlier process.
        """
        state = self.refresh()
        entries = self.reader.stretch(since, state.v)
        return next((entry for entry in entries if entry.has_txn(frozenset({txn}))), None)

    def _load(self) -> LogState:
        genesis = self.reader.fetch(0)
        if genesis is None or head_hash(genesis) != self.form.genesis:
            raise CorruptError(
                f"{self._backend.url}: log entry 0 is missing or not the one that FORMAT names",
                hint="this store is damaged, not empty: restore log/ from a clone or backup",
            )
        known = self._known
        hint = self.reader.hint()
        low = max(hint.v, known.v if known and self._is_history(known) else 0)
        return self._advance(EMPTY, self.reader.find_tip(low), {**hint.known, 0: genesis})

    def _is_history(self, known: Position) -> bool:
        data = self.reader.fetch(known.v)
        if data is None or head_hash(data) != known.head:
            raise _rewritten(
                f"{self._backend.url}: log entry {known.v} is not what it was: "
                f"{'gone' if data is None else 'another one'}"
            )
        return True

    def _catch_up(self, state: LogState) -> None:
        here, following = self.reader.fetch_all([state.v, state.v + 1])
        if here is None or head_hash(here) != state.head_hash:
            raise _rewritten(f"{self._backend.url}: log entry {state.v} is not what it was")
        if following is not None:
            tip = self.reader.find_tip(state.v + 1)
            self._state = self._advance(state, tip, {state.v + 1: following})

    def _advance(self, state: LogState, tip: int, known: Mapping[int, bytes]) -> LogState:
        """The state at `tip`, by way of a checkpoint when that is far.

        Args:
            state: to begin with.
            tip: the newest entry.
            known: stored entries that need not be read, by position.
        """
        data = known.get(tip) or self.reader.fetch(tip)
        if data is None:
            raise CorruptError(f"{self._backend.url}: log entry {tip} was there and is gone")
        check_needs(peek_needs(data, tip))
        newest = self.reader.decode(tip, data).head.ckpt
        if tip - state.v > FAR_BEHIND and newest is not None and newest.v > state.v:
            state = self._checkpoints.load(newest, self.form.store_id) or state
        tail = self.reader.stretch(state.v + 1, tip, known={**known, tip: data})
        state = state.apply_all(self._checkpoints.remembering(tail))
        self._checkpoints.forget(state.ckpt)
        return state

    def _try(self, compose: Compose, state: LogState, deadline: float) -> Entry | None:
        """One attempt: the entry if it is in the log, None if another one was faster."""
        check_needs(state.needs, writing=True)
        draft = compose(state)
        ckpt, made = self._checkpoints.next(state)
        entry, after = draft_entry(
            draft, state, ckpt, made, backend=self._backend, writer=self._writer
        )
        started = time.monotonic()
        with interrupts_held() as interrupts:
            outcome = publish_entry(self._backend, entry, deadline=deadline)
            if outcome is Outcome.WON:
                with self._lock:
                    self._accept(entry, after)
                self._write_hint(entry.v)
                return entry
        if interrupts:
            raise KeyboardInterrupt
        pause(min(time.monotonic() - started, 1.0))
        return None

    def _accept(self, entry: Entry, after: LogState) -> None:
        if self._state is None or self._state.v < entry.v:
            self._state = after
            for _ in self._checkpoints.remembering(iter((entry,))):
                pass
            self._checkpoints.forget(after.ckpt)

    def _write_hint(self, v: int) -> None:
        with suppress(StorageError):  # a hint: readers probe from an older one
            # a disk is read entry by entry as fast
            distant = self._backend.traffic.requests is not None
            entries = self._checkpoints.recent() if distant else ()
            self._backend.overwrite(HINT_KEY, encode_hint(v, entries))


def _rewritten(message: str) -> CorruptError:
    return CorruptError(
        f"history_rewritten: {message}",
        hint="the store was replaced, rolled back or copied; compare it with a clone",
    )
