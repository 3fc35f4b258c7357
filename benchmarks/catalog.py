"""What the catalog costs beside the least it could cost.

Usage: python -m benchmarks.catalog [--placements 1000000] [--tensors 300] [--rounds 7]

A base with that many invented placements (and as many tensors, in commits of 1,000 in one line) is
made beside a small real store. Then commits of some hundred tensors each are followed: the time of
a sync is shown beside that of copying the tail's file, durably. 1,000 digests, half of them known,
are looked up: beside reading all digests once. Times are medians of the rounds, on warm files.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from deltastore.catalog.batches import insert
from deltastore.catalog.catalog import Catalog
from deltastore.catalog.compacting import write_base
from deltastore.catalog.connecting import (
    LARGE_BLOCKS,
    Resources,
    ask,
    attach,
    attach_writable,
    connect,
    create,
    create_views,
    read_meta,
    seed_tail,
    write_meta,
)
from deltastore.catalog.digests import hex_digests
from deltastore.catalog.generations import Generations
from deltastore.ids import Digest, bytes_digest
from tests.unit.catalog.worlds import World, tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deltastore.catalog.connecting import Connection
    from deltastore.catalog.digests import Columns

PER_COMMIT = 1000


def invented(count: int, seed: int, prefix: str = "k") -> Columns:
    """Columns of random digests."""
    draw = np.random.default_rng(seed)
    return {f"{prefix}{i}": draw.integers(0, 2**64, count, dtype=np.uint64) for i in range(4)}


def fill(connection: Connection, count: int) -> None:
    """Invented commits in one line, and what they consist of, into the tail."""
    commits = max(1, count // PER_COMMIT)
    meta = read_meta(connection, "tail")
    numbers = np.arange(commits, dtype=np.uint32) + meta.next_n
    packs = np.arange(commits, dtype=np.uint32) + meta.next_p
    owner = np.arange(count, dtype=np.uint32) // PER_COMMIT
    n, p = numbers[owner.clip(max=commits - 1)], packs[owner.clip(max=commits - 1)]
    ids, digests = invented(commits, 1), invented(count, 2)
    names = np.array([f"model.layers.{i}.weight" for i in range(PER_COMMIT)], dtype=np.object_)
    size, none = np.full(count, 4096, np.uint64), np.zeros(count, np.uint32)
    text = np.full(commits, "text", np.object_)
    facts = {"author": text, "time": text, "message": text, "producer": text}
    insert(connection, "commits", {"n": numbers, **ids, **facts, "bytes": size[:commits]})
    links: Columns = {name: words[:-1] for name, words in ids.items()}
    role = np.full(commits - 1, "parent", np.object_)
    insert(
        connection, "links", {"n": numbers[1:], "role": role, "position": none[1:commits], **links}
    )
    manifests = np.full(commits, "manifest", np.object_)
    insert(connection, "documents", {"n": numbers, "role": manifests, **invented(commits, 3)})
    insert(connection, "reached", {"n": numbers})
    insert(connection, "packs", {"p": packs, **invented(commits, 4), "bytes": size[:commits]})
    fidelity = np.full(count, 1, np.uint8)
    insert(
        connection,
        "tensors",
        {"n": n, "file": none, "fidelity": fidelity, "name": np.resize(names, count), **digests},
    )
    codec = np.full(count, "exact/1", np.object_)
    rest = {"p": p, "bytes": size, "raw_bytes": size, "start": size, "codec": codec}
    insert(connection, "placements", {**digests, "kind": fidelity, **rest})
    inputs = {f"i{i}": np.roll(digests[f"k{i}"], PER_COMMIT)[PER_COMMIT:] for i in range(4)}
    taken = {name: words[PER_COMMIT:] for name, words in digests.items()}
    if count > PER_COMMIT:
        insert(connection, "inputs", {**taken, "p": p[PER_COMMIT:], **inputs})
    ref = {"name": "models/me/big/heads/main", "kind": "branch", "model": "me/big", "ref": "main"}
    texts = {name: np.array([value], np.object_) for name, value in ref.items()}
    insert(connection, "refs", {**texts, **{name: words[-1:] for name, words in ids.items()}})
    next_n, next_p = meta.next_n + commits, meta.next_p + commits
    write_meta(connection, "tail", replace(meta, next_n=next_n, next_p=next_p))


def grow(generations: Generations, count: int) -> float:
    """Replace the base by one with invented rows; seconds that writing it sorted took."""
    (base,) = [each.path for each in generations.candidates()]
    staged, made = generations.temporary(), generations.temporary()
    with closing(connect(Resources("4GB", 2), generations.spill())) as connection:
        attach(connection, base, "base")
        attach_writable(connection, staged, "tail", blocks=LARGE_BLOCKS)
        create(connection, "tail")
        seed_tail(connection)
        create_views(connection)
        fill(connection, count)
        began = time.perf_counter()
        write_base(connection, made)
        took = time.perf_counter() - began
    staged.unlink()
    made.replace(base)
    return took


def timed(rounds: int, action: Callable[[], object]) -> float:
    """Median of the seconds an action takes."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return median(times)


