"""Checking a store: the log, every byte of every pack, and that every version can be rebuilt.

Nothing is changed. Damage is collected, not raised: one bad pack must not hide the next.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.errors import (
    CorruptError,
    IntegrityError,
    InvalidError,
    MissingObjectError,
    UnsupportedError,
)
from deltastore.history.invariant import resolvable
from deltastore.history.reachability import owed_by, reachable, representations_of
from deltastore.ids import short
from deltastore.results import Finding, Fsck

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deltastore.history.manifests import ManifestFile
    from deltastore.history.state import LogState
    from deltastore.ids import CommitId, Digest
    from deltastore.materialize.session import Session
    from deltastore.materialize.tensors import TensorReader, Wanted
    from deltastore.materialize.versions import Version
    from deltastore.progress import Progress
    from deltastore.storage.records import PackId, Placement

__all__ = ["Scope", "fsck"]


@dataclass(frozen=True, slots=True)
class Scope:
    """What to check. That everything owed can be found is checked always.

    Attributes:
        log: the chain of entries and the state they add up to.
        packs: every byte of every live pack; of those that `commits` need where some are given.
        tensors: rebuild every tensor and file.
        commits: only these versions; all reachable ones when empty.
    """

    log: bool = True
    packs: bool = True
    tensors: bool = False
    commits: tuple[CommitId, ...] = ()


def fsck(session: Session, scope: Scope, report: Progress) -> Fsck:
    """Check a store. Without a log that can be read nothing else is known, so that is all then.

    Raises:
        StorageError: the backend failed, which says nothing about the store.
        NewerFormatError: the store needs a newer deltastore.
    """
    check = _Check(session, report)
    state = check.log(replay=scope.log)
    if state is not None:
        commits = scope.commits or tuple(check.reachable(state))
        if scope.packs:
            check.packs(check.packs_of(commits, state) if scope.commits else sorted(state.live))
        check.connectivity(state, commits)
        if scope.tensors:
            check.tensors(commits)
    findings = tuple(check.findings)
    return Fsck(not findings, dict(check.checked), findings)


@dataclass(frozen=True, slots=True)
class _Index:
    """A pack's index, reduced to hashes: a store may have millions of sections."""

    placements: frozenset[int]
    size: int

    @classmethod
    def of(cls, placements: Sequence[Placement]) -> _Index:
        size = sum(placement.record.length for placement in placements)
        return cls(frozenset(map(hash, placements)), size)


