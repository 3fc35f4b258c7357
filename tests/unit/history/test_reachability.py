from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deltastore.errors import ConflictError, MissingObjectError
from deltastore.history.entries import Absent, Draft, Transaction, new_token
from deltastore.history.objects import HistoryReader
from deltastore.history.reachability import (
    is_reachable,
    newly_reachable,
    owed_at,
    owed_by,
    prove_all_reachable,
    prove_reachable,
    reachable,
    representations_of,
)
from deltastore.history.reflog import reflog
from tests.unit.history.samples import MAIN, TIME, digest
from tests.unit.history.stores import committing, started
from tests.unit.history.versions import Fixture

if TYPE_CHECKING:
    from deltastore.history.commits import CommitHeader
    from deltastore.ids import CommitId

SIDE = "models/me/y/heads/main"


def test_parents_and_bases_are_followed_and_inputs_are_not() -> None:
    store = Fixture()
    base = store.commit("base", ref=SIDE)
    inputs = store.commit("input", ref=SIDE)
    first = store.commit("first", base=base)
    tip = store.commit("tip", parents=[first], inputs=[inputs])
    header = store.history.header
    assert reachable([tip], header) == {tip, first, base}
    assert reachable([tip], header, stop={first}) == {tip}
    assert reachable([tip], header, stop={tip}) == set()
    state = store.log.state
    assert all(is_reachable(state, each, header) for each in (base, first, tip, inputs))
    store.delete(SIDE)
    assert is_reachable(store.log.state, base, header)
    assert not is_reachable(store.log.state, inputs, header)


def test_what_a_ref_would_newly_keep() -> None:
    store = Fixture()
    old = store.commit("old")
    gone = store.commit("gone", parents=[old], ref=SIDE)
    gone2 = store.commit("gone2", parents=[gone], ref=SIDE)
    header = store.history.header
    assert newly_reachable(store.log.state, gone, header) == set()
    store.delete(SIDE)
    assert newly_reachable(store.log.state, gone2, header) == {gone, gone2}
    assert newly_reachable(store.log.state, old, header) == set()


def test_what_is_owed() -> None:
    store = Fixture()
    packs = [store.tensors({"w": (), "q": ()})]
    meta, made = store.meta(["w"], preview=["q"])
    store.record(made, meta, packs)
    state = store.log.state
    assert owed_at(state, store.history) == {digest("w"), digest("q")}
    assert owed_by([], state, store.history) == frozenset()
    head = store.history.header(made)
    txn = Transaction(new_token(), "archive", "a", TIME, "")
    store.log.append(lambda _: Draft((txn,), absent=(Absent(head.manifest, "archived"),)))
    assert owed_at(store.log.state, store.history) == {digest("q")}


def test_a_commit_that_is_gone_may_come_back_while_its_packs_live() -> None:
    store = Fixture()
    gone = store.commit("w", ref=SIDE)
    store.delete(SIDE)
    prove_reachable(store.log.state, gone, store.history)
    store.condemn(store.places["w"][0].pack)
    with pytest.raises(ConflictError, match="condemned"):
        prove_reachable(store.log.state, gone, store.history)


def test_a_commit_whose_header_was_collected_is_a_conflict_even_while_it_can_be_read() -> None:
    store = Fixture()
    gone = store.commit("w", ref=SIDE)
    store.delete(SIDE)
    store.condemn(store.log.state.commits[gone])
    assert store.history.header(gone).message == "w"
    with pytest.raises(ConflictError, match="collected"):
        prove_reachable(store.log.state, gone, store.history)