def copied(path: Path) -> None:
    """What replacing a tail costs at least: a durable copy."""
    target = path.with_name("copy.tmp")
    shutil.copyfile(path, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    target.replace(path.with_name("copy"))


def synced(world: World, catalog: Catalog, tensors: int, rounds: int) -> float:
    """Median of the seconds in which a commit of that many new tensors is followed."""
    times = []
    for turn in range(rounds):
        world.commit({f"t{i}": tensor((turn, i)) for i in range(tensors)})
        began = time.perf_counter()
        catalog.sync(world.log, world.history, within_commit=True)
        times.append(time.perf_counter() - began)
    return median(times)


def scan(connection: Connection) -> None:
    """Read every digest once."""
    ask(connection, "SELECT bit_xor(k0), bit_xor(k1), bit_xor(k2), bit_xor(k3) FROM tensors")


def show(what: str, seconds: float, beside: str, least: float) -> None:
    """One line of the table."""
    print(
        f"{what:<36} {seconds * 1e3:9.1f} ms   {beside:<28} {least * 1e3:8.1f} ms   "
        f"{seconds / least:6.1f}x"
    )


def wanted(count: int) -> list[Digest]:
    """1,000 digests, half of them in the catalog."""
    every = max(1, count // 500)
    known = {name: words[::every][:500] for name, words in invented(count, 2).items()}
    return [*map(Digest, hex_digests(known)), *(bytes_digest(b"%d" % i) for i in range(500))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--placements", type=int, default=1_000_000)
    parser.add_argument("--tensors", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="deltastore-catalog-") as folder:
        measure(Path(folder), chosen.placements, chosen.tensors, chosen.rounds)
    return 0


def measure(folder: Path, count: int, tensors: int, rounds: int) -> None:
    """Make the catalog, measure, print."""
    world = World()
    world.commit({"a": tensor("a")})
    store_id, url = world.log.form.store_id, world.backend.url
    generations = Generations(folder, store_id, url)
    with Catalog(folder, store_id, url) as catalog:
        catalog.sync(world.log, world.history)
    sorting = grow(generations, count)
    base = generations.candidates()[0].path
    print(f"{count:,} placements: base of {base.stat().st_size / 1e6:.0f} MB")
    with Catalog(folder, store_id, url) as catalog:
        opening = timed(1, lambda: catalog.sync(world.log, world.history))
        opened = catalog._keeper.opened
        assert opened is not None
        connection, digests = opened.connection, wanted(count)
        assert len(catalog.holders(digests)) == min(500, count)
        whole = timed(rounds, lambda: scan(connection))
        show("1,000 look-ups", timed(rounds, lambda: catalog.holders(digests)), "full scan", whole)
        show("one look-up", timed(rounds, lambda: catalog.holders(digests[:1])), "full scan", whole)
        show("stats", timed(3, catalog.stats), "full scan", whole)
        show("garbage", timed(3, catalog.garbage), "full scan", whole)
        commit = catalog.commits_of("me/x")[0].commit
        show("own bytes", timed(3, lambda: catalog.own_bytes(commit)), "full scan", whole)
        following = synced(world, catalog, tensors, rounds)
        tail = generations.candidates()[0].path
        least = timed(rounds, lambda: copied(tail))
        size = tail.stat().st_size / 1e6
        show(f"sync of a commit of {tensors}", following, f"copy of a {size:.1f} MB tail", least)
    show("open", opening, "full scan", whole)
    show("write a base, sorted", sorting, "copy of the base", timed(3, lambda: copied(base)))


if __name__ == "__main__":
    sys.exit(main())
