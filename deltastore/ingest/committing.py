"""Weights to a commit: the packs, the meta pack, and the log entry that makes it visible.

Order, and what a crash in each gap leaves: docs/reference/format-v1.md, section 1.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltastore.errors import ConflictError, IncompatibleError, UsageError
from deltastore.history.commits import CommitHeader, PreviewRef
from deltastore.history.entries import Draft, RefMove, Transaction, new_token
from deltastore.history.invariant import Relied, recheck
from deltastore.history.meta_packs import MetaVersion, write_meta
from deltastore.history.reachability import prove_reachable
from deltastore.history.refs import branch_ref
from deltastore.history.views import RefNames
from deltastore.ids import bytes_digest, short
from deltastore.ingest.encoding import TensorEncoder
from deltastore.ingest.known import KnownVersion, KnownVersions, Proposals
from deltastore.ingest.writing import VersionWriter
from deltastore.storage.keys import pack_key
from deltastore.storage.packs import publish
from deltastore.storage.spool import PackSpool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from deltastore.checkpoints.source import TensorSource
    from deltastore.history.entries import Entry
    from deltastore.history.state import LogState
    from deltastore.ids import CommitId, Digest
    from deltastore.ingest.written import WrittenVersion
    from deltastore.materialize.session import Session
    from deltastore.storage.records import PackId

__all__ = ["Committed", "Request", "commit"]

ATTEMPTS = 3
"""How often everything is written again because what it relied on was condemned meanwhile."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller wants committed.

    Attributes:
        model: `namespace/name`.
        branch: of the model.
        message: for people.
        author: for people.
        time: RFC 3339, UTC.
        producer: program and version.
        base: what it was fine-tuned from; None with `inherit` for the parent's.
        inherit: take the base of the parent.
        parent: of a branch that does not exist yet.
        expect: where the branch must stand: a commit, an empty text for nowhere, None for anywhere.
        density: of the preview, as decimal text; None for no preview.
        metadata: free text by name.
        metrics: decimal text by name.
        find: a commit that has a tensor of some digest, or None; a proposal, proven later.
    """

    model: str
    branch: str
    message: str
    author: str
    time: str
    producer: str
    base: CommitId | None = None
    inherit: bool = True
    parent: CommitId | None = None
    expect: str | None = None
    density: str | None = "0.05"
    metadata: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    find: Callable[[Digest], CommitId | None] = lambda _digest: None


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of a request.

    Attributes:
        commit: its id; of the tip when nothing changed.
        header: as recorded.
        written: what was written; None when nothing changed.
        logical_bytes: of all files.
        stored_bytes: of every object this made.
        preview_bytes: of preview packs.
        new_model: the model did not exist.
        new_branch: the branch did not exist.
        moved: the branch moved while this was being written.
    """

    commit: CommitId
    header: CommitHeader
    written: WrittenVersion | None
    logical_bytes: int
    stored_bytes: int = 0
    preview_bytes: int = 0
    new_model: bool = False
    new_branch: bool = False
    moved: bool = False


class _Stale(Exception):  # noqa: N818 - a signal between two functions of this file, no error
    """Something relied on was condemned: look everything up again."""


def commit(
    session: Session,
    request: Request,
    source: TensorSource,
    spool_folder: Path,
    *,
    report: Callable[[int], None],
) -> Committed:
    """Store a version and move a branch to it.

    Raises:
        ConflictError: the branch is not where `expect` says; nothing was recorded.
        IncompatibleError: no tensor of the source is in the base.
        InvalidError: the source changed while it was read.
        NoSpaceError: disk or bucket is full; nothing was recorded.
        OutcomeUnknownError: the backend stopped answering while the entry was being written.
    """
    for _ in range(ATTEMPTS):
        try:
            return _Commit(session, request).run(source, spool_folder, report)
        except _Stale:
            continue
    raise ConflictError(
        "what this commit relies on was collected as garbage, again and again; nothing was "
        "recorded",
        hint="run the same command again",
    )


