"""What the catalog's files hold: tables, how each is sorted, and the views that join two files.

A digest is four unsigned 64-bit columns, most significant first (`k0` to `k3`): joins on them are
four times as fast as on blobs, and their order is that of the hex digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "EXACT",
    "EXPORTED",
    "PREVIEW",
    "SCHEMA",
    "STORAGE",
    "TABLES",
    "VIEWS",
    "Table",
]

SCHEMA = 3
"""Number of this layout; files of another one are left alone."""

STORAGE = 67
"""DuckDB's own storage version (v1.4.0), which 1.4 and everything later reads."""

EXACT = 1
PREVIEW = 2
"""Bits of a row's `fidelity`: which manifests of its commit name that digest."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        columns: name to type; the type `DIGEST` stands for four columns.
        order: by what an immutable file sorts it.
    """

    columns: Mapping[str, str]
    order: str = "k0"

    @property
    def definition(self) -> str:
        """The columns, as `CREATE TABLE` wants them."""
        return ", ".join(
            ", ".join(f"{name}{i} UBIGINT" for i in range(4))
            if kind == "DIGEST"
            else f"{name} {kind}"
            for name, kind in self.columns.items()
        )


TABLES: Mapping[str, Table] = {
    "commits": Table(
        {
            "n": "UINTEGER",
            "k": "DIGEST",
            "author": "VARCHAR",
            "time": "VARCHAR",
            "message": "VARCHAR",
            "producer": "VARCHAR",
            "preview_codec": "VARCHAR",
            "preview_error": "VARCHAR",
            "files": "UINTEGER",
            "bytes": "UBIGINT",
        }
    ),
    # role: manifest, preview (another manifest), recipe
    "documents": Table({"n": "UINTEGER", "role": "VARCHAR", "k": "DIGEST"}, order="n"),
    # role: parent, base, input
    "links": Table(
        {"n": "UINTEGER", "role": "VARCHAR", "position": "UINTEGER", "k": "DIGEST"}, order="n"
    ),
    # text: as recorded, which may have more digits than a double
    "metrics": Table(
        {"n": "UINTEGER", "name": "VARCHAR", "value": "DOUBLE", "text": "VARCHAR"}, order="n"
    ),
    "metadata": Table({"n": "UINTEGER", "name": "VARCHAR", "value": "VARCHAR"}, order="n"),
    # the digest is that of the blob, or of the safetensors header
    "files": Table(
        {
            "n": "UINTEGER",
            "file": "UINTEGER",
            "fidelity": "UTINYINT",
            "path": "VARCHAR",
            "bytes": "UBIGINT",
            "sha256": "VARCHAR",
            "weights": "BOOLEAN",
            "k": "DIGEST",
        }
    ),
    # name, dtype and shape are null where the header could not be read
    "tensors": Table(
        {
            "n": "UINTEGER",
            "file": "UINTEGER",
            "fidelity": "UTINYINT",
            "name": "VARCHAR",
            "dtype": "VARCHAR",
            "shape": "VARCHAR",
            "k": "DIGEST",
        }
    ),
    "packs": Table(
        {"p": "UINTEGER", "k": "DIGEST", "class": "VARCHAR", "bytes": "UBIGINT", "v": "UBIGINT"}
    ),
    "placements": Table(
        {
            "k": "DIGEST",
            "kind": "UTINYINT",
            "dtype": "VARCHAR",
            "codec": "VARCHAR",
            "raw_bytes": "UBIGINT",
            "blocks": "UINTEGER",
            "first_block": "UINTEGER",
            "block_count": "UINTEGER",
            "p": "UINTEGER",
            "start": "UBIGINT",
            "bytes": "UBIGINT",
        }
    ),
    "inputs": Table({"k": "DIGEST", "p": "UINTEGER", "i": "DIGEST"}),
    "sketches": Table(
        {"k": "DIGEST", "p": "UINTEGER", "dtype": "VARCHAR", "plain": "BLOB", "turned": "BLOB"}
    ),
    "refs": Table(
        {"name": "VARCHAR", "kind": "VARCHAR", "model": "VARCHAR", "ref": "VARCHAR", "k": "DIGEST"},
        order="name",
    ),
    "absent": Table({"k": "DIGEST"}),
    # what could not be read, to be tried again; kind: pack, commit
    "unread": Table({"kind": "VARCHAR", "k": "DIGEST"}),
    "reached": Table({"n": "UINTEGER"}, order="n"),
    "lost": Table({"n": "UINTEGER"}, order="n"),
    "gone": Table({"n": "UINTEGER"}, order="n"),
    "dead": Table({"p": "UINTEGER"}, order="p"),
    "meta": Table(
        {
            "schema": "UINTEGER",
            "store_id": "VARCHAR",
            "url": "VARCHAR",
            "base_v": "UBIGINT",
            "token": "VARCHAR",
            "v": "UBIGINT",
            "head": "VARCHAR",
            "next_n": "UINTEGER",
            "next_p": "UINTEGER",
        },
        order="v",
    ),
}
"""`refs`, `absent` and `unread` of the tail are complete; `lost`, `gone` and `dead` take rows of
both away: commits no ref keeps, commits that were collected, packs that were condemned. Rows of
one commit share a number `n`, those of one pack a number `p`, which mean nothing elsewhere."""


def _both(table: str) -> str:
    return f"(FROM base.{table} UNION ALL FROM tail.{table})"


_OF_COMMITS = ("commits", "documents", "links", "metrics", "metadata", "files", "tensors")
_OF_PACKS = ("packs", "placements", "inputs", "sketches")
_COMPLETE = ("refs", "absent", "unread")

VIEWS: Mapping[str, str] = {
    **{name: f"FROM {_both(name)} ANTI JOIN tail.gone USING (n)" for name in _OF_COMMITS},
    **{name: f"FROM {_both(name)} ANTI JOIN tail.dead USING (p)" for name in _OF_PACKS},
    **{name: f"FROM tail.{name}" for name in _COMPLETE},
    "models": (
        "SELECT model, count(*) FILTER (kind = 'branch') AS branches,"
        " count(*) FILTER (kind = 'tag') AS tags FROM tail.refs WHERE model <> '' GROUP BY model"
    ),
    "reached": "FROM base.reached ANTI JOIN tail.lost USING (n) UNION ALL FROM tail.reached",
    # known once, whether collected since or not
    "every_commit": f"FROM {_both('commits')}",
    # which manifests of a commit are still owed, as bits of a fidelity
    "held": (
        "SELECT n, bit_or(CASE role WHEN 'preview' THEN 2 ELSE 1 END) AS fidelities"
        " FROM documents ANTI JOIN absent USING (k0, k1, k2, k3)"
        " WHERE role <> 'recipe' GROUP BY n"
    ),
    # digests that a commit's manifests name, as far as they are owed
    "contents": (
        "SELECT n, k0, k1, k2, k3"
        " FROM (SELECT n, fidelity, k0, k1, k2, k3 FROM files"
        " UNION ALL SELECT n, fidelity, k0, k1, k2, k3 FROM tensors)"
        " JOIN held USING (n) WHERE fidelity & fidelities <> 0"
    ),
    # these, and what the commit itself is read from
    "named": (
        "FROM contents UNION ALL SELECT n, k0, k1, k2, k3 FROM documents"
        " UNION ALL SELECT n, k0, k1, k2, k3 FROM commits"
    ),
}
"""In order: later ones use earlier ones."""

EXPORTED = (*_OF_COMMITS, *_OF_PACKS, *_COMPLETE, "models", "reached")
