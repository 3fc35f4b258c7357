"""Bringing a tail up to a state of the log: only what entries after the tail's own brought is read.

What a catalog holds is a function of the log's state and of immutable content, so it does not
matter in how many steps it got there.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import duckdb
import numpy as np

from deltastore.catalog.batches import Batch, columns_of, insert
from deltastore.catalog.connecting import ask, digests_of, read_meta, run, write_meta
from deltastore.catalog.digests import digest_columns, hex_of
from deltastore.catalog.reaching import extend_reached, recompute_reached, root_digests
from deltastore.catalog.reading import Item, PackRead
from deltastore.engine.threads import Workers
from deltastore.history.refs import parse_ref

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from deltastore.catalog.connecting import Connection, Meta
    from deltastore.catalog.reading import StoreReader
    from deltastore.history.state import LogState

__all__ = ["extend", "missing"]

READERS = 8
"""Threads that read ahead; they mostly wait for the store."""

FEW = 256
"""New commits up to which `reached` is extended rather than made anew."""

_KNOWN = """
    SELECT k0, k1, k2, k3, n FROM batch JOIN every_commit USING (k0, k1, k2, k3)
"""

_GONE = "INSERT INTO tail.gone SELECT n FROM batch JOIN every_commit USING (k0, k1, k2, k3)"

_DEAD = """
    INSERT INTO tail.dead SELECT p FROM packs SEMI JOIN batch USING (k0, k1, k2, k3)
"""

_FORGET_REFS = "DELETE FROM tail.refs WHERE name IN (SELECT name FROM batch)"


@dataclass(frozen=True, slots=True)
class _News:
    """What a tail lacks.

    Attributes:
        items: to be read, in order.
        moved: commits whose meta pack is new, but which the catalog may know.
        retried: whether some of the items could not be read before.
    """

    items: tuple[Item, ...]
    moved: tuple[str, ...]
    retried: bool


def missing(state: LogState, since: int) -> int:
    """Packs that entries after `since` made live: the measure of what an extension costs."""
    return sum(v > since for v in state.live.values())


def extend(connection: Connection, reader: StoreReader, state: LogState) -> None:
    """Bring the tail of a connection up to a state.

    Args:
        connection: base and tail, the latter writable, with views.
        reader: of the store.
        state: of the log; not older than the tail.

    Raises:
        StorageError: the store cannot be read now; the tail is as it was.
        duckdb.Error: the files are damaged, or the disk is full.
    """
    run(connection, "BEGIN")
    try:
        _extend(connection, reader, state)
        run(connection, "COMMIT")
    except BaseException:
        with suppress(duckdb.Error):
            run(connection, "ROLLBACK")
        raise


def _extend(connection: Connection, reader: StoreReader, state: LogState) -> None:
    meta = read_meta(connection, "tail")
    since = meta.v if meta.head else -1
    news = _news(connection, state, since)
    known = _known(connection, news.moved)
    items = [item for item in news.items if item.id not in known]
    before = root_digests(connection)
    meta = _read_all(connection, reader, items, meta)
    _take_away(connection, state, since, moved=bool(known))
    _replace_small(connection, state, since)
    if since < 0 or news.retried or known or len(items) > FEW:
        recompute_reached(connection)
    else:
        extend_reached(connection, before)
    write_meta(connection, "tail", replace(meta, v=state.v, head=state.head_hash or ""))


def _news(connection: Connection, state: LogState, since: int) -> _News:
    unread = {(kind, hex_of(*words)) for kind, *words in ask(connection, "FROM tail.unread")}
    packs = [
        Item(v, "pack", pack)
        for pack, v in state.live.items()
        if v > since or ("pack", pack) in unread
    ]
    commits = [
        Item(state.live[meta], "commit", commit)
        for commit, meta in state.commits.items()
        if meta in state.live and (state.live[meta] > since or ("commit", commit) in unread)
    ]
    moved = tuple(item.id for item in commits)
    items = tuple(sorted([*packs, *commits], key=lambda item: item.order))
    return _News(items, moved, any((item.kind, item.id) in unread for item in items))


def _known(connection: Connection, commits: Collection[str]) -> set[str]:
    """Which of some commits the catalog has, collected or not."""
    if not commits:
        return set()
    connection.register("batch", digest_columns(commits))
    found = digests_of(connection, _KNOWN)
    connection.unregister("batch")
    return set(found)


def _read_all(connection: Connection, reader: StoreReader, items: list[Item], meta: Meta) -> Meta:
    """Read what is new into the tail; the numbers that come next."""
    n, p = meta.next_n, meta.next_p
    batch = Batch()
    unread: list[tuple[str, str]] = []
    with Workers(min(READERS, max(1, len(items) // 4))) as workers:
        for item, found in zip(items, workers.map(reader.read, items), strict=True):
            if found is None:
                unread.append((item.kind, item.id))
            elif isinstance(found, PackRead):
                batch.add_pack(p, found)
                p += 1
            else:
                batch.add_commit(n, found)
                n += 1
            if batch.full:
                batch.write(connection)
    batch.write(connection)
    run(connection, "TRUNCATE tail.unread")
    if unread:
        insert(connection, "unread", columns_of("unread", unread))
    return replace(meta, next_n=n, next_p=p)


def _take_away(connection: Connection, state: LogState, since: int, *, moved: bool) -> None:
    """Note packs that were condemned, and commits that went with their meta pack."""
    dead = [pack for pack, v in state.condemned.items() if v > since]
    if dead:
        connection.register("batch", digest_columns(dead))
        run(connection, _DEAD)
        connection.unregister("batch")
    if dead or moved:
        gone = [commit for commit, meta in state.commits.items() if meta not in state.live]
        run(connection, "TRUNCATE tail.gone")
        connection.register("batch", digest_columns(gone))
        run(connection, _GONE)
        connection.unregister("batch")


def _replace_small(connection: Connection, state: LogState, since: int) -> None:
    """Bring up to date what every tail holds completely."""
    moved = [name for name, ref in state.refs.items() if ref.v > since]
    if moved:
        connection.register("batch", {"name": np.array(moved, dtype=np.object_)})
        run(connection, _FORGET_REFS)
        connection.unregister("batch")
        insert(connection, "refs", columns_of("refs", _ref_rows(state, moved)))
    if set(digests_of(connection, "FROM tail.absent")) != set(state.absent):
        run(connection, "TRUNCATE tail.absent")
        insert(connection, "absent", digest_columns(state.absent))


def _ref_rows(state: LogState, names: list[str]) -> Iterator[tuple[str, ...]]:
    for name in names:
        commit = state.ref(name)
        if commit is not None:
            ref = parse_ref(name)
            yield name, ref.kind, ref.model, ref.name, commit