def test_what_is_owed_anyway_is_vouched_for_although_a_locator_is_stale() -> None:
    store = Fixture()
    kept = store.commit("w")
    gone = store.commit("w", ref=SIDE)
    assert kept == gone
    extra = store.tensors({"x": ()})
    meta, gone = store.meta(["w", "x"])
    store.record(gone, meta, [extra], SIDE)
    store.delete(SIDE)
    first = store.places["w"][0].pack
    second = store.tensors({"w": ()})
    txn = Transaction(new_token(), "repack", "a", TIME, "")
    store.log.append(lambda _: Draft((txn,), add=(second,), condemn=(first,)))
    assert all(each.pack != second for each in store.history.locator(gone))
    prove_reachable(store.log.state, gone, store.history)
    store.condemn(extra)
    with pytest.raises(ConflictError):
        prove_reachable(store.log.state, gone, store.history)


def test_content_that_no_pack_ever_held_is_missing() -> None:
    store = Fixture()
    packs = [store.tensors({"w": (), "x": ()})]
    meta, made = store.meta(["w", "x"], closure=["w"])
    store.record(made, meta, packs, SIDE)
    store.delete(SIDE)
    with pytest.raises(MissingObjectError, match="no live pack"):
        prove_reachable(store.log.state, made, store.history)


def test_representations_come_from_locators() -> None:
    store = Fixture()
    store.tensors({"b": (), "w": ("b",)})
    meta, made = store.meta(["w"], closure=["w", "b"])
    store.record(made, meta, [store.places["w"][0].pack])
    found = representations_of([made, made], store.history)
    assert {each.digest: each.inputs for each in found} == {
        digest("b"): (),
        digest("w"): (digest("b"),),
    }


def test_reflogs_reach_through_checkpoints() -> None:
    log = started()
    refs = [MAIN, SIDE, "models/me/z/heads/main"]
    log.append(committing("z", refs[2]))
    for seed in range(200):
        log.append(committing(seed, refs[seed % 7 == 3]))
    assert log.state.ckpt is not None
    cold = type(log).open(log.reader._backend)
    cold.refresh()
    moves = list(reflog(cold))
    assert [move.v for move in moves] == list(range(201, 0, -1))
    for ref in refs:
        assert list(reflog(cold, ref)) == [move for move in moves if move.ref == ref]
    newest = next(reflog(cold, MAIN))
    assert newest.new == cold.state.ref(MAIN)
    assert (newest.op, newest.actor, newest.time) == ("commit", "ada", TIME)
    assert list(reflog(cold, "models/me/no/heads/main")) == []


def test_a_reflog_reads_only_segments_in_which_its_ref_moved() -> None:
    log = started()
    log.append(committing("z", SIDE))
    for seed in range(254):
        log.append(committing(seed))
    log.append(committing("last"))
    cold = type(log).open(log.reader._backend)
    cold.refresh()
    backend = log.reader._backend
    before = backend.traffic.requests or 0
    assert [move.v for move in reflog(cold, SIDE)] == [1]
    assert (backend.traffic.requests or 0) - before <= 10


def test_proving_several_at_once_walks_no_further_than_to_the_last_of_them() -> None:
    store = Fixture()
    oldest = store.commit("oldest", ref=SIDE)
    older = store.commit("older", ref=SIDE, parents=[oldest])
    first = store.commit("first")
    second = store.commit("second", parents=[first])
    read: list[str] = []

    class Counting(HistoryReader):
        def header(self, commit: CommitId) -> CommitHeader:
            read.append(commit)
            return super().header(commit)

    history = Counting(store.log.packs, store.log)
    prove_all_reachable(store.log.state, [first, second, older], history)
    assert read == [second]
    prove_all_reachable(store.log.state, [], history)
    prove_all_reachable(store.log.state, [oldest, first], history)
    assert set(read) <= {second, first, older}


def test_proving_several_at_once_proves_each() -> None:
    store = Fixture()
    gone, other = store.commit("gone"), store.commit("other", ref=SIDE)
    store.delete(MAIN)
    store.delete(SIDE)
    prove_all_reachable(store.log.state, [gone, other], store.history)
    (place,) = {placement.pack for placement in store.places["other"]}
    store.condemn(place)
    prove_all_reachable(store.log.state, [gone], store.history)
    with pytest.raises(ConflictError, match="condemned"):
        prove_all_reachable(store.log.state, [gone, other], store.history)
