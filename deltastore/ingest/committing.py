"""Weights to a commit: the packs, the meta pack, and the log entry that makes it visible.

Order, and what a crash in each gap leaves: docs/reference/format-v1.md, section 1.2.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from deltastore.checkpoints.finding import is_adapter
from deltastore.errors import ConflictError, IncompatibleError, StorageError, UsageError
from deltastore.history.commits import CommitHeader, PreviewRef
from deltastore.history.entries import Draft, RefMove, Transaction, new_token
from deltastore.history.invariant import Relied, recheck
from deltastore.history.meta_packs import MetaVersion, write_meta
from deltastore.history.reachability import prove_reachable
from deltastore.history.refs import branch_ref
from deltastore.history.views import RefNames
from deltastore.ids import bytes_digest, short
from deltastore.ingest.basing import Based, choose_base, open_known
from deltastore.ingest.encoding import TensorEncoder
from deltastore.ingest.known import KnownVersions, Proposals
from deltastore.ingest.requests import Committed
from deltastore.ingest.writing import VersionWriter
from deltastore.ingest.written import prove_whole
from deltastore.storage.keys import pack_key
from deltastore.storage.packs import publish
from deltastore.storage.spool import PackSpool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deltastore.checkpoints.source import TensorSource
    from deltastore.history.entries import Entry
    from deltastore.history.manifests import Manifest
    from deltastore.history.state import LogState
    from deltastore.ids import CommitId, Digest
    from deltastore.ingest.requests import Request
    from deltastore.ingest.written import WrittenVersion
    from deltastore.materialize.session import Session
    from deltastore.storage.packing import SpooledPack
    from deltastore.storage.records import PackId

__all__ = ["commit", "recommit"]

ATTEMPTS = 3
"""How often everything is written again because what it relied on was condemned meanwhile."""


class _Stale(Exception):  # noqa: N818 - a signal between two functions of this file, no error
    """What was decided does not hold any more: look everything up again."""


class _NothingNew(Exception):  # noqa: N818 - likewise
    """Another writer has committed the same files meanwhile."""

    def __init__(self, commit: CommitId) -> None:
        super().__init__(commit)
        self.commit = commit


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
    return _insist(lambda: _Commit(session, request).run(source, spool_folder, report))


def recommit(
    session: Session,
    request: Request,
    stored: Callable[[], WrittenVersion],
    spool_folder: Path,
) -> Committed:
    """Move a branch to a new commit of a version that the store has; no weights are read.

    Args:
        session: of the store.
        request: what is recorded; its `expect` keeps the version reachable meanwhile.
        stored: the version, looked up anew for every attempt.
        spool_folder: for the meta pack.

    Raises:
        ConflictError, OutcomeUnknownError: as `commit`.
    """
    return _insist(lambda: _Commit(session, request).run_stored(stored(), spool_folder))


def _insist(attempt: Callable[[], Committed]) -> Committed:
    for _ in range(ATTEMPTS):
        try:
            return attempt()
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
        self.maybe_mine = self._maybe_mine()
        if not self.maybe_mine:
            self._check_place(self.tip)
        self.parent = self.tip or request.parent
        self.based = Based()
        self.based = Based(self._base(self.parent))
        self._check_header()
        self.stored = 0
        self.mine: set[PackId] = set()
        self.meta: tuple[CommitId | None, PackId, CommitId, CommitHeader] | None = None

    def run(self, source: TensorSource, folder: Path, report: Callable[[int], None]) -> Committed:
        self.based = choose_base(self.session, self.request, self.parent, source)
        self.known = self._known()
        self._check_base_fits(source)
        self.session.log.check_writer()
        encoder = TensorEncoder(self.session.workers, self.request.density or "0.05")
        with PackSpool(folder, self.request.producer) as spool:
            writer = VersionWriter(
                spool,
                encoder,
                self.known,
                density=self.request.density,
                publish=self._publish,
                report=report,
            )
            written = writer.write(source, lambda manifest: self._is_at(self.tip, manifest))
            if written is None and self.tip is not None:
                return self._nothing_new(self.tip)
            if self.maybe_mine or written is None:
                raise self._moved(self.tip)
            try:
                return self._record(written, folder)
            except _NothingNew as found:
                return self._nothing_new(found.commit)

    def run_stored(self, written: WrittenVersion, folder: Path) -> Committed:
        self.session.log.check_writer()
        if self.tip is not None and self._is_at(self.tip, written.manifest):
            return self._nothing_new(self.tip)
        try:
            return self._record(written, folder)
        except _NothingNew as found:
            return self._nothing_new(found.commit)

    # before writing

    @property
    def base(self) -> CommitId | None:
        """What the new version was fine-tuned from."""
        return self.based.commit

    def _base(self, parent: CommitId | None) -> CommitId | None:
        """The base that a commit after another parent would have."""
        request = self.request
        if not request.inherit or request.base is not None:
            return request.base
        inherited = self.session.history.header(parent).base if parent else None
        return inherited or (self.base if self.based.found else None)

    def _maybe_mine(self) -> bool:
        """Whether the tip looks like this very request, of which the acknowledgement was lost.

        Then the branch is not where `expect` says, and only the content can tell.
        """
        tip, expect = self.tip, self.request.expect
        if expect is None or tip is None or expect == tip:
            return False
        header = self.session.history.header(tip)
        parent = header.parents[0] if header.parents else ""
        same = (header.message, header.author) == (self.request.message, self.request.author)
        return same and parent == expect

    def _check_header(self) -> None:
        """Refuse what no header can hold before anything is read or written.

        Raises:
            InvalidError: message, metadata and metrics are larger than 64 KiB together.
        """
        nothing = bytes_digest(b"")
        preview = PreviewRef(nothing, "ternary/1", "0.000000")
        self._header_of(self.parent, nothing, preview).encode()

    def _known(self) -> KnownVersions:
        parent = self.parent if self.parent != self.base else None
        open_ = partial(open_known, self.session)
        proposals = Proposals(self.request.find, open_)
        proposals.opened += map(open_, self.request.reuse)
        return KnownVersions(
            base=self.based.opened(self.session),
            parent=open_known(self.session, parent) if parent else None,
            proposals=proposals,
        )

    def _check_base_fits(self, source: TensorSource) -> None:
        """A base that was asked for and of which nothing matches is a mistake; not of adapters."""
        base, name = self.known.base, self.request.base
        specs = [
            (file.path, entry.spec)
            for file in source.files()
            if file.header
            for entry in file.header.tensors
        ]
        if base is None or name is None or not specs or is_adapter(f.path for f in source.files()):
            return
        if not any(base.counterpart(*where) for where in specs):
            known = (*RefNames(self.state).of(name), short(name))[0]
            raise IncompatibleError(
                f"no tensor here has the name, dtype and shape of one in {known}, the base; "
                "nothing was recorded",
                hint="name the version this was trained from, or say --base none",
            )

    def _is_at(self, tip: CommitId | None, manifest: Manifest) -> bool:
        """Whether a commit has these very files, and the base if one was named, or none."""
        if tip is None:
            return False
        header, request = self.session.history.header(tip), self.request
        named = request.base is not None or not request.inherit
        same_base = not named or header.base == request.base
        return same_base and header.manifest == bytes_digest(manifest.encode())

    def _nothing_new(self, tip: CommitId) -> Committed:
        header = self.session.history.header(tip)
        size = self.session.history.manifest(tip, header.manifest).size
        return Committed(tip, header, None, size, stored_bytes=self.stored, found=self.based.found)

    # writing

    def _publish(self, pack: SpooledPack) -> None:
        self.stored += publish(self.session.backend, pack)
        self.mine.add(pack.pack)

    def _record(self, written: WrittenVersion, folder: Path) -> Committed:
        packs = {placement.pack for placement in written.placements}
        relied = Relied(packs=frozenset(packs - self.mine))
        prove_whole(written)
        txn = new_token()

        def compose(state: LogState) -> Draft:
            tip = state.ref(self.ref)
            self._check_race(tip, written)
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
                op=request.op,
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

    def _check_race(self, tip: CommitId | None, written: WrittenVersion) -> None:
        """What was decided for one tip must hold for the one that is there by now."""
        if tip == self.tip:
            return
        self._check_place(tip)
        if tip is None:
            raise ConflictError(
                f"{self._name()} was deleted meanwhile; nothing was recorded",
                hint="run the same command again to make it anew",
            )
        if self._is_at(tip, written.manifest):
            raise _NothingNew(tip)
        if self._base(tip) != self.base:
            raise _Stale

    def _meta_pack(
        self, tip: CommitId | None, written: WrittenVersion, folder: Path
    ) -> tuple[CommitId | None, PackId, CommitId, CommitHeader]:
        """Header, manifests and locator for this parent, published; made again only if it moved."""
        if self.meta is not None and self.meta[0] == tip:
            return self.meta
        parent = tip or self.request.parent
        header = self._header(parent, written)
        version = MetaVersion(
            header, written.manifest, written.preview, written.placements, written.sketches
        )
        pack, (commit,) = write_meta([version], folder, writer=self.request.producer)
        self.stored += publish(self.session.backend, pack)
        self.mine.add(pack.pack)
        self.meta = (tip, pack.pack, commit, header)
        return self.meta

    def _header(self, parent: CommitId | None, written: WrittenVersion) -> CommitHeader:
        preview = None
        if written.preview is not None:
            error = f"{written.preview_error or 0.0:.6f}"
            preview = PreviewRef(bytes_digest(written.preview.encode()), "ternary/1", error)
        return self._header_of(parent, bytes_digest(written.manifest.encode()), preview)

    def _header_of(
        self, parent: CommitId | None, manifest: Digest, preview: PreviewRef | None
    ) -> CommitHeader:
        request = self.request
        return CommitHeader(
            parents=(parent,) if parent else (),
            manifest=manifest,
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
                with suppress(StorageError):  # the commit is done, whatever the count
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
            found=self.based.found,
        )

    def _check_place(self, tip: CommitId | None) -> None:
        """Whether the branch is where the caller said."""
        if self.request.expect not in (None, tip or ""):
            raise self._moved(tip)
        if tip and self.request.parent not in (None, tip):
            raise UsageError(
                f"{self._name()} exists, so its tip {short(tip)} is the parent",
                hint="--parent is for a new branch; --expect says where a branch must stand",
            )

    def _moved(self, tip: CommitId | None) -> ConflictError:
        expect = self.request.expect
        began = f"expected at {short(expect)}" if expect else "expected not to exist"
        now = f"it is at {short(tip)}" if tip else "it does not exist"
        return ConflictError(
            f"{self._name()} moved: {began}, {now}; nothing was recorded",
            hint="log shows what came; commit without --expect to build on it, or beside it: "
            f"--to {self._name()}-2",
        )

    def _name(self) -> str:
        return f"{self.request.model}@{self.request.branch}"
