from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from deltastore.errors import ConflictError, IncompatibleError, MissingObjectError
from deltastore.history.invariant import (
    MAX_DEPTH,
    Relied,
    closure,
    depths,
    owed,
    prove,
    prove_condemnation,
    recheck,
    relied_on,
    resolvable,
)
from deltastore.history.representations import PlacedRepresentation, PlacedSection, placed
from deltastore.history.state import LogState
from tests.unit.history.samples import digest, pack
from tests.unit.history.versions import Fixture, version

if TYPE_CHECKING:
    from deltastore.ids import Digest

X, Y, B = digest("x"), digest("y"), digest("b")
P, Q, R = pack("p"), pack("q"), pack("r")


def kept(name: Digest, where: str, *inputs: Digest) -> PlacedRepresentation:
    return PlacedRepresentation(name, inputs, 1, (PlacedSection(pack(where), 0, 1),))


def test_what_is_whole_in_a_live_pack_is_resolvable() -> None:
    assert resolvable([kept(X, "p")], {P}) == {X}
    assert resolvable([kept(X, "p")], {Q}) == frozenset()
    assert resolvable([], {P}) == frozenset()


def test_a_delta_needs_its_base_in_a_live_pack() -> None:
    known = [kept(X, "p", B), kept(B, "q")]
    assert resolvable(known, {P, Q}) == {X, B}
    assert resolvable(known, {P}) == frozenset()
    assert resolvable(known, {Q}) == {B}


def test_a_cycle_resolves_nothing() -> None:
    assert resolvable([kept(X, "p", Y), kept(Y, "p", X)], {P}) == frozenset()
    assert resolvable([kept(X, "p", X)], {P}) == frozenset()
    assert resolvable([kept(X, "p", Y), kept(Y, "p", X), kept(Y, "q")], {P, Q}) == {X, Y}


def test_depth_is_the_least_there_is_and_at_most_8() -> None:
    names = [digest(f"d{n}") for n in range(12)]
    chain = [kept(names[0], "p")] + [kept(name, "p", before) for before, name in pairwise(names)]
    assert depths(chain, {P}) == {name: depth for depth, name in enumerate(names[: MAX_DEPTH + 1])}
    assert depths([*reversed(chain), kept(names[5], "q")], {P, Q}) == {
        name: depth if depth < 5 else depth - 5 for depth, name in enumerate(names)
    }


def test_what_is_vouched_for_counts_whatever_is_known_about_it() -> None:
    assert resolvable([kept(X, "p", B)], {P}, vouched=[B]) == {X, B}
    stale = [kept(X, "p", B), kept(B, "gone")]
    assert depths(stale, {P}, vouched=[B]) == {X: 1, B: 0}
    deep = [kept(X, "p", B), kept(B, "p", Y), kept(Y, "p")]
    assert depths(deep, {P}, vouched=[B]) == {X: 2, B: 1, Y: 0}
    half = [kept(X, "p", B), kept(B, "p", Y)]
    assert depths(half, {P}, vouched=[B]) == {X: 1, B: 0}


def test_all_blocks_must_be_covered_by_live_packs() -> None:
    sections = (
        PlacedSection(P, 0, 2),
        PlacedSection(Q, 2, 3),
        PlacedSection(R, 1, 4),
    )
    thing = PlacedRepresentation(X, (), 5, sections)
    assert thing.covering({P, Q}) == (P, Q)
    assert thing.covering({P, R}) == (P, R)
    assert thing.covering({P}) is None
    assert thing.covering({Q, R}) is None
    assert set(thing.covering({P, Q, R}) or ()) >= {P, R}
    empty = PlacedRepresentation(X, (), 0, (PlacedSection(P, 0, 0),))
    assert empty.covering({P}) == (P,)
    assert empty.covering({Q}) is None
    assert PlacedRepresentation(X, (), 0, ()).covering({P}) is None


def test_owed_leaves_out_what_is_absent_and_counts_recipes() -> None:
    pairs = [(digest("m1"), version(["a", "b"])), (digest("m2"), version(["b", "c"]))]
    assert owed(pairs, ()) == {digest(name) for name in "abc"}
    assert owed(pairs, {digest("m2")}, recipes=[X]) == {digest("a"), digest("b"), X}


def test_a_proof_succeeds_or_says_why_not() -> None:
    known = [kept(X, "p", B), kept(B, "q")]
    prove([X], known, {P, Q})
    prove([], [], set())
    prove([B], [], set(), vouched=[B])
    with pytest.raises(ConflictError, match="condemned meanwhile"):
        prove([X], known, {P}, condemned={Q})
    with pytest.raises(MissingObjectError, match="no live pack"):
        prove([X], known, {P})
    with pytest.raises(MissingObjectError, match=str(Y)):
        prove([Y], known, {P, Q}, condemned={R})
    names = [digest(f"d{n}") for n in range(11)]
    deep = [kept(names[0], "p")]
    deep += [kept(n, "p", m) for m, n in pairwise(names)]
    prove(names[:9], deep, {P})
    with pytest.raises(IncompatibleError, match="8 steps"):
        prove(names, deep, {P})


def test_a_condemnation_must_leave_everything_owed_resolvable() -> None:
    known = [kept(X, "p", B), kept(B, "q"), kept(X, "r")]
    prove_condemnation([X], known, {P, Q, R}, [R])
    prove_condemnation([X], known, {P, Q, R}, [P, Q])
    with pytest.raises(ConflictError, match="are owed"):
        prove_condemnation([X], known, {P, Q, R}, [Q, R])
    with pytest.raises(ConflictError):
        prove_condemnation([X, B], known, {P, Q, R}, [Q])


def test_a_closure_takes_the_least_deep_way() -> None:
    known = [kept(X, "p", Y), kept(Y, "p", B), kept(B, "q"), kept(X, "r", B)]
    chosen = closure([X], known, {P, Q, R})
    assert set(chosen) == {X, B}
    assert chosen[X].inputs == (B,)
    assert set(closure([X], known, {P, Q})) == {X, Y, B}
    with pytest.raises(MissingObjectError):
        closure([X], known, {P, R})


def test_relied_packs_are_checked_again() -> None:
    known = [kept(X, "p", B), kept(B, "q")]
    relied = relied_on([X], known, {P, Q})
    assert relied == Relied(frozenset({X, B}), frozenset({P, Q}))
    assert relied | Relied() == relied
    assert recheck(LogState(1, None, "", live={P: 1, Q: 1}), relied) == frozenset()
    assert recheck(LogState(1, None, "", live={P: 1}), relied) == {Q}


def test_placements_are_grouped_into_representations() -> None:
    store = Fixture()
    store.tensors({"b": (), "w": ("b",)})
    store.tensors({"w": ()})
    store.tensors({"w": ()})
    found = placed(store.placements(["w", "b", "w"]))
    assert [(each.digest, len(each.inputs), len(each.sections)) for each in found] == sorted(
        [
            (digest("b"), 0, 1),
            (digest("w"), 0, 2),
            (digest("w"), 1, 1),
        ]
    )
