"""The questions a catalog answers. Only what refs keep counts, unless a question says otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from deltastore.catalog.answers import CommitRow, GarbageRow, ModelRow, StatsRow, TensorRow
from deltastore.catalog.connecting import ask
from deltastore.catalog.digests import digest_columns, hex_digests, hex_of
from deltastore.catalog.reaching import behind
from deltastore.errors import NotFoundError
from deltastore.ids import CommitId, Digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.catalog.connecting import Connection

__all__ = [
    "codec_bytes",
    "commits_of",
    "garbage",
    "holders",
    "models",
    "own_bytes",
    "stats",
    "tensors_named",
]


# The join comes before all views: it leaves a few rows of the largest tables.
_HOLDERS = """
    WITH hits AS (
        SELECT DISTINCT i, n FROM (
            SELECT i, n, fidelity FROM batch JOIN tensors USING (k0, k1, k2, k3)
            UNION ALL
            SELECT i, n, fidelity FROM batch JOIN files USING (k0, k1, k2, k3)
        ) SEMI JOIN reached USING (n) JOIN held USING (n) WHERE fidelity & fidelities <> 0
    ), ranks AS (
        SELECT n, row_number() OVER (ORDER BY found DESC, k0, k1, k2, k3) AS rank
        FROM (SELECT n, count(*) AS found FROM hits GROUP BY n) JOIN commits USING (n)
    ), best AS (
        SELECT i, min(rank) AS rank FROM hits JOIN ranks USING (n) GROUP BY i
    )
    SELECT i, k0, k1, k2, k3 FROM best JOIN ranks USING (rank) JOIN commits USING (n)
"""

_MODELS = "SELECT model, branches, tags FROM models ORDER BY model"

_MODEL_ROOTS = """
    SELECT DISTINCT c.n FROM refs JOIN commits c USING (k0, k1, k2, k3) WHERE model = ?
"""

_COMMITS = """
    SELECT k0, k1, k2, k3, time, author, message, files, bytes
    FROM commits SEMI JOIN batch USING (n) ORDER BY time DESC, k0, k1, k2, k3
"""

_TENSORS_NAMED = """
    SELECT name, any_value(dtype), any_value(shape), k0, k1, k2, k3, count(DISTINCT n)
    FROM tensors SEMI JOIN reached USING (n)
    WHERE name GLOB ? AND fidelity & 1 <> 0
    GROUP BY name, k0, k1, k2, k3 ORDER BY name, k0, k1, k2, k3 LIMIT ?
"""

_COUNTS = """
    SELECT
        (SELECT count(*) FROM models),
        (SELECT count(*) FROM reached),
        (SELECT count(*) FROM (
            SELECT DISTINCT k0, k1, k2, k3 FROM tensors SEMI JOIN reached USING (n)
            WHERE fidelity & 1 <> 0
        )),
        (SELECT coalesce(sum(bytes), 0)::UBIGINT FROM commits
            SEMI JOIN reached USING (n) JOIN held USING (n) WHERE fidelities & 1 <> 0),
        (SELECT count(*) FROM packs),
        (SELECT coalesce(sum(bytes), 0)::UBIGINT FROM packs),
        (SELECT count(*) FROM unread)
"""

_CLASSES = "SELECT class, sum(bytes)::UBIGINT FROM packs GROUP BY class ORDER BY class"

# kinds 6 to 11 are lists and checkpoints of the log, which commits do not name; 12 is a hint
_GARBAGE = """
    WITH RECURSIVE needed AS (
        SELECT DISTINCT k0, k1, k2, k3 FROM named SEMI JOIN reached USING (n)
        UNION
        SELECT i0, i1, i2, i3 FROM needed JOIN inputs USING (k0, k1, k2, k3)
    ), wasted AS (
        SELECT p, bytes FROM placements ANTI JOIN needed USING (k0, k1, k2, k3) WHERE kind < 6
    ), whole AS (
        SELECT bytes FROM packs SEMI JOIN wasted USING (p) ANTI JOIN (
            SELECT p FROM placements SEMI JOIN needed USING (k0, k1, k2, k3)
            UNION ALL SELECT p FROM placements WHERE kind BETWEEN 6 AND 11
        ) USING (p)
    )
    SELECT
        (SELECT count(*) FROM wasted),
        (SELECT coalesce(sum(bytes), 0)::UBIGINT FROM wasted),
        (SELECT count(*) FROM whole),
        (SELECT coalesce(sum(bytes), 0)::UBIGINT FROM whole)
