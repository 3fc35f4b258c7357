"""The base of a new version: the one that is named, the parent's, or the nearest one there is."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from deltastore.errors import IntegrityError, UnsupportedError
from deltastore.ingest.detecting import find_bases, likeness
from deltastore.ingest.known import KnownVersion
from deltastore.ingest.pairing import paired
from deltastore.ingest.sampling import SampledSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deltastore.checkpoints.source import TensorSource
    from deltastore.ids import CommitId
    from deltastore.ingest.detecting import Likeness
    from deltastore.ingest.matching import Place
    from deltastore.ingest.pairing import Counterpart
    from deltastore.ingest.requests import Request
    from deltastore.materialize.session import Session

LOGGER = logging.getLogger("deltastore")

__all__ = ["Based", "choose_base", "open_known", "pairs_by_content"]

OLDER = 1000
"""Commits behind a branch's tip that are not taken for its base."""

TOO_DEEP = 0.5
"""Share of matched tensors too far from a keyframe above which the next best version is taken."""


@dataclass(frozen=True, slots=True)
class Based:
    """The base of a new version.

    Attributes:
        commit: the base, or None.
        found: how close it is, if it was looked for; also where it turned out to be a copy.
        pairs: what stands for tensors of the new version where names do not tell.
    """

    commit: CommitId | None = None
    found: Likeness | None = None
    pairs: Mapping[Place, Counterpart] = field(default_factory=dict)

    def opened(self, session: Session) -> KnownVersion | None:
        """The base as something to build on, if there is one."""
        if self.commit is None:
            return None
        known = open_known(session, self.commit, self.pairs)
        return replace(known, proposed=self.found is not None)


def open_known(
    session: Session, commit: CommitId, pairs: Mapping[Place, Counterpart] | None = None
) -> KnownVersion:
    """A commit as something to build on."""
    version = session.version(commit)
    return KnownVersion(version, session.reader(version), pairs or {})


def choose_base(
    session: Session, request: Request, parent: CommitId | None, source: TensorSource
) -> Based:
    """The base of a request.

    Args:
        session: of the store.
        request: names the base, or says that it is to be looked for.
        parent: what the new commit follows.
        source: the new version.

    Raises:
        DeltastoreError: the base or the catalog cannot be read.
    """
    base = request.base
    if base is None and request.inherit and parent is not None:
        base = session.history.header(parent).base
    if base is not None:
        return Based(base, pairs=_pairs_with(session, request, base, source))
    if not request.inherit or (parent is not None and not request.look):
        return Based()
    return _nearest(session, request, parent, source)


def _nearest(
    session: Session, request: Request, parent: CommitId | None, source: TensorSource
) -> Based:
    """The nearest stored version that deltas may be taken against."""
    index = request.index(look=request.look)
    if index is None:
        LOGGER.warning(
            "no base was looked for: the catalog is far behind; --base auto waits for it"
        )
        return Based()
    sampled = SampledSource.of(source.files())
    if not sampled.samples:
        return Based()
    own = set(_behind(session, parent)) if parent else set()
    for found in find_bases(sampled, index, without=own):
        with suppress(IntegrityError, UnsupportedError):  # damage in a proposal fails nothing
            based = _based_on(session, request, source, sampled, found)
            if based is not None:
                return based
    return Based()


def _based_on(
    session: Session,
    request: Request,
    source: TensorSource,
    sampled: SampledSource,
    found: Likeness,
) -> Based | None:
    """A version that was found as a base; None if most of it is too far from a keyframe."""
    known = open_known(session, found.commit)
    older = known.version.header.base
    if found.same and older is not None:  # a copy is based on what the original is based on
        return Based(older, found, _pairs_with(session, request, older, source))
    pairs = pairs_by_content(known, sampled, found)
    return Based(found.commit, found, pairs) if _usable(known, found) else None


def _behind(session: Session, tip: CommitId) -> Iterator[CommitId]:
    """A tip and its first parents."""
    commit: CommitId | None = tip
    for _ in range(OLDER):
        if commit is None:
            return
        yield commit
        parents = session.history.header(commit).parents
        commit = parents[0] if parents else None


def _pairs_with(
    session: Session, request: Request, base: CommitId, source: TensorSource
) -> dict[Place, Counterpart]:
    """Counterparts in a base that was named, where names and shapes leave some out.

    Where one matrix is transposed, square ones may be, of which shapes say nothing.
    """
    known = open_known(session, base)
    found = [
        known.counterpart(file.path, entry.spec)
        for file in source.files()
        for entry in (file.header.tensors if file.header else ())
    ]
    if all(each is not None and not each.source.transposed for each in found):
        return {}
    index = request.index(look=request.look)
    sampled = SampledSource.of(source.files()) if index is not None else SampledSource()
    if index is None or not sampled.samples:
        return {}
    return pairs_by_content(known, sampled, likeness(sampled, base, index.sketches([base])))


def pairs_by_content(
    known: KnownVersion, sampled: SampledSource, found: Likeness
) -> dict[Place, Counterpart]:
    """Matches that names alone would not give."""
    pairs = {}
    for place, match in found.matches.items():
        tensor = known.version.counterpart(*match.place)
        if tensor is None or (not match.turned and tensor == known.version.counterpart(*place)):
            continue
        pair = paired(tensor, sampled.specs[place], transposed=match.turned)
        if pair is not None:
            pairs[place] = pair
    return pairs


def _usable(known: KnownVersion, found: Likeness) -> bool:
    """Whether most of the matched tensors may still be referred to."""
    tensors = (known.version.counterpart(*match.place) for match in found.matches.values())
    deep = [known.too_deep(tensor.digest) for tensor in tensors if tensor is not None]
    return bool(deep) and sum(deep) <= TOO_DEEP * len(deep)