class _Commit:
    """One attempt at a request."""

    def __init__(self, session: Session, request: Request) -> None:
        self.session = session
        self.request = request
        self.ref = branch_ref(request.model, request.branch)
        self.state = session.log.refresh()
        self.tip = self.state.ref(self.ref)
        self._check_expected(self.tip)
        if self.tip and request.parent not in (None, self.tip):
            raise UsageError(
                f"{request.model}@{request.branch} exists, so its tip {short(self.tip)} is the "
                "parent",
                hint="--parent is for a new branch; --expect says where a branch must stand",
            )
        self.parent = self.tip or request.parent
        self.base = self._base()
        self.known = self._known()
        self.stored = 0
        self.mine: set[PackId] = set()
        self.meta: tuple[CommitId | None, PackId, CommitId, CommitHeader] | None = None

    def run(self, source: TensorSource, folder: Path, report: Callable[[int], None]) -> Committed:
        self._check_base_fits(source)
        encoder = TensorEncoder(self.session.workers, self.request.density or "0.05")
        with PackSpool(folder, self.request.producer) as spool:
            writer = VersionWriter(
                spool,
                encoder,
                self.known,
                preview=self.request.density is not None,
                report=report,
            )
            written = writer.write(source)
            unchanged = self._unchanged(written)
            if unchanged is not None:
                return unchanged
            self._publish(written)
            return self._record(written, folder)

    # before writing

    def _base(self) -> CommitId | None:
        request = self.request
        if not request.inherit or request.base is not None:
            return request.base
        return self.session.history.header(self.parent).base if self.parent else None

    def _known(self) -> KnownVersions:
        parent = self.parent if self.parent != self.base else None
        return KnownVersions(
            base=self._open(self.base) if self.base else None,
            parent=self._open(parent) if parent else None,
            proposals=Proposals(self.request.find, self._open),
        )

    def _open(self, commit: CommitId) -> KnownVersion:
        version = self.session.version(commit)
        return KnownVersion(version, self.session.reader(version))

    def _check_base_fits(self, source: TensorSource) -> None:
        """A base that was asked for, and of which nothing matches, is a mistake."""
        base, name = self.known.base, self.request.base
        specs = [
            entry.spec for file in source.files() if file.header for entry in file.header.tensors
        ]
        if base is None or name is None or not specs:
            return
        if not any(base.matches(spec) for spec in specs):
            known = (*RefNames(self.state).of(name), short(name))[0]
            raise IncompatibleError(
                f"no tensor here has the name, dtype and shape of one in {known}, the base; "
                "nothing was recorded",
                hint="name the version this was trained from, or say --base none",
            )

    def _unchanged(self, written: WrittenVersion) -> Committed | None:
        if self.tip is None:
            return None
        header = self.session.history.header(self.tip)
        digest = bytes_digest(written.manifest.encode())
        if header.manifest != digest or header.base != self.base:
            return None
        return Committed(self.tip, header, None, written.manifest.size)

    # writing

    def _publish(self, written: WrittenVersion) -> None:
        for pack in written.packs:
            self.stored += publish(self.session.backend, pack)
            self.mine.add(pack.pack)

    def _record(self, written: WrittenVersion, folder: Path) -> Committed:
        packs = {placement.pack for placement in written.placements}
        relied = Relied(packs=frozenset(packs - self.mine))
        txn = new_token()

        def compose(state: LogState) -> Draft:
            tip = state.ref(self.ref)
            if tip != self.tip:
                self._check_expected(tip)
            if recheck(state, relied):
                raise _Stale
            for older in (self.base, self.request.parent):
                if older is not None:
                    prove_reachable(state, older, self.session.history)
            made = self._meta_pack(tip, written, folder)
            move = RefMove(self.ref, tip, made[2])
            request = self.request
            transaction = Transaction(
                txn=txn,
                op="commit",
                actor=request.author,
                time=request.time,
                message=request.message[:200],
                refs=(move,),
                commits=(made[2],),
                meta=made[1],
            )
            add = (*(pack.pack for pack in written.packs), made[1])
            return Draft((transaction,), add=add)

        entry = self.session.log.append(compose)
        return self._committed(entry, written)

    def _meta_pack(
        self, tip: CommitId | None, written: WrittenVersion, folder: Path
    ) -> tuple[CommitId | None, PackId, CommitId, CommitHeader]:
        """Header, manifests and locator for this parent, published; made again only if it moved."""
        if self.meta is not None and self.meta[0] == tip:
            return self.meta
        parent = tip or self.request.parent
        header = self._header(parent, written)
        version = MetaVersion(header, written.manifest, written.preview, written.placements)
        pack, (commit,) = write_meta([version], folder, writer=self.request.producer)
        self.stored += publish(self.session.backend, pack)
        self.mine.add(pack.pack)
        self.meta = (tip, pack.pack, commit, header)
        return self.meta

    def _header(self, parent: CommitId | None, written: WrittenVersion) -> CommitHeader:
        request = self.request
        preview = None
        if written.preview is not None:
            error = f"{written.preview_error or 0.0:.6f}"
            preview = PreviewRef(bytes_digest(written.preview.encode()), "ternary/1", error)
        return CommitHeader(
            parents=(parent,) if parent else (),
            manifest=bytes_digest(written.manifest.encode()),
            base=self.base,
            inputs=(),
            preview=preview,
            author=request.author,
            time=request.time,
            message=request.message,
            recipe=None,
            metadata=request.metadata,
            metrics=request.metrics,
            producer=request.producer,
        )

    # afterwards

    def _committed(self, entry: Entry, written: WrittenVersion) -> Committed:
        if self.meta is None or entry.body is None:
            raise ConflictError("the entry that was written cannot be read back")
        for pack in entry.body.add:
            if pack not in self.mine:  # a checkpoint of the log, or a spilled list
                self.stored += self.session.backend.size(pack_key(pack))
        tip, _, commit, header = self.meta
        known = f"models/{self.request.model}/"
        return Committed(
            commit=commit,
            header=header,
            written=written,
            logical_bytes=written.manifest.size,
            stored_bytes=self.stored + len(entry.data),
            preview_bytes=sum(p.size for p in written.packs if p.pack_class == "preview"),
            new_model=not any(
                ref.commit for name, ref in self.state.refs.items() if name.startswith(known)
            ),
            new_branch=tip is None,
            moved=tip != self.tip,
        )

    def _check_expected(self, tip: CommitId | None) -> None:
        expect = self.request.expect
        if expect is None or expect == (tip or ""):
            return
        name = f"{self.request.model}@{self.request.branch}"
        began = f"expected at {short(expect)}" if expect else "expected not to exist"
        now = f"it is at {short(tip)}" if tip else "it does not exist"
        raise ConflictError(
            f"{name} moved: {began}, {now}; nothing was recorded",
            hint="log shows what came; commit without --expect to build on it, or beside it: "
            f"--to {name}-2",
        )