"""

_OWN_BYTES = """
    WITH RECURSIVE mine AS (
        SELECT DISTINCT k0, k1, k2, k3 FROM named WHERE n = $1
        UNION
        SELECT i0, i1, i2, i3 FROM mine JOIN inputs USING (k0, k1, k2, k3)
    ), others AS (
        SELECT DISTINCT k0, k1, k2, k3 FROM named SEMI JOIN reached USING (n) WHERE n <> $1
        UNION
        SELECT i0, i1, i2, i3 FROM others JOIN inputs USING (k0, k1, k2, k3)
    )
    SELECT coalesce(sum(bytes), 0)::UBIGINT FROM placements
    SEMI JOIN mine USING (k0, k1, k2, k3) ANTI JOIN others USING (k0, k1, k2, k3)
"""

_CODEC_BYTES = """
    SELECT codec, sum(bytes)::UBIGINT FROM placements
    SEMI JOIN (SELECT * FROM contents WHERE n = ?) USING (k0, k1, k2, k3)
    WHERE kind < 3 GROUP BY codec ORDER BY codec
"""

_NUMBER = "SELECT n FROM batch JOIN commits USING (k0, k1, k2, k3)"


def holders(connection: Connection, digests: Sequence[Digest]) -> dict[Digest, CommitId]:
    """See `Catalog.holders`."""
    numbers = np.arange(len(digests), dtype=np.uint32)
    connection.register("batch", {"i": numbers, **digest_columns(digests)})
    found = connection.execute(_HOLDERS).fetchnumpy()
    connection.unregister("batch")
    pairs = zip(found["i"].tolist(), hex_digests(found), strict=True)
    return {digests[i]: CommitId(Digest(commit)) for i, commit in sorted(pairs)}


def models(connection: Connection) -> tuple[ModelRow, ...]:
    """See `Catalog.models`."""
    return tuple(ModelRow(*row) for row in ask(connection, _MODELS))


def commits_of(connection: Connection, model: str) -> tuple[CommitRow, ...]:
    """See `Catalog.commits_of`."""
    roots = [n for (n,) in ask(connection, _MODEL_ROOTS, [model])]
    numbers = sorted(behind(connection, roots, ["parent"]))
    connection.register("batch", {"n": np.array(numbers, dtype=np.uint32)})
    rows = ask(connection, _COMMITS)
    connection.unregister("batch")
    return tuple(CommitRow(CommitId(Digest(hex_of(*row[:4]))), *row[4:]) for row in rows)


def tensors_named(connection: Connection, pattern: str, limit: int) -> tuple[TensorRow, ...]:
    """See `Catalog.tensors_named`."""
    rows = ask(connection, _TENSORS_NAMED, [pattern, limit])
    return tuple(
        TensorRow(name, dtype, _shape(shape), Digest(hex_of(*words)), commits)
        for name, dtype, shape, *words, commits in rows
    )


def _shape(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(","))) if text else ()


def stats(connection: Connection) -> StatsRow:
    """See `Catalog.stats`."""
    (counts,) = ask(connection, _COUNTS)
    return replace(StatsRow(*counts), class_bytes=dict(ask(connection, _CLASSES)))


def garbage(connection: Connection) -> GarbageRow:
    """See `Catalog.garbage`."""
    (row,) = ask(connection, _GARBAGE)
    return GarbageRow(*row)


def own_bytes(connection: Connection, commit: CommitId) -> int:
    """See `Catalog.own_bytes`."""
    ((size,),) = ask(connection, _OWN_BYTES, [_number(connection, commit)])
    return int(size)


def codec_bytes(connection: Connection, commit: CommitId) -> dict[str, int]:
    """See `Catalog.codec_bytes`."""
    return dict(ask(connection, _CODEC_BYTES, [_number(connection, commit)]))


def _number(connection: Connection, commit: CommitId) -> int:
    connection.register("batch", digest_columns([commit]))
    rows = ask(connection, _NUMBER)
    connection.unregister("batch")
    if not rows:
        raise NotFoundError(
            f"the catalog does not know commit {commit}",
            hint="deltastore fsck tells whether the store has it",
        )
    return int(rows[0][0])
