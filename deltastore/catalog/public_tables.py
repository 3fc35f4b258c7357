"""What people may ask with SQL of their own: stable views, described in docs/reference/tables.md.

Only what refs keep is in them. Digests are hex text, times are timestamps in UTC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["INTERNAL", "PUBLIC"]

INTERNAL = "internal"
"""The schema of the views that these are made of, and of the table `homes`: the model that a
commit (`n`) is counted under. No query may name it."""


def _hex(prefix: str) -> str:
    words = ", ".join(f"{prefix}{i}" for i in range(4))
    return f"format('{{:016x}}{{:016x}}{{:016x}}{{:016x}}', {words})"


_KEPT = f"""
    SELECT n, {_hex("k")} AS "commit" FROM internal.commits SEMI JOIN internal.reached USING (n)
"""  # noqa: S608 - texts of this module

_PATHS = "SELECT n, file, path FROM internal.files WHERE fidelity & 1 <> 0"


def _of_commits(columns: str, table: str, condition: str = "true", more: str = "") -> str:
    """Rows `t` of a table with a number `n`, under their commit's id."""
    return (
        f'SELECT kept."commit", {columns} FROM ({_KEPT}) kept'  # noqa: S608 - texts of this module
        f" JOIN internal.{table} t USING (n) {more} WHERE {condition}"
    )


_STANDING = """
    SELECT c.n, string_agg(
        CASE WHEN r.model = h.model THEN r.ref ELSE r.model || '@' || r.ref END,
        ', ' ORDER BY r.model <> h.model, r.kind, r.model, r.ref
    ) AS branch
    FROM internal.refs r
    JOIN internal.commits c USING (k0, k1, k2, k3)
    JOIN internal.homes h USING (n)
    WHERE r.model <> '' GROUP BY c.n
"""

_SHAPE = (
    "CASE WHEN shape = '' THEN []::UBIGINT[] ELSE string_split(shape, ',')::UBIGINT[] END AS shape"
)

PUBLIC: Mapping[str, str] = {
    "commits": f"""
        SELECT {_hex("c.k")} AS "commit", h.model, s.branch,
            try_cast(c.time AS TIMESTAMP) AS time, c.author, c.message,
            {_hex("l.k")} AS base, c.files, c.bytes,
            try_cast(c.preview_error AS DOUBLE) AS preview_error, c.producer
        FROM internal.commits c SEMI JOIN internal.reached USING (n)
        LEFT JOIN internal.homes h USING (n)
        LEFT JOIN ({_STANDING}) s USING (n)
        LEFT JOIN (FROM internal.links WHERE role = 'base') l USING (n)
    """,  # noqa: S608 - texts of this module
    "parents": _of_commits(f"t.position, {_hex('t.k')} AS parent", "links", "t.role = 'parent'"),
    "inputs": _of_commits(f"t.position, {_hex('t.k')} AS input", "links", "t.role = 'input'"),
    "metrics": _of_commits("t.name, t.value", "metrics"),
    "metadata": _of_commits("t.name, t.value", "metadata"),
    "refs": f"""
        SELECT model, ref AS name, kind, {_hex("k")} AS "commit"
        FROM internal.refs WHERE model <> ''
    """,  # noqa: S608 - texts of this module
    "models": "SELECT model, branches, tags FROM internal.models",
    "files": _of_commits(
        f"t.path, t.bytes, t.sha256, t.weights, {_hex('t.k')} AS digest",
        "files",
        "t.fidelity & 1 <> 0",
    ),
    "tensors": _of_commits(
        f"f.path, t.name, t.dtype, {_SHAPE}, {_hex('t.k')} AS digest",
        "tensors",
        "t.fidelity & 1 <> 0",
        f"LEFT JOIN ({_PATHS}) f USING (n, file)",
    ),
    "packs": f"""
        SELECT {_hex("k")} AS pack, class, bytes, v AS entry FROM internal.packs
    """,  # noqa: S608 - texts of this module
    "sections": f"""
        SELECT {_hex("s.k")} AS digest, s.codec, s.dtype, s.raw_bytes, s.bytes,
            {_hex("p.k")} AS pack
        FROM internal.placements s JOIN internal.packs p USING (p) WHERE s.kind <= 2
    """,  # noqa: S608 - texts of this module
}
"""View to query."""
