"""A store judged from outside: what its files say, read without the library, and then by fsck.

The first part shares no code with what it judges: log entries are JSON lines, a pack is named after
the hash of its first 4,096 bytes (docs/reference/format-v1.md, sections 4 and 6).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blake3 import blake3

import deltastore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Census", "broken_tensors", "census", "findings", "leftovers"]

HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Census:
    """What is in a store's folder.

    Attributes:
        entries: of the log.
        commits: in the order of the log.
        moves: per entry that moves one, the ref, its old and its new commit.
        named: packs that entries add.
        present: packs on disk, each under the name its bytes give.
    """

    entries: int
    commits: tuple[str, ...]
    moves: tuple[tuple[str, str | None, str | None], ...]
    named: frozenset[str]
    present: frozenset[str]

    @property
    def dangling(self) -> frozenset[str]:
        """Packs that an entry names and that are not there: what must never be."""
        return self.named - self.present

    @property
    def orphans(self) -> frozenset[str]:
        """Packs that no entry names: harmless."""
        return self.present - self.named


def census(store: Path) -> Census:
    """Read a store's folder.

    Raises:
        ValueError: the chain of the log is broken, or a pack has another name than its bytes give.
    """
    bodies = list(_bodies(store))
    txns = [txn for body in bodies for txn in body["txns"]]
    return Census(
        entries=len(bodies),
        commits=tuple(commit for txn in txns for commit in txn["commits"]),
        moves=tuple((m["name"], m["old"], m["new"]) for txn in txns for m in txn["refs"]),
        named=frozenset(pack for body in bodies for pack in body["add"]),
        present=frozenset(_packs(store)),
    )


def _bodies(store: Path) -> Sequence[dict[str, Any]]:
    """The bodies of all entries, in order, each checked against its head and that against the last.

    Raises:
        ValueError: a link of the chain does not hold.
    """
    names = sorted(file.name for file in (store / "log").iterdir() if file.name.isdigit())
    if names != [f"{v:020}" for v in range(len(names))]:
        raise ValueError(f"the log has a hole: {names}")
    before, bodies = None, []
    for v, name in enumerate(names):
        head, body, check, rest = (store / "log" / name).read_bytes().split(b"\n")
        found = json.loads(head)
        if (found["v"], found["prev"], rest) != (v, before, b""):
            raise ValueError(f"entry {v} does not continue the chain")
        before = blake3(head).hexdigest()
        if check.decode() != before or found["body"] != blake3(body).hexdigest():
            raise ValueError(f"entry {v} is not what its hashes say")
        bodies.append(json.loads(body))
    return bodies


def _packs(store: Path) -> Sequence[str]:
    found = []
    for file in (store / "packs").glob("??/*.safetensors"):
        if file.name.startswith("."):
            continue
        with file.open("rb") as opened:
            name = blake3(opened.read(HEAD_BYTES)).hexdigest()
        if (file.parent.name, file.stem) != (name[:2], name):
            raise ValueError(f"{file}: its first bytes say {name}")
        found.append(name)
    return found


def leftovers(*folders: Path) -> list[Path]:
    """Temporary files: of stores (`tmp/`, names with a dot) and of checkouts."""
    return [
        file
        for folder in folders
        for file in folder.rglob("*")
        if file.is_file() and (file.parent.name == "tmp" or file.name.startswith("."))
    ]


def findings(store: Path) -> tuple[str, ...]:
    """What fsck has to say of the log, of every byte of every pack, and of what is owed."""
    with deltastore.open(store) as opened:
        return tuple(f"{f.kind} {f.object}: {f.detail}" for f in opened.fsck().findings)


def broken_tensors(store: Path, commits: Sequence[str] = ()) -> tuple[str, ...]:
    """What fsck has to say of every tensor and file of some versions; of all when empty."""
    with deltastore.open(store) as opened:
        found = opened.fsck(log=False, packs=False, tensors=True, revisions=commits)
        return tuple(f"{f.kind} {f.object}: {f.detail}" for f in found.findings)