class _Check:
    """What was checked so far, and what was found."""

    def __init__(self, session: Session, report: Progress) -> None:
        self.session = session
        self.report = report
        self.checked: Counter[str] = Counter()
        self.findings: list[Finding] = []
        self._rebuilt: set[Digest] = set()
        self._indexes: dict[PackId, _Index | None] = {}
        self._owed_bytes = self._rebuilt_bytes = 0

    @contextmanager
    def _finding(self, what: str) -> Iterator[None]:
        """Turn what is wrong with the store, met inside, into a finding about `what`."""
        try:
            yield
        except (IntegrityError, UnsupportedError, InvalidError) as damage:
            self.findings.append(Finding(damage.kind, what, str(damage)))

    def log(self, *, replay: bool) -> LogState | None:
        """The state at the tip, None if it cannot be told; a replay believes no checkpoint."""
        state: LogState | None = None
        with self._finding("log"):
            state = self.session.log.refresh()
            if replay:
                replayed = self.session.log.replay()
                self.checked["log entries"] += replayed.v + 1
                if _differs(state, replayed):
                    raise CorruptError("the newest checkpoint is not what the entries add up to")
        return state

    def packs_of(self, commits: Sequence[CommitId], state: LogState) -> list[PackId]:
        """The live packs that some versions are described and kept in."""
        found = {state.commits[commit] for commit in commits if commit in state.commits}
        for commit in commits:
            with self._finding(f"commit {commit}"):
                found.update(each.pack for each in self.session.history.locator(commit))
        return sorted(found.intersection(state.live))

    def packs(self, packs: Sequence[PackId]) -> None:
        """Read packs whole: header, index, directories, payloads."""
        indexes = {pack: index for pack in packs if (index := self._index(pack))}
        done, total = 0, sum(index.size for index in indexes.values())
        for pack, index in indexes.items():
            with self._finding(f"pack {pack}"):
                self._pack(pack)
            done += index.size
            self.report("fsck packs", done, total)

    def _pack(self, pack: PackId) -> None:
        for placement in self.session.packs.index(pack):
            for _ in self.session.packs.payloads(placement):
                self.checked["blocks"] += 1
            self.checked["sections"] += 1
        self.checked["packs"] += 1

    def _index(self, pack: PackId) -> _Index | None:
        """What a pack says it holds; None, and one finding, if that cannot be read."""
        if pack not in self._indexes:
            self._indexes[pack] = None
            with self._finding(f"pack {pack}"):
                self._indexes[pack] = _Index.of(self.session.packs.index(pack))
        return self._indexes[pack]

    def reachable(self, state: LogState) -> list[CommitId]:
        """Every commit that refs keep; those behind a damaged header cannot be known."""
        found: set[CommitId] = set()
        for root in sorted(state.roots()):
            with self._finding(f"commit {root}"):
                found |= reachable([root], self.session.history.header, stop=found)
        return sorted(found)

    def connectivity(self, state: LogState, commits: Sequence[CommitId]) -> None:
        """Everything owed must be resolvable in live packs (format-v1, section 9)."""
        for commit in commits:
            with self._finding(f"commit {commit}"):
                self._owed(state, commit)
            with self._finding(f"commit {commit}"):
                self._located(state, commit)
            self.checked["commits"] += 1

    def _owed(self, state: LogState, commit: CommitId) -> None:
        history = self.session.history
        if state.commits.get(commit) not in state.live:
            raise MissingObjectError("its header and manifests are in no live pack")
        self._owed_bytes += history.manifest(commit, history.header(commit).manifest).size
        owed = owed_by([commit], state, history)
        missing = owed - resolvable(representations_of([commit], history), state.live)
        self.checked["digests"] += len(owed) - len(missing)
        if missing:
            raise MissingObjectError(
                f"{len(missing)} digests that it owes cannot be rebuilt from live packs, inputs "
                f"included; the first is {min(missing)}"
            )

    def _located(self, state: LogState, commit: CommitId) -> None:
        """What the locator says of live packs must be what their indexes say."""
        for placement in self.session.history.locator(commit):
            index = self._index(placement.pack) if placement.pack in state.live else None
            if index is not None and hash(placement) not in index.placements:
                raise CorruptError(
                    f"its locator has digest {placement.record.digest} in pack {placement.pack}, "
                    "whose index says otherwise"
                )

    def tensors(self, commits: Sequence[CommitId]) -> None:
        """Rebuild every tensor once, and every file of every version."""
        for commit in commits:
            with self._finding(f"commit {commit}"):
                self._version(self.session.version(commit))

    def _version(self, version: Version) -> None:
        reader = self.session.reader(version)
        for file in version.manifest.files:
            with self._finding(f"commit {short(version.commit)}, file {file.path}"):
                self._file(version, file, reader)
            self._rebuilt_bytes += file.size
            self.report("fsck tensors", self._rebuilt_bytes, self._owed_bytes)
        previews = {tensor.digest: tensor for f in version.preview_weights for tensor in f.tensors}
        for digest, tensor in previews.items():
            with self._finding(f"preview tensor {digest}"):
                self._rebuild(reader, tensor.wanted)

    def _file(self, version: Version, file: ManifestFile, reader: TensorReader) -> None:
        """A file's SHA-256 over what is rebuilt; that of each tensor is checked on the way."""
        sha256 = hashlib.sha256()
        if file.blob is not None:
            for chunk in version.blob(file.blob):
                sha256.update(chunk)
        else:
            weights = version.weights_file(file.path)
            sha256.update(weights.header.raw)
            for content in reader.read_many(tensor.wanted for tensor in weights.tensors):
                sha256.update(content.data)
                self.checked["tensors"] += 1
            self._rebuilt.update(tensor.digest for tensor in weights.tensors)
        if sha256.hexdigest() != file.sha256:
            raise CorruptError(f"{file.path}: SHA-256 is {sha256.hexdigest()}, not {file.sha256}")
        self.checked["files"] += 1

    def _rebuild(self, reader: TensorReader, wanted: Wanted) -> None:
        if wanted.digest not in self._rebuilt:
            reader.read(wanted.digest, wanted.spec)
            self._rebuilt.add(wanted.digest)
            self.checked["tensors"] += 1


def _differs(state: LogState, replayed: LogState) -> bool:
    """Whether two states at one entry disagree on anything that a reader acts on."""
    if state.v != replayed.v:
        return state.v > replayed.v
    standing = [{n: r.commit for n, r in s.refs.items() if r.commit} for s in (state, replayed)]
    return (
        standing[0] != standing[1]
        or set(state.live) != set(replayed.live)
        or set(state.condemned) != set(replayed.condemned)
        or dict(state.commits) != dict(replayed.commits)
    )
