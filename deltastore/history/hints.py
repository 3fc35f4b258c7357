"""`log/HINT`: where the log's end was once, and copies of the entries before it.

Entries are objects of their own, so whoever opens a distant store would ask for each one since the
last checkpoint. The hint brings them in one request. It is believed as far as the chain of hashes,
from an entry that was read from the log itself, proves it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltastore.errors import CorruptError, NewerFormatError
from deltastore.history.documents import parse_document
from deltastore.history.entry_decoding import parse_head
from deltastore.ids import bytes_digest, canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deltastore.history.entries import Entry

__all__ = ["HINT_KEY", "MAX_HINT_BYTES", "Hint", "decode_hint", "encode_hint", "proven"]

HINT_KEY = "log/HINT"
MAX_HINT_BYTES = 256 << 10
MAX_POSITION_BYTES = 1024
LINES = 3
"""Of an entry, each ended by a line feed."""


@dataclass(frozen=True, slots=True)
class Hint:
    """What a hint turned out to be good for.

    Attributes:
        v: an entry that is there; 0 without any hint.
        known: stored entries by position: `v`, read from the log, and proven copies before it.
    """

    v: int = 0
    known: Mapping[int, bytes] = field(default_factory=dict)


def encode_hint(v: int, entries: Iterable[Entry] = ()) -> bytes:
    """The bytes of a hint.

    Args:
        v: the newest entry.
        entries: to bring along; those that stand without a gap before `v` are taken, the newest
            first, as far as there is room.
    """
    position = canonical_json({"v": v})
    by_position = {entry.v: entry for entry in entries}
    copies: list[bytes] = []
    room = MAX_HINT_BYTES - len(position) - 1
    while (entry := by_position.get(v - 1 - len(copies))) and len(entry.data) <= room:
        copies.append(entry.data)
        room -= len(entry.data)
    return b"\n".join([position, b"".join(reversed(copies))]) if copies else position


def decode_hint(data: bytes) -> tuple[int, dict[int, bytes]]:
    """Position and unproven copies, by position, of a hint that may be torn.

    Raises:
        CorruptError: it names no position.
    """
    first, _, rest = data.partition(b"\n")
    v = parse_document(first, what=HINT_KEY, max_bytes=MAX_POSITION_BYTES).integer("v")
    lines = rest.split(b"\n")[:-1]
    count = len(lines) // LINES
    groups = (lines[LINES * place : LINES * (place + 1)] for place in range(count))
    copies = (b"".join(line + b"\n" for line in group) for group in groups)
    return v, {v - count + place: copy for place, copy in enumerate(copies)}


def proven(v: int, data: bytes, copies: Mapping[int, bytes]) -> dict[int, bytes]:
    """Entry `v` and the copies that the chain of hashes proves to be the entries before it.

    Args:
        v: position of an entry.
        data: as stored, read from the log.
        copies: by position, from anywhere.
    """
    known = {v: data}
    try:
        expected = parse_head(data.partition(b"\n")[0], HINT_KEY).prev
        while (copy := copies.get(v - 1)) is not None:
            head, body, trailer, _ = copy.split(b"\n")
            about = parse_head(head, HINT_KEY)
            whole = about.body == bytes_digest(body) and trailer == str(expected).encode()
            if bytes_digest(head) != expected or not whole:
                break
            v, expected = v - 1, about.prev
            known[v] = copy
    except (CorruptError, NewerFormatError, ValueError):
        return known
    return known
