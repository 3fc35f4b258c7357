"""Lists too long for a log entry: kept as sections of a meta pack that the entry makes live."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from deltastore.errors import CorruptError, InvalidError
from deltastore.history.entries import Spilled
from deltastore.history.entry_encoding import MAX_BODY_BYTES, body_lists, encode_body
from deltastore.ids import bytes_digest, canonical_json, parse_json
from deltastore.storage.packs import publish
from deltastore.storage.records import Kind
from deltastore.storage.spool import PackSpool

if TYPE_CHECKING:
    from deltastore.history.entries import Body
    from deltastore.storage.backend import Backend
    from deltastore.storage.packs import PackReader
    from deltastore.storage.records import PackId

__all__ = ["MAX_LIST_BYTES", "encode_fitting", "read_spilled"]

MAX_LIST_BYTES = 64 * 2**20
_SPILLED_BYTES = 200
"""Upper bound of what stands in a body for a list kept elsewhere, and for its pack in `add`."""


def read_spilled(packs: PackReader, spilled: Spilled) -> list[Any]:
    """The items of a spilled list.

    Raises:
        MissingObjectError: its pack is gone.
        CorruptError: the pack has no such section, or it holds no list.
    """
    for placement in packs.index(spilled.pack):
        if placement.record.kind is Kind.LIST and placement.record.digest == spilled.section:
            data = packs.object(placement, max_bytes=MAX_LIST_BYTES)
            items = parse_json(data, what=f"list {spilled.section}", max_bytes=MAX_LIST_BYTES)
            if isinstance(items, list):
                return items
            raise CorruptError(f"section {spilled.section} of pack {spilled.pack} is no list")
    raise CorruptError(f"pack {spilled.pack} has no list {spilled.section}")


def encode_fitting(body: Body, backend: Backend, writer: str) -> tuple[bytes, dict[str, Spilled]]:
    """A body line short enough for an entry; long lists go into a pack, which is published.

    Args:
        body: what the entry is to change.
        backend: where the pack goes.
        writer: program and version, kept in the pack.

    Returns:
        The line, which adds the new pack, and what was spilled.

    Raises:
        InvalidError: too long even so.
    """
    line = encode_body(body)
    if len(line) <= MAX_BODY_BYTES:
        return line, {}
    lists = {place: canonical_json(items) for place, items in body_lists(body).items()}
    chosen = _largest(lists, len(line))
    pack = _write({place: lists[place] for place in chosen}, backend, writer)
    spilled = {
        place: Spilled(pack, bytes_digest(lists[place]), len(body_lists(body)[place]))
        for place in chosen
    }
    return encode_body(replace(body, add=(*body.add, pack)), spilled), spilled


def _largest(lists: dict[str, bytes], size: int) -> list[str]:
    """The longest lists of a body of `size` bytes, as many as it takes."""
    chosen: list[str] = []
    for place in sorted(lists, key=lambda place: -len(lists[place])):
        if size <= MAX_BODY_BYTES - _SPILLED_BYTES or len(lists[place]) <= _SPILLED_BYTES:
            break
        chosen.append(place)
        size -= len(lists[place]) - _SPILLED_BYTES
    if size > MAX_BODY_BYTES - _SPILLED_BYTES:
        raise InvalidError(
            f"a log entry of {size} bytes without its lists; {MAX_BODY_BYTES} are allowed",
            hint="shorten the message, or do it in several steps",
        )
    return chosen


def _write(lists: dict[str, bytes], backend: Backend, writer: str) -> PackId:
    with (
        TemporaryDirectory(prefix="deltastore-") as folder,
        PackSpool(Path(folder), writer) as spool,
    ):
        for data in lists.values():
            spool.add_blob("meta", Kind.LIST, bytes_digest(data), data)
        (pack,) = spool.finish()
        publish(backend, pack)
    return pack.pack
