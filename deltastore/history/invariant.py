"""The one promise of a store: what it owes can be rebuilt (format-v1, section 9).

*Resolvable* is a least fixpoint, so two deltas that name each other as their base resolve nothing.
Everything here is a pure function of log state and representations; the catalog has no say in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.errors import ConflictError, IncompatibleError, MissingObjectError
from deltastore.history.representations import by_digest

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Mapping

    from deltastore.history.manifests import Manifest
    from deltastore.history.representations import PlacedRepresentation
    from deltastore.history.state import LogState
    from deltastore.ids import Digest
    from deltastore.storage.records import PackId

__all__ = [
    "MAX_DEPTH",
    "Relied",
    "closure",
    "depths",
    "owed",
    "prove",
    "prove_condemnation",
    "recheck",
    "relied_on",
    "resolvable",
]

MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Relied:
    """What a writer that stores nothing new for some digests depends on.

    Attributes:
        digests: those it reuses, with everything they are rebuilt from.
        packs: where all of that is.
    """

    digests: frozenset[Digest] = frozenset()
    packs: frozenset[PackId] = frozenset()

    def __or__(self, other: Relied) -> Relied:
        return Relied(self.digests | other.digests, self.packs | other.packs)


def depths(
    representations: Iterable[PlacedRepresentation],
    live: Container[PackId],
    *,
    vouched: Collection[Digest] = (),
) -> dict[Digest, int]:
    """How many steps each resolvable digest is from one that is kept whole.

    A digest is in the result iff a representation of it has all blocks in live packs and all its
    inputs in the result, within 8 steps: the least fixpoint.

    Args:
        representations: all that are known.
        live: packs whose sections count.
        vouched: digests known to be resolvable for another reason; depth 0 unless a representation
            says more.
    """
    usable = [each for each in representations if each.covering(live) is not None]
    found = _fixpoint(usable, {})
    seeds = {digest: 0 for digest in vouched if digest not in found}
    return _fixpoint(usable, found | seeds) if seeds else found


def _fixpoint(usable: list[PlacedRepresentation], found: dict[Digest, int]) -> dict[Digest, int]:
    while True:
        better: dict[Digest, int] = {}
        for each in usable:
            if all(digest in found for digest in each.inputs):
                depth = max((found[digest] + 1 for digest in each.inputs), default=0)
                if depth < min(
                    found.get(each.digest, MAX_DEPTH + 1), better.get(each.digest, depth + 1)
                ):
                    better[each.digest] = depth
        if not better:
            return found
        found = found | better


def resolvable(
    representations: Iterable[PlacedRepresentation],
    live: Container[PackId],
    *,
    vouched: Collection[Digest] = (),
) -> frozenset[Digest]:
    """Every digest that can be rebuilt from live packs; see `depths`."""
    return frozenset(depths(representations, live, vouched=vouched))


def owed(
    manifests: Iterable[tuple[Digest, Manifest]],
    absent: Container[Digest],
    *,
    recipes: Iterable[Digest] = (),
) -> frozenset[Digest]:
    """The digests that must stay resolvable.

    Args:
        manifests: digest and content of the manifests of all reachable commits, previews included.
        absent: manifests whose content is not owed.
        recipes: blobs that reachable commit headers name.
    """
    digests = set(recipes)
    for digest, manifest in manifests:
        if digest not in absent:
            digests.update(manifest.digests())
    return frozenset(digests)


def prove(
    needed: Iterable[Digest],
    representations: Iterable[PlacedRepresentation],
    live: Container[PackId],
    *,
    vouched: Collection[Digest] = (),
    condemned: Container[PackId] = frozenset(),
) -> None:
    """Show that all of `needed` can be rebuilt from live packs.

    Args:
        needed: digests about to be owed.
        representations: with everything they are rebuilt from.
        live: packs live in the entry before, and the entry's own.
        vouched: digests owed in the entry before, which the invariant vouches for.
        condemned: packs that died, to tell a lost race from a missing object.

    Raises:
        ConflictError: a digest was resolvable until a pack was condemned: look it up again.
        IncompatibleError: a digest is more than 8 steps from one that is kept whole.
        MissingObjectError: nothing live holds a digest.
    """
    known = tuple(representations)
    found = depths(known, live, vouched=vouched)
    missing = sorted(digest for digest in set(needed) if digest not in found)
    if missing:
        raise _refusal(missing, known, live, condemned, vouched)


def prove_condemnation(
    owed_digests: Iterable[Digest],
    representations: Iterable[PlacedRepresentation],
    live: Collection[PackId],
    condemn: Collection[PackId],
) -> None:
    """Show that everything owed can be rebuilt without the packs about to be condemned.

    Args:
        owed_digests: owed in the entry before.
        representations: of everything owed, complete: what is not listed does not exist.
        live: packs live in the entry before, and the entry's own.
        condemn: packs the entry is to condemn.

    Raises:
        ConflictError: something owed could not be rebuilt any more; the entry must not be written.
    """
    left = frozenset(live).difference(condemn)
    missing = frozenset(owed_digests) - resolvable(representations, left)
    if missing:
        raise ConflictError(
            f"{len(missing)} digests that are owed need the packs to be condemned, the first is "
            f"{min(missing)}",
            hint="somebody else changed the store meanwhile; plan again",
        )


def closure(
    digests: Iterable[Digest],
    representations: Iterable[PlacedRepresentation],
    live: Container[PackId],
) -> Mapping[Digest, PlacedRepresentation]:
    """One representation for each digest and for everything it is rebuilt from, the least deep.

    Raises:
        MissingObjectError: one of them cannot be rebuilt from live packs.
    """
    known = tuple(representations)
    steps = depths(known, live)
    table = by_digest(known)
    chosen: dict[Digest, PlacedRepresentation] = {}
    pending = list(digests)
    while pending:
        digest = pending.pop()
        if digest in chosen:
            continue
        if digest not in steps:
            raise MissingObjectError(f"digest {digest} cannot be rebuilt from live packs")
        chosen[digest] = _least_deep(table[digest], steps, live)
        pending.extend(chosen[digest].inputs)
    return chosen


def relied_on(
    digests: Iterable[Digest],
    representations: Iterable[PlacedRepresentation],
    live: Container[PackId],
) -> Relied:
    """The closure of some digests, and all packs it is in.

    Raises:
        MissingObjectError: one of them cannot be rebuilt from live packs.
    """
    chosen = closure(digests, representations, live)
    packs = (pack for each in chosen.values() for pack in each.covering(live) or ())
    return Relied(frozenset(chosen), frozenset(packs))


def recheck(state: LogState, relied: Relied) -> frozenset[PackId]:
    """Packs a writer relied on that are not live any more; empty when nothing happened.

    A writer that gets some back looks the digests up again: another representation may be left,
    else it stores them itself. To be called in `compose`, after every lost race.
    """
    return frozenset(pack for pack in relied.packs if pack not in state.live)


def _least_deep(
    candidates: Iterable[PlacedRepresentation],
    steps: Mapping[Digest, int],
    live: Container[PackId],
) -> PlacedRepresentation:
    usable = [
        each
        for each in candidates
        if each.covering(live) is not None and all(digest in steps for digest in each.inputs)
    ]
    return min(
        usable, key=lambda each: max((steps[digest] + 1 for digest in each.inputs), default=0)
    )


def _refusal(
    missing: list[Digest],
    known: tuple[PlacedRepresentation, ...],
    live: Container[PackId],
    condemned: Container[PackId],
    vouched: Collection[Digest],
) -> ConflictError | IncompatibleError | MissingObjectError:
    first = f"{len(missing)} digests cannot be rebuilt, the first is {missing[0]}"
    packs = {section.pack for each in known for section in each.sections}
    died = sorted(pack for pack in packs if pack in condemned)
    if died and missing[0] in depths(known, packs, vouched=vouched):
        return ConflictError(
            f"{first}: pack {died[0]} was condemned meanwhile",
            hint="run the same command again; what is gone will be stored anew",
        )
    if _unbounded(known, live, vouched) >= set(missing):
        return IncompatibleError(f"{first}: it is more than {MAX_DEPTH} steps from a whole tensor")
    return MissingObjectError(f"{first}: no live pack holds it", hint="deltastore fsck")


def _unbounded(
    known: tuple[PlacedRepresentation, ...], live: Container[PackId], vouched: Collection[Digest]
) -> frozenset[Digest]:
    """What would be resolvable if depth did not count."""
    usable = [each for each in known if each.covering(live) is not None]
    found = set(vouched)
    while True:
        more = {each.digest for each in usable if found.issuperset(each.inputs)} - found
        if not more:
            return frozenset(found)
        found |= more
