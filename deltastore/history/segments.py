"""Segments: summaries of aligned stretches of the log (format-v1, section 8). Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltastore.errors import CorruptError
from deltastore.history.entry_encoding import absent_document
from deltastore.history.segment_rows import PackRows, parse_commits, parse_packs, parse_refs
from deltastore.history.state import LogState, RefState
from deltastore.ids import canonical_json
from deltastore.storage.records import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deltastore.history.entries import Entry
    from deltastore.ids import CommitId, Digest
    from deltastore.storage.records import PackId

__all__ = ["RADIX", "STATE_KINDS", "Segment", "merge", "state_of", "stretches", "summarize"]

RADIX = 64
LEVELS = (RADIX, RADIX**2, RADIX**3)
STATE_KINDS = (Kind.SEGMENT_REFS, Kind.SEGMENT_COMMITS, Kind.SEGMENT_PACKS)
"""The sections that make up a state; the log itself is only read for a reflog, or to verify."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A summary of the entries `first` to `last`, both included.

    Attributes:
        first: a multiple of its length.
        last: first + 64, 4,096 or 262,144, less one.
        log: head and body lines of every entry, verbatim, each with its line feed.
        refs: the last move of every ref that moved.
        commits: the newest meta pack of every commit that was written.
        packs: what happened to packs and content.
    """

    first: int
    last: int
    log: bytes
    refs: Mapping[str, RefState]
    commits: Mapping[CommitId, PackId]
    packs: PackRows

    def sections(self) -> dict[Kind, bytes]:
        """What is stored, one section for each kind."""
        return {
            Kind.SEGMENT_REFS: canonical_json([_ref_row(*item) for item in self._sorted_refs()]),
            Kind.SEGMENT_COMMITS: b"".join(
                bytes.fromhex(commit + self.commits[commit]) for commit in sorted(self.commits)
            ),
            Kind.SEGMENT_PACKS: _encode_packs(self.packs),
            Kind.SEGMENT_LOG: self.log,
        }

    @classmethod
    def of(cls, first: int, last: int, sections: Mapping[Kind, bytes]) -> Segment:
        """The segment in stored sections; the log may be left out.

        Raises:
            CorruptError: a row that breaks the format.
        """
        return cls(
            first=first,
            last=last,
            log=sections.get(Kind.SEGMENT_LOG, b""),
            refs=parse_refs(sections[Kind.SEGMENT_REFS]),
            commits=parse_commits(sections[Kind.SEGMENT_COMMITS]),
            packs=parse_packs(sections[Kind.SEGMENT_PACKS]),
        )

    def _sorted_refs(self) -> list[tuple[str, RefState]]:
        return sorted(self.refs.items())


def stretches(first: int, last: int) -> list[tuple[int, int]]:
    """Cut entries `first` to `last` into as few aligned stretches as possible.

    `first` and `last` + 1 must be multiples of 64; both ends are included.
    """
    found = []
    while first <= last:
        size = max(each for each in LEVELS if first % each == 0 and first + each - 1 <= last)
        found.append((first, first + size - 1))
        first += size
    return found


def summarize(entries: Sequence[Entry]) -> Segment:
    """The segment of consecutive entries.

    Raises:
        CorruptError: one of them is redacted.
    """
    refs: dict[str, RefState] = {}
    commits: dict[CommitId, PackId] = {}
    packs = PackRows({}, {}, {})
    for entry in entries:
        if entry.body is None:
            raise CorruptError(f"log entry {entry.v} is redacted and no checkpoint covers it")
        _add_packs(packs, dict.fromkeys(entry.body.add, entry.v))
        _condemn_packs(packs, dict.fromkeys(entry.body.condemn, entry.v))
        packs.absent.update((absent.manifest, absent) for absent in entry.body.absent)
        for txn in entry.body.txns:
            commits |= dict.fromkeys(txn.commits, txn.meta) if txn.meta else {}
            for move in txn.refs:
                last = move.new or move.old
                if last is not None:
                    refs[move.name] = RefState(move.new, entry.v, last)
    log = b"".join(b"%s\n%s\n" % (entry.head_line, entry.body_line) for entry in entries)
    return Segment(entries[0].v, entries[-1].v, log, refs, commits, packs)


def merge(segments: Sequence[Segment]) -> Segment:
    """One segment for several consecutive ones, oldest first; the newest row wins."""
    refs: dict[str, RefState] = {}
    commits: dict[CommitId, PackId] = {}
    packs = PackRows({}, {}, {})
    for segment in segments:
        refs.update(segment.refs)
        commits.update(segment.commits)
        _add_packs(packs, segment.packs.add)
        _condemn_packs(packs, segment.packs.condemn)
        packs.absent.update(segment.packs.absent)
    log = b"".join(segment.log for segment in segments)
    return Segment(segments[0].first, segments[-1].last, log, refs, commits, packs)


def _add_packs(packs: PackRows, add: Mapping[PackId, int]) -> None:
    packs.add.update(add)


def _condemn_packs(packs: PackRows, condemn: Mapping[PackId, int]) -> None:
    for pack, v in condemn.items():
        packs.add.pop(pack, None)
        packs.condemn.setdefault(pack, v)


def _ref_row(name: str, ref: RefState) -> list[Any]:
    row = [name, ref.commit, ref.v]
    return row if ref.commit is not None else [*row, ref.last]


def _encode_packs(packs: PackRows) -> bytes:
    return canonical_json(
        {
            "add": [[pack, v] for pack, v in packs.add.items()],
            "condemn": [[pack, v] for pack, v in packs.condemn.items()],
            "absent": [absent_document(absent) for absent in packs.absent.values()],
        }
    )


def state_of(segments: Sequence[Segment], store_id: str, head_hash: Digest) -> LogState:
    """The state after the last of all segments from entry 0 on.

    Flags and checkpoint are those of later heads, and left empty here.
    """
    whole = merge(segments)
    return LogState(
        v=whole.last,
        head_hash=head_hash,
        store_id=store_id,
        refs=whole.refs,
        live=whole.packs.add,
        condemned=whole.packs.condemn,
        commits=whole.commits,
        absent=whole.packs.absent,
    )
