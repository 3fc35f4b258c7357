"""Checking a store: the log, every byte of every pack, and that every version can be rebuilt.

Nothing is changed. Damage is collected, not raised: one bad pack must not hide the next.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.errors import CorruptError, IntegrityError
from deltastore.history.reachability import owed_by, reachable, representations_of
from deltastore.history.representations import by_digest
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

__all__ = ["Scope", "fsck"]


@dataclass(frozen=True, slots=True)
class Scope:
    """What to check.

    Attributes:
        log: the chain of entries and the state they add up to.
        packs: every byte of every live pack.
        tensors: rebuild every tensor and file.
        commits: only these versions; all reachable ones when empty.
    """

    log: bool = True
    packs: bool = True
    tensors: bool = False
    commits: tuple[CommitId, ...] = ()


def fsck(session: Session, scope: Scope, report: Progress) -> Fsck:
    """Check a store.

    Raises:
        StorageError: the backend failed, which says nothing about the store.
        NewerFormatError: the store needs a newer deltastore.
    """
    check = _Check(session, report)
    state = check.log() if scope.log else session.log.refresh()
    if scope.packs and not scope.commits:
        check.packs(state)
    commits = scope.commits or tuple(check.reachable(state))
    check.connectivity(state, commits)
    if scope.tensors:
        check.tensors(commits)
    findings = tuple(check.findings)
    return Fsck(not findings, dict(check.checked), findings)


class _Check:
    """What was checked so far, and what was found."""

    def __init__(self, session: Session, report: Progress) -> None:
        self.session = session
        self.report = report
        self.checked: Counter[str] = Counter()
        self.findings: list[Finding] = []
        self._rebuilt: set[Digest] = set()

    @contextmanager
    def _finding(self, what: str) -> Iterator[None]:
        """Turn damage met inside into a finding about `what`."""
        try:
            yield
        except IntegrityError as damage:
            self.findings.append(Finding(damage.kind, what, str(damage)))

    def log(self) -> LogState:
        """Replay every entry from the first one, believing no checkpoint."""
        log = self.session.log
        state = log.refresh()
        with self._finding("log"):
            replayed = log.replay()
            self.checked["log entries"] += replayed.v + 1
            if _differs(state, replayed):
                raise CorruptError("the newest checkpoint is not what the entries add up to")
        return state

    def packs(self, state: LogState) -> None:
        """Read every live pack whole: header, index, directories, payloads."""
        for done, pack in enumerate(sorted(state.live), 1):
            with self._finding(f"pack {pack}"):
                for placement in self.session.packs.index(pack):
                    for _ in self.session.packs.payloads(placement):
                        self.checked["blocks"] += 1
                    self.checked["sections"] += 1
                self.checked["packs"] += 1
            self.report("fsck packs", done, len(state.live))

    def reachable(self, state: LogState) -> list[CommitId]:
        """Every commit that refs keep; those behind a damaged header cannot be known."""
        found: set[CommitId] = set()
        for root in sorted(state.roots()):
            with self._finding(f"commit {root}"):
                found |= reachable([root], self.session.history.header, stop=found)
        return sorted(found)

    def connectivity(self, state: LogState, commits: Sequence[CommitId]) -> None:
        """Everything owed must be in live packs, inputs included (format-v1, section 9)."""
        history = self.session.history
        for commit in commits:
            with self._finding(f"commit {commit}"):
                known = by_digest(representations_of([commit], history))
                for digest in owed_by([commit], state, history):
                    if not any(each.covering(state.live) for each in known.get(digest, ())):
                        raise CorruptError(f"digest {digest} is in no live pack it should be in")
                    self.checked["digests"] += 1
            self.checked["commits"] += 1

    def tensors(self, commits: Sequence[CommitId]) -> None:
        """Rebuild every tensor once, and every file of every version."""
        for done, commit in enumerate(commits, 1):
            with self._finding(f"commit {commit}"):
                self._version(self.session.version(commit))
            self.report("fsck tensors", done, len(commits))

    def _version(self, version: Version) -> None:
        reader = self.session.reader(version)
        for file in version.manifest.files:
            with self._finding(f"commit {short(version.commit)}, file {file.path}"):
                self._file(version, file, reader)
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
