"""The rows of segments, read back: nothing is believed before it was checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from deltastore.errors import CorruptError, InvalidError
from deltastore.history.documents import Fields, parse_document
from deltastore.history.entry_decoding import parse_absent
from deltastore.history.refs import parse_ref
from deltastore.history.state import RefState
from deltastore.ids import CommitId, Digest, parse_json
from deltastore.storage.records import PackId

if TYPE_CHECKING:
    from deltastore.history.entries import Absent

__all__ = ["MAX_SECTION_BYTES", "PackRows", "parse_commits", "parse_packs", "parse_refs"]

MAX_SECTION_BYTES = 2**30
_ROW = 64


class PackRows(NamedTuple):
    """What a stretch of the log did to packs and content.

    Attributes:
        add: packs made live and not condemned within the stretch, with their entry.
        condemn: packs condemned, with their entry.
        absent: content no longer owed, by manifest.
    """

    add: dict[PackId, int]
    condemn: dict[PackId, int]
    absent: dict[Digest, Absent]


def parse_refs(data: bytes) -> dict[str, RefState]:
    """The rows of a `refs` section.

    Raises:
        CorruptError: a row that breaks the format.
    """
    rows = parse_json(data, what="segment refs", max_bytes=MAX_SECTION_BYTES)
    if not isinstance(rows, list):
        raise CorruptError("segment refs: not a list")
    return dict(_parse_ref_row(row) for row in rows)


def _parse_ref_row(row: Any) -> tuple[str, RefState]:
    if not isinstance(row, list) or len(row) not in (3, 4):
        raise CorruptError("segment refs: a row is no list of three or four")
    names = ("name", "commit", "v", "last")
    fields = Fields("segment refs", dict(zip(names, row, strict=False)))
    last = CommitId(fields.digest("commit" if fields.has("commit") else "last"))
    name = fields.text("name")
    try:
        parse_ref(name)
    except InvalidError as reason:
        raise CorruptError(f"segment refs: {reason}") from None
    commit = last if fields.has("commit") else None
    return name, RefState(commit, fields.integer("v"), last)


def parse_commits(data: bytes) -> dict[CommitId, PackId]:
    """The rows of a `commits` section: 32 bytes commit id, 32 bytes meta pack id, sorted.

    Raises:
        CorruptError: not whole rows, or not sorted.
    """
    if len(data) % _ROW:
        raise CorruptError(f"segment commits: {len(data)} bytes are no whole rows")
    text = data.hex()
    rows = [
        (text[at : at + _ROW], text[at + _ROW : at + 2 * _ROW])
        for at in range(0, len(text), 2 * _ROW)
    ]
    if any(rows[i][0] >= rows[i + 1][0] for i in range(len(rows) - 1)):
        raise CorruptError("segment commits: rows are not sorted")
    return {CommitId(Digest(commit)): PackId(pack) for commit, pack in rows}


def parse_packs(data: bytes) -> PackRows:
    """The rows of a `packs` section.

    Raises:
        CorruptError: a row that breaks the format.
    """
    fields = parse_document(data, what="segment packs", max_bytes=MAX_SECTION_BYTES)
    absent = [parse_absent(item) for item in fields.children("absent")]
    return PackRows(
        add=_pack_rows(fields, "add"),
        condemn=_pack_rows(fields, "condemn"),
        absent={each.manifest: each for each in absent},
    )


def _pack_rows(fields: Fields, key: str) -> dict[PackId, int]:
    rows: dict[PackId, int] = {}
    for row in fields.items(key):
        if not isinstance(row, list) or len(row) != 2:
            raise fields.refuse(key, "has a row that is no pair")
        item = Fields(f"{fields.what}, {key}", {"pack": row[0], "v": row[1]})
        rows[PackId(item.digest("pack"))] = item.integer("v")
    return rows
