"""What it takes to get a version from a store far away: requests and bytes, against the promises.

Usage: python -m benchmarks.distant [--mib 64] [--moves 40] [--delay 0.03]

moto's S3 server in a process of its own, behind a proxy that lets every request wait. A base and
two fine-tunes are committed, and some refs moved. Then each command runs as a new process: `show`
with an empty cache, `checkout` of the first fine-tune with an empty cache, of the second one, of
the second one again, and of the first one without any cache. Requests are those that passed the
proxy.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import deltastore
from benchmarks.proofs.checkpoints import Synthetic, write_checkpoint
from benchmarks.proofs.delaying import delayed
from benchmarks.proofs.programs import INSTALLED, run
from benchmarks.proofs.servers import moto_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.proofs.delaying import Delays

MIB = 1 << 20
OPENING = 1
"""Requests that open a store, before any operation counts its own."""

SHOW_REQUESTS = 12
CHECKOUT_REQUESTS = 40
BYTES_PER_REQUEST = 8 * MIB
SLACK = 1.05
"""What may be fetched over what is stored: log entries, headers of packs, gaps between sections."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store was given, in bytes: the base and two fine-tunes of it."""

    base: int
    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Step:
    """One command, what it took, and what it may take.

    Attributes:
        title: for people.
        requests: that passed the proxy.
        most_requests: promised.
        fetched: bytes, as the command says; None where it does not.
        most_fetched: promised.
        seconds: from its start to its end.
        fault: what went wrong otherwise.
    """

    title: str
    requests: int
    most_requests: int
    fetched: int | None
    most_fetched: int | None
    seconds: float
    fault: str = ""

    @property
    def missed(self) -> bool:
        """Whether a promise was broken."""
        over = self.most_fetched is not None and (self.fetched or 0) > self.most_fetched
        return bool(self.fault) or over or self.requests > self.most_requests


@dataclass(frozen=True, slots=True)
class Distance:
    """A store, the proxy before it, and where things go."""

    url: str
    delays: Delays
    folder: Path

    def step(
        self, title: str, arguments: Sequence[str], cache: str, *, size: str = "20GB"
    ) -> tuple[dict[str, Any], Step]:
        """Run one command as a new process; what it said, and a step without any limit."""
        before = self.delays.requests
        ran = run(
            [*INSTALLED, "-s", self.url, "--json", *arguments],
            extra={
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.delays.port}",
                "AWS_ACCESS_KEY_ID": "test-key",
                "AWS_SECRET_ACCESS_KEY": "test-secret",
                "AWS_DEFAULT_REGION": "eu-west-1",
                "DELTASTORE_CACHE": str(self.folder / cache),
                "DELTASTORE_CACHE_SIZE": size,
            },
        )
        requests = self.delays.requests - before
        found = ran.result or {}
        fault = "" if ran.code == 0 else f"exit {ran.code}: {ran.err}"
        told = found.get("requests", requests - OPENING)
        if not fault and told + OPENING != requests:
            fault = f"{told} requests told, {requests} made"
        fetched = found.get("fetched_bytes")
        return found, Step(title, requests, sys.maxsize, fetched, None, ran.seconds, fault)


@contextmanager
def distance(mib: int, moves: int, delay: float) -> Iterator[tuple[Distance, Stored]]:
    """A server with a store of a base and two fine-tunes, seen from afar."""
    with tempfile.TemporaryDirectory() as name, moto_store() as (url, options):
        folder = Path(name)
        stored = _filled(url, options, folder, _family(mib), moves)
        port = urlsplit(options["client_kwargs"]["endpoint_url"]).port or 0
        with delayed(port, delay) as delays:
            yield Distance(url, delays, folder), stored


def _family(mib: int) -> Synthetic:
    """Two shards of eight matrices each."""
    return Synthetic(shards=2, tensors=8, rows=32 * mib, columns=1024)


def _filled(
    url: str, options: dict[str, Any], folder: Path, family: Synthetic, moves: int
) -> Stored:
    sizes = []
    with deltastore.init(url, cache=folder / "writer", **options) as store:
        for variant, name in enumerate(("base", "first", "second")):
            write_checkpoint(folder / name, family, variant=variant)
            base = "me/base" if variant else None
            done = store.commit(folder / name, to=f"me/{name}", base=base, message=name)
            sizes.append(done.stored_bytes)
        for turn in range(moves):
            store.branch("me/base@moving", "me/first" if turn % 2 else "me/base", force=True)
    return Stored(*sizes)


def measured(far: Distance, stored: Stored) -> list[Step]:
    """All commands, in order."""
    first, second = stored.base + stored.first, stored.second
    _, show = far.step("show, empty cache", ["show", "me/first"], "other")
    return [
        replace(show, most_requests=SHOW_REQUESTS),
        _checkout(far, "first fine-tune, empty cache", "first", "cache", most=first),
        _checkout(far, "second fine-tune, base in the cache", "second", "cache", most=second),
        _checkout(far, "second fine-tune again, all in the cache", "second", "cache", most=MIB),
        _checkout(far, "first fine-tune, no cache", "first", "cache", most=first, size="0"),
    ]


def _checkout(
    far: Distance, title: str, name: str, cache: str, *, most: int, size: str = "20GB"
) -> Step:
    with tempfile.TemporaryDirectory(dir=far.folder) as target:
        arguments = ["checkout", f"me/{name}", str(Path(target) / "out")]
        found, step = far.step(title, arguments, cache, size=size)
        same = not step.fault and _same(far.folder / name, Path(target) / "out")
    if not step.fault and not (same and found["verified"]):
        step = replace(step, fault="the files are not what was committed")
    most_requests = CHECKOUT_REQUESTS + (step.fetched or 0) // BYTES_PER_REQUEST
    return replace(step, most_requests=most_requests, most_fetched=int(SLACK * most))


def _same(a: Path, b: Path) -> bool:
    names = {path.name for path in a.iterdir()}
    others = {path.name for path in b.iterdir()}
    return names == others and all((a / n).read_bytes() == (b / n).read_bytes() for n in names)


def table(steps: Sequence[Step]) -> str:
    """What was measured, in Markdown."""
    lines = [
        "| | requests | at most | fetched, MiB | at most | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for step in steps:
        fetched = "" if step.fetched is None else f"{step.fetched / MIB:.2f}"
        most = "" if step.most_fetched is None else f"{step.most_fetched / MIB:.2f}"
        lines.append(
            f"| {step.title} | {step.requests} | {step.most_requests} | {fetched} | {most} "
            f"| {step.seconds:.2f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """The program; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--mib", type=int, default=64)
    parser.add_argument("--moves", type=int, default=40)
    parser.add_argument("--delay", type=float, default=0.03)
    options = parser.parse_args(arguments)
    with distance(options.mib, options.moves, options.delay) as (far, stored):
        print(
            f"base {stored.base / MIB:.1f} MiB, fine-tunes {stored.first / MIB:.1f} and "
            f"{stored.second / MIB:.1f} MiB stored; {options.delay * 1000:.0f} ms per request",
            flush=True,
        )
        steps = measured(far, stored)
    print(table(steps))
    for step in steps:
        if step.fault:
            print(f"FAULT: {step.title}: {step.fault}")
    missed = any(step.missed for step in steps)
    print("NOT AS PROMISED" if missed else "as promised")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
