"""FORMAT: who a store is (format-v1, section 3). A function of entry 0, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.errors import (
    CorruptError,
    DeltastoreError,
    MissingObjectError,
    NewerFormatError,
    NotAStoreError,
)
from deltastore.history.documents import encode_document, parse_document
from deltastore.history.entries import log_key

if TYPE_CHECKING:
    from deltastore.history.entries import Entry
    from deltastore.ids import Digest, JsonObject
    from deltastore.storage.backend import Backend

__all__ = ["FORMAT_KEY", "MAX_FORMAT_BYTES", "StoreFormat", "read_format"]

FORMAT_KEY = "FORMAT"
MAX_FORMAT_BYTES = 4 * 1024
VERSION = 1


@dataclass(frozen=True, slots=True)
class StoreFormat:
    """What FORMAT says.

    Attributes:
        store_id: 32 hex digits, random.
        genesis: hash of the head of entry 0.
        created: RFC 3339, UTC.
        single_writer: the backend does not create atomically; one process may write.
    """

    store_id: str
    genesis: Digest
    created: str
    single_writer: bool = False

    @classmethod
    def of(cls, genesis: Entry) -> StoreFormat:
        """What FORMAT has to say, given entry 0.

        Raises:
            CorruptError: it does not describe a store.
        """
        if genesis.body is None or genesis.body.store is None:
            raise CorruptError("log entry 0 does not describe the store it begins")
        store = genesis.body.store
        return cls(genesis.head.store_id, genesis.hash, store.created, store.single_writer)

    def encode(self) -> bytes:
        """The bytes of FORMAT."""
        document: JsonObject = {
            "deltastore": VERSION,
            "store_id": self.store_id,
            "hash": "blake3",
            "genesis": self.genesis,
            "created": self.created,
        }
        if self.single_writer:
            document["single_writer"] = True
        return encode_document(document, what="FORMAT", max_bytes=MAX_FORMAT_BYTES - 1) + b"\n"

    @classmethod
    def decode(cls, data: bytes, *, where: str) -> StoreFormat:
        """Read FORMAT.

        Args:
            data: the whole object.
            where: URL of the store, for errors.

        Raises:
            NotAStoreError: some other program's file of that name.
            NewerFormatError: another version of this format.
            CorruptError: a field that breaks the format.
        """
        try:
            fields = parse_document(data, what=f"{where}: FORMAT", max_bytes=MAX_FORMAT_BYTES)
        except CorruptError as reason:
            raise _not_ours(where, f": {reason}") from None
        version = fields.values.get("deltastore")
        if not isinstance(version, int) or isinstance(version, bool):
            raise _not_ours(where)
        if version != VERSION or fields.values.get("hash") != "blake3":
            raise NewerFormatError(
                f"{where} has store format {version}, this program knows {VERSION}",
                hint="upgrade deltastore",
            )
        return cls(
            store_id=fields.token("store_id"),
            genesis=fields.digest("genesis"),
            created=fields.time("created"),
            single_writer=fields.boolean("single_writer", default=False),
        )


def read_format(backend: Backend) -> StoreFormat:
    """Who the store at `backend` is.

    Raises:
        NotAStoreError: there is no FORMAT.
        NewerFormatError: another version of this format.
        CorruptError: a FORMAT that breaks the format.
    """
    try:
        data = backend.get(FORMAT_KEY, max_bytes=MAX_FORMAT_BYTES)
    except MissingObjectError:
        raise _absent(backend) from None
    return StoreFormat.decode(data, where=backend.url)


def _absent(backend: Backend) -> DeltastoreError:
    if backend.exists(log_key(0)):
        return NotAStoreError(
            f"{backend.url}: a store was begun here but never finished",
            hint=f"deltastore init {backend.url} finishes it",
        )
    return _no_store(backend.url, "it has no FORMAT")


def _no_store(where: str, reason: str) -> NotAStoreError:
    return NotAStoreError(
        f"{where} is not a store: {reason}",
        hint=f"deltastore init {where} makes one; a typing error in the location is likelier",
    )


def _not_ours(where: str, reason: str = "") -> NotAStoreError:
    return NotAStoreError(
        f"{where} is not a store: its FORMAT is not ours{reason}",
        hint="it is another program's, or was damaged: restore FORMAT from a copy of the store",
    )
