"""Which commits have tensors of the same shapes as a new version, and the sketches of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deltastore.catalog.answers import CandidateRow, SketchRow
from deltastore.catalog.connecting import ask
from deltastore.catalog.digests import digest_columns, hex_of
from deltastore.ids import CommitId, Digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deltastore.catalog.connecting import Connection

__all__ = ["candidates", "sketches"]

# shapes that are each other's reverse are one form: transposed tensors count as counterparts
_CANDIDATES = """
    WITH found AS (
        SELECT n, form, count(*) AS tensors FROM tensors JOIN shapes USING (shape)
        SEMI JOIN reached USING (n) JOIN held USING (n)
        WHERE fidelity & 1 <> 0 AND fidelities & 1 <> 0 GROUP BY n, form
    ), totals AS (
        SELECT n, sum(least(found.tensors, forms.tensors) * forms.size)::UBIGINT AS overlap
        FROM found JOIN forms USING (form) GROUP BY n
    )
    SELECT k0, k1, k2, k3, overlap FROM totals JOIN commits USING (n)
    WHERE overlap >= ? * (SELECT max(overlap) FROM totals)
    ORDER BY overlap DESC, time DESC, k0, k1, k2, k3 LIMIT ?
"""

_SKETCHES = """
    WITH chosen AS (
        SELECT i, n FROM batch JOIN commits USING (k0, k1, k2, k3)
    ), wanted AS (
        SELECT i, n, file, name, dtype, shape, k0, k1, k2, k3
        FROM tensors JOIN chosen USING (n) WHERE fidelity & 1 <> 0 AND name IS NOT NULL
    ), known AS (
        SELECT k0, k1, k2, k3, dtype, min((plain, turned)) AS words
        FROM sketches SEMI JOIN wanted USING (k0, k1, k2, k3, dtype) GROUP BY ALL
    ), paths AS (
        SELECT n, file, any_value(path) AS path FROM files SEMI JOIN chosen USING (n)
        WHERE weights AND fidelity & 1 <> 0 GROUP BY n, file
    )
    SELECT i, path, name, dtype, shape, k0, k1, k2, k3, words[1], words[2]
    FROM wanted LEFT JOIN known USING (k0, k1, k2, k3, dtype) LEFT JOIN paths USING (n, file)
"""

_SOME = " WHERE shape IN (SELECT shape FROM shapes)"

# of tensors that are equally close the first is taken: which that is must not depend on threads
_ORDER = " ORDER BY i, file, name"


def candidates(
    connection: Connection, shapes: Mapping[tuple[int, ...], int], *, share: float, limit: int
) -> tuple[CandidateRow, ...]:
    """See `Catalog.candidates`."""
    _register(connection, shapes)
    rows = ask(connection, _CANDIDATES, [share, limit])
    connection.unregister("shapes")
    connection.unregister("forms")
    return tuple(
        CandidateRow(CommitId(Digest(hex_of(*words))), overlap) for *words, overlap in rows
    )


def _register(connection: Connection, shapes: Mapping[tuple[int, ...], int]) -> None:
    """The shapes looked for, either way round, and how many tensors each form has."""
    forms: dict[tuple[int, ...], int] = {}
    for shape, count in shapes.items():
        forms[_form(shape)] = forms.get(_form(shape), 0) + count
    either = dict.fromkeys(each for shape in shapes for each in (shape, shape[::-1]))
    texts = [(_text(shape), _text(_form(shape))) for shape in either if _form(shape) in forms]
    connection.register(
        "shapes",
        {
            "shape": np.array([shape for shape, _ in texts], dtype=np.object_),
            "form": np.array([form for _, form in texts], dtype=np.object_),
        },
    )
    connection.register(
        "forms",
        {
            "form": np.array([_text(form) for form in forms], dtype=np.object_),
            "tensors": np.array(list(forms.values()), dtype=np.uint64),
            "size": np.array([_size(form) for form in forms], dtype=np.uint64),
        },
    )


def _form(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (min(shape), max(shape)) if len(shape) == 2 else shape


def _text(shape: tuple[int, ...]) -> str:
    return ",".join(map(str, shape))


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for each in shape:
        size *= each
    return size


def sketches(
    connection: Connection,
    commits: Sequence[CommitId],
    shapes: Mapping[tuple[int, ...], int] | None = None,
) -> tuple[SketchRow, ...]:
    """See `Catalog.sketches`."""
    numbers = np.arange(len(commits), dtype=np.uint32)
    connection.register("batch", {"i": numbers, **digest_columns(commits)})
    if shapes is not None:
        _register(connection, shapes)
    rows = ask(connection, _SKETCHES + (_SOME if shapes is not None else "") + _ORDER)
    for name in ("batch", *(("shapes", "forms") if shapes is not None else ())):
        connection.unregister(name)
    return tuple(_row(commits[i], *rest) for i, *rest in rows)


def _row(
    commit: CommitId, path: str | None, name: str, dtype: str, shape: str, *rest: Any
) -> SketchRow:
    *words, plain, turned = rest
    return SketchRow(
        commit,
        path or "",
        name,
        dtype,
        tuple(map(int, shape.split(","))) if shape else (),
        Digest(hex_of(*words)),
        bytes(plain or b""),
        bytes(turned or b""),
    )
