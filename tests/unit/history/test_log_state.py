from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from deltastore.errors import CorruptError
from deltastore.history.entries import Absent, CheckpointRef, Entry, RefMove
from deltastore.history.state import EMPTY, LogState, RefState
from tests.unit.history.samples import (
    MAIN,
    STORE_ID,
    body,
    commit,
    commit_entry,
    digest,
    entry_after,
    genesis,
    pack,
    transaction,
)

if TYPE_CHECKING:
    from deltastore.history.entries import Body

TAG = "models/me/x/tags/v1"


def started() -> tuple[LogState, Entry]:
    """A store with one commit on main, tagged."""
    first = genesis()
    second = commit_entry(first, 1)
    third = entry_after(second, body(transaction("t", [RefMove(TAG, None, commit(1))])))
    return EMPTY.apply_all([first, second, third]), third


def after(content: Body) -> LogState:
    state, last = started()
    return state.apply(entry_after(last, content))


def moves(*refs: RefMove) -> LogState:
    return after(body(transaction("m", refs)))


def test_the_empty_store() -> None:
    state = EMPTY.apply(genesis())
    assert (state.v, state.store_id, state.head_hash) == (0, STORE_ID, genesis().hash)
    assert not any((state.refs, state.live, state.commits, state.condemned, state.absent))
    assert state.models() == ()


def test_tables_after_a_commit_and_a_tag() -> None:
    state, last = started()
    assert state.refs == {
        MAIN: RefState(commit(1), 1, commit(1)),
        TAG: RefState(commit(1), 2, commit(1)),
    }
    assert state.live == {pack(1): 1}
    assert state.commits == {commit(1): pack(1)}
    assert state.head_hash == last.hash
    assert state.ref(MAIN) == commit(1)
    assert state.ref("models/me/x/heads/no") is None
    assert state.heads("me/x") == {"main": commit(1)}
    assert state.tags("me/x") == {"v1": commit(1)}
    assert state.models() == ("me/x",)
    assert state.roots() == {commit(1)}


def test_apply_is_a_value_and_equals_apply_all() -> None:
    first = genesis()
    second, before = commit_entry(first, 1), EMPTY.apply(first)
    assert before.apply(second) == EMPTY.apply_all([first, second])
    assert before.refs == {}


def test_condemning() -> None:
    state = after(body(condemn=[pack(1), pack("never logged")]))
    assert state.live == {}
    assert state.condemned == {pack(1): 3, pack("never logged"): 3}


def test_absent_manifests() -> None:
    absent = Absent(digest("m"), "archived", "elsewhere")
    assert after(replace(body(), absent=(absent,))).absent == {digest("m"): absent}


def test_a_deleted_ref_is_remembered() -> None:
    state = moves(RefMove(MAIN, commit(1), None))
    assert state.refs[MAIN] == RefState(None, 3, commit(1))
    assert state.heads("me/x") == {}
    assert state.models() == ("me/x",)
    assert moves(RefMove(MAIN, commit(1), None), RefMove(TAG, commit(1), None)).models() == ()


def test_a_deleted_tag_comes_back_for_the_same_commit_only() -> None:
    first, last = started()
    gone = entry_after(last, body(transaction("d", [RefMove(TAG, commit(1), None)])))
    state = first.apply(gone)
    again = entry_after(gone, body(transaction("a", [RefMove(TAG, None, commit(1))])))
    assert state.apply(again).tags("me/x") == {"v1": commit(1)}
    txn = transaction("b", [RefMove(TAG, None, commit(2))], [commit(2)], pack(2))
    with pytest.raises(CorruptError, match="tag"):
        state.apply(entry_after(gone, body(txn, add=[pack(2)])))


def test_a_deleted_branch_may_come_back_elsewhere() -> None:
    first, last = started()
    gone = entry_after(last, body(transaction("d", [RefMove(MAIN, commit(1), None)])))
    assert first.apply(gone).apply(commit_entry(gone, 2)).ref(MAIN) == commit(2)


def test_two_transactions_may_move_one_ref_in_turn() -> None:
    one = transaction("1", [RefMove(MAIN, commit(1), commit(2))], [commit(2)], pack(2))
    two = transaction("2", [RefMove(MAIN, commit(2), commit(3))], [commit(3)], pack(2))
    assert after(body(one, two, add=[pack(2)])).ref(MAIN) == commit(3)


def test_the_newest_meta_pack_of_a_commit_counts() -> None:
    txn = transaction("repack", (), [commit(1)], pack("new"))
    state = after(body(txn, add=[pack("new")], condemn=[pack(1)]))
    assert state.commits == {commit(1): pack("new")}


def test_flags_and_checkpoints_only_grow() -> None:
    state, last = started()
    ckpt = CheckpointRef(1, pack("c"), digest("root"))
    more = entry_after(last, body(add=[pack("c")]), needs=("w:x",), ckpt=ckpt)
    grown = state.apply(more)
    assert (grown.needs, grown.ckpt) == (("w:x",), ckpt)
    with pytest.raises(CorruptError, match="flag"):
        grown.apply(entry_after(more, body(), ckpt=ckpt))
    older = replace(ckpt, v=0)
    for wrong in (None, older):
        with pytest.raises(CorruptError, match="older checkpoint"):
            grown.apply(entry_after(more, body(), needs=("w:x",), ckpt=wrong))
    with pytest.raises(CorruptError, match="not live"):
        state.apply(entry_after(last, body(), ckpt=ckpt))


ILLEGAL = {
    "stood at": body(transaction("m", [RefMove(MAIN, commit(2), commit(1))])),
    "from nothing": body(transaction("m", [RefMove(MAIN, None, commit(1))])),
    "unknown commit": body(transaction("m", [RefMove(MAIN, commit(1), commit("?"))])),
    "moves the tag": body(
        transaction("m", [RefMove(TAG, commit(1), commit(2))], [commit(2)], pack(2)), add=[pack(2)]
    ),
    "added before": body(add=[pack(1)]),
    "adds and condemns": body(add=[pack(7)], condemn=[pack(7)]),
    "not live": body(transaction("m", (), [commit(2)], pack("never"))),
}


@pytest.mark.parametrize("match", list(ILLEGAL))
def test_illegal_entries_are_corrupt(match: str) -> None:
    with pytest.raises(CorruptError, match=match):
        after(ILLEGAL[match])


def test_a_condemned_pack_never_comes_back() -> None:
    state, last = started()
    gone = entry_after(last, body(condemn=[pack(1), pack("unlogged")]))
    dead = state.apply(gone)
    for each in (pack(1), pack("unlogged")):
        with pytest.raises(CorruptError, match="added before"):
            dead.apply(entry_after(gone, body(add=[each])))


def test_the_chain() -> None:
    state, last = started()
    with pytest.raises(CorruptError, match="hole"):
        state.apply(entry_after(entry_after(last, body()), body()))
    twin = replace(last.head, writer="another")
    with pytest.raises(CorruptError, match="history_rewritten"):
        state.apply(entry_after(replace(last, head_line=b"other", head=twin), body()))
    foreign = entry_after(last, body())
    foreign = replace(foreign, head=replace(foreign.head, store_id="6" * 32))
    with pytest.raises(CorruptError, match="another store"):
        state.apply(foreign)
    redacted = replace(entry_after(last, body()), body=None)
    with pytest.raises(CorruptError, match="redacted"):
        state.apply(redacted)
