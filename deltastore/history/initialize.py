"""Making a store: entry 0 first, FORMAT last, and any number of processes may try at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.errors import (
    CorruptError,
    MissingObjectError,
    NotAStoreError,
    StorageError,
    UnsafeBackendError,
)
from deltastore.history.entries import Draft, StoreRecord, Transaction, log_key, new_token
from deltastore.history.entry_decoding import decode_entry
from deltastore.history.entry_drafting import first_entry
from deltastore.history.entry_encoding import MAX_ENTRY_BYTES
from deltastore.history.log import WRITER
from deltastore.history.store_format import FORMAT_KEY, MAX_FORMAT_BYTES, StoreFormat, read_format

if TYPE_CHECKING:
    from deltastore.history.entries import Entry
    from deltastore.storage.backend import Backend

__all__ = ["Initialized", "init_store"]


@dataclass(frozen=True, slots=True)
class Initialized:
    """What `init_store` found or made.

    Attributes:
        store_id: 32 hex digits.
        created: whether this call completed the store.
    """

    store_id: str
    created: bool


def init_store(
    backend: Backend,
    *,
    created: str,
    actor: str,
    single_writer: bool = False,
    writer: str = WRITER,
) -> Initialized:
    """Make a store, or finish one that was begun, or find that there is one.

    Args:
        backend: where it is to be.
        created: RFC 3339, UTC.
        actor: who makes it, for people.
        single_writer: accept a backend that does not create atomically; only one process may ever
            write then. Of no effect on a store that exists.
        writer: program and version.

    Raises:
        UnsafeBackendError: the backend does not create atomically; nothing was written to the log.
        CorruptError: what is there is damaged.
        NewerFormatError: there is a store of another version.
        NotAStoreError: there is a file called FORMAT that is not ours.
    """
    present = _present(backend)
    if present is not None:
        _check_genesis(present, _genesis(backend))
        return Initialized(present.store_id, created=False)
    if not single_writer:
        _check_tier(backend)
    record = StoreRecord(created, single_writer)
    genesis = _genesis(backend) or _begin(backend, record, actor, writer)
    form = StoreFormat.of(genesis)
    return Initialized(form.store_id, created=_finish(backend, form))


def _present(backend: Backend) -> StoreFormat | None:
    try:
        return read_format(backend)
    except NotAStoreError:
        if backend.exists(FORMAT_KEY):
            raise
        return None


def _check_tier(backend: Backend) -> None:
    found = backend.capabilities()
    if found.tier != "A":
        raise UnsafeBackendError(
            f"{backend.url}: two writers could overwrite each other ({found.detail})",
            hint="--unsafe-single-writer if it is certain that only one process will ever write",
        )


def _genesis(backend: Backend) -> Entry | None:
    try:
        return decode_entry(backend.get(log_key(0), max_bytes=MAX_ENTRY_BYTES), v=0)
    except MissingObjectError:
        return None


def _check_genesis(form: StoreFormat, genesis: Entry | None) -> None:
    if genesis is None or genesis.hash != form.genesis:
        raise CorruptError(
            "log entry 0 is missing or not the one that FORMAT names",
            hint="this store is damaged, not empty: restore log/ from a clone or backup",
        )


def _begin(backend: Backend, record: StoreRecord, actor: str, writer: str) -> Entry:
    """Create entry 0, or find what a rival created first."""
    txn = Transaction(new_token(), "init", actor, record.created, "made the store")
    mine = first_entry(Draft((txn,)), record, new_token(), writer)
    failure: StorageError | None = None
    try:
        backend.put_if_absent(log_key(0), mine.data)
    except StorageError as reason:
        failure = reason
    found = _genesis(backend)
    if found is None:
        raise failure or CorruptError(f"{backend.url}: log entry 0 was written and is not there")
    return found


def _finish(backend: Backend, form: StoreFormat) -> bool:
    """Create FORMAT; whether this call did. Rivals write the same bytes."""
    data = form.encode()
    try:
        made = backend.put_if_absent(FORMAT_KEY, data)
    except StorageError:
        if not backend.exists(FORMAT_KEY):
            raise
        made = True
    if backend.get(FORMAT_KEY, max_bytes=MAX_FORMAT_BYTES) != data:
        raise CorruptError(f"{backend.url}: FORMAT does not go with log entry 0")
    return made
