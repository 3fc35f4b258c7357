"""reset, rm, mv and reflog of `Store`: one entry each, all or nothing, and what the log says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import deltastore
from deltastore.errors import (
    ConflictError,
    ExistsError,
    InvalidError,
    NotFoundError,
    UsageError,
)
from deltastore.history.entries import Draft, RefMove, Transaction, new_token
from deltastore.history.refs import branch_ref
from tests.unit.store.writers import ada_and_bob, between_compose_and_write, refs, weights

if TYPE_CHECKING:
    from deltastore.store import Store

TIME = "2026-01-02T03:04:05Z"


@pytest.fixture
def store() -> Store:
    """`a/m` with two commits, a branch and a tag; `a/n` with one."""
    ada, _ = ada_and_bob()
    for seed in (1, 2):
        ada.commit(weights(seed), to="a/m", message=str(seed))
    ada.branch("a/m@dev", "a/m~1")
    ada.tag("a/m@v1", "a/m~1")
    ada.commit(weights(3), to="a/n", message="n")
    return ada


def newest(store: Store) -> int:
    return store.reflog(limit=1).entries[0].seq


# reset


def test_reset_moves_a_branch_to_any_commit(store: Store) -> None:
    old, new = store.resolve("a/m"), store.resolve("a/n")
    moved = store.reset("a/m@main", "a/n", message="why")
    assert (moved.old, moved.new, moved.seq) == (old, new, newest(store))
    entry = store.reflog("a/m@main", limit=1).entries[0]
    assert (entry.op, entry.message, entry.actor) == ("reset", "why", "Ada")
    again = store.reset("a/m", "a/n")
    assert (again.old, again.new, again.seq) == (new, new, None)
    assert newest(store) == moved.seq


def test_reset_expects(store: Store) -> None:
    before = refs(store)
    with pytest.raises(ConflictError, match=r"a/m@main moved: expected at .*; nothing was"):
        store.reset("a/m", "a/n", expect="a/m~1")
    assert refs(store) == before
    store.reset("a/m", "a/n", expect="a/m")
    assert store.resolve("a/m") == store.resolve("a/n")


def test_expect_is_asked_again_after_a_lost_race(store: Store) -> None:
    other = deltastore.open(store.url, author="Bob")
    between_compose_and_write(store, lambda: other.commit(weights(9), to="a/m", message="b"))
    with pytest.raises(ConflictError, match="moved"):
        store.reset("a/m", "a/n", expect="a/m")
    assert store.log("a/m", limit=1).commits[0].message == "b"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a/m@v1", "a/m@v1: no such branch"),
        ("a/m@nope", "a/m@nope: no such branch"),
        ("a/x@main", "a/x: no such model"),
    ],
)
def test_reset_of_what_is_no_branch(store: Store, name: str, told: str) -> None:
    with pytest.raises(NotFoundError, match=told):
        store.reset(name, "a/m")


# rm


def test_rm_is_one_entry_for_several_models(store: Store) -> None:
    before = newest(store)
    done = store.rm(["a/m", "a/n", "a/m"], message="cleaning")
    assert done.models == ("a/m", "a/n")
    assert [(ref.ref, ref.kind) for ref in done.refs] == [
        ("a/m@dev", "branch"),
        ("a/m@main", "branch"),
        ("a/m@v1", "tag"),
        ("a/n@main", "branch"),
    ]
    assert done.seq == newest(store) == before + 1
    assert refs(store) == {}
    assert store.stats().commits == 0


def test_rm_of_all_or_none(store: Store) -> None:
    before = refs(store)
    with pytest.raises(NotFoundError, match="a/x: no such model"):
        store.rm(["a/m", "a/x"])
    assert refs(store) == before


@pytest.mark.parametrize(
    ("models", "error", "told"),
    [
        ([], UsageError, "no model to remove"),
        ("a/m@dev", UsageError, "about the whole model a/m"),
        ("m", InvalidError, "'m' is not a model name"),
        ([None], UsageError, "model: a text is needed"),
    ],
)
def test_rm_of_what_is_no_model(store: Store, models: Any, error: Any, told: str) -> None:
    with pytest.raises(error, match=told):
        store.rm(models)


def test_a_model_removed_meanwhile_is_gone(store: Store) -> None:
    other = deltastore.open(store.url, author="Bob")
    between_compose_and_write(store, lambda: other.rm("a/m"))
    with pytest.raises(NotFoundError, match="a/m: no such model"):
        store.rm("a/m")


def test_rm_of_more_refs_than_fit_into_an_entry(store: Store) -> None:
    commit = store._resolve("a/m").commit
    names = [branch_ref("a/m", f"run-{number}-{'x' * 80}") for number in range(1200)]
    moves = tuple(RefMove(name, None, commit) for name in names)
    txn = Transaction(new_token(), "branch", "Ada", TIME, "", moves)
    store._log.append(lambda _: Draft((txn,)))
    before = refs(store)
    assert len(store.rm("a/m").refs) == 1203
    assert {model for model, _ in refs(store)} == {"a/n@main"}
    cold = deltastore.open(store.url, author="Ada")
    cold.undo()
    assert refs(cold) == before


# mv


def test_mv_renames_branches_and_tags(store: Store) -> None:
    before = refs(store)
    done = store.mv("a/m", "b/renamed")
    assert (done.model, done.origin, done.seq) == ("b/renamed", "a/m", newest(store))
    after = {(name.replace("a/m@", "b/renamed@"), kind): c for (name, kind), c in before.items()}
    assert refs(store) == after
    assert store.log("b/renamed").commits[0].message == "2"
    back = store.mv("b/renamed", "a/m")
    assert len(back.refs) == 3
    assert refs(store) == before


def test_mv_does_not_overwrite(store: Store) -> None:
    before = refs(store)
    with pytest.raises(ExistsError, match=r"a/n exists \(a/n@main\); nothing was renamed"):
        store.mv("a/m", "a/n")
    with pytest.raises(NotFoundError, match="a/x: no such model"):
        store.mv("a/x", "a/y")
    with pytest.raises(UsageError, match="one name"):
        store.mv("a/m", "a/m")
    with pytest.raises(UsageError, match="whole model"):
        store.mv("a/m@dev", "a/y")
    with pytest.raises(InvalidError, match="not a model name"):
        store.mv("a/m", "a b/c")
    assert refs(store) == before


def test_a_name_taken_meanwhile_is_taken(store: Store) -> None:
    other = deltastore.open(store.url, author="Bob")
    between_compose_and_write(store, lambda: other.commit(weights(9), to="b/x", message="b"))
    with pytest.raises(ExistsError, match="b/x exists"):
        store.mv("a/m", "b/x")


def test_a_deleted_tag_of_the_new_name_keeps_its_meaning(store: Store) -> None:
    store.tag("a/n@v1")
    store.rm("a/n")
    before = refs(store)
    with pytest.raises(ExistsError, match=r"a/n@v1 stood at .* tags never move"):
        store.mv("a/m", "a/n")
    assert refs(store) == before


# reflog


def test_a_reflog_tells_each_move(store: Store) -> None:
    first, second = store.resolve("a/m~1"), store.resolve("a/m")
    newest_move, made = store.reflog("a/m@main").entries
    assert (newest_move.old, newest_move.new, newest_move.op) == (first, second, "commit")
    assert (made.old, made.new, made.message, made.kind) == (None, first, "1", "branch")
    assert made.ref == "a/m@main"
    assert made.time.endswith("Z")
    (tag,) = store.reflog("a/m@v1").entries
    assert (tag.kind, tag.op, tag.old, tag.new) == ("tag", "tag", None, first)


def test_a_reflog_of_a_model_and_of_all(store: Store) -> None:
    whole = store.reflog()
    assert [entry.seq for entry in whole.entries] == [5, 4, 3, 2, 1]
    assert not whole.truncated
    assert {entry.ref for entry in store.reflog("a/m").entries} == {
        "a/m@main",
        "a/m@dev",
        "a/m@v1",
    }
    some = store.reflog("a/m", limit=2)
    assert (len(some.entries), some.truncated) == (2, True)


def test_a_reflog_outlives_its_model(store: Store) -> None:
    store.rm("a/n")
    gone, made = store.reflog("a/n").entries
    assert (gone.op, gone.new, made.op) == ("rm", None, "commit")


@pytest.mark.parametrize("late", [False, True])
def test_a_reflog_follows_a_model_to_its_former_name(store: Store, late: bool) -> None:
    store.mv("a/m", "b/x")
    store.commit(weights(7), to="a/m", message="another model of the old name")
    store.mv("b/x", "c/y")
    if late:  # so late that only a checkpoint has these entries
        for turn in range(80):
            store.branch("a/n@busy", ["a/n", "c/y"][turn % 2], force=True)
        store = deltastore.open(store.url)
    entries = store.reflog("c/y@main").entries
    told = [(entry.op, entry.ref, entry.origin) for entry in entries]
    assert told == [
        ("mv", "c/y@main", "b/x@main"),
        ("mv", "b/x@main", "a/m@main"),
        ("commit", "a/m@main", None),
        ("commit", "a/m@main", None),
    ]
    assert entries[0].message == "b/x to c/y"


def test_where_a_branch_stood_is_known_under_its_new_name(store: Store) -> None:
    first, second = store.resolve("a/m~1"), store.resolve("a/m")
    store.mv("a/m", "b/x")
    assert [store.resolve(f"b/x@{{{n}}}") for n in range(3)] == [second, second, first]
    with pytest.raises(NotFoundError, match="goes back to @\\{2\\}, where it was made"):
        store.resolve("b/x@{3}")


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("a/x", NotFoundError, "a/x: no such model"),
        ("a/m@nope", NotFoundError, "a/m@nope: no such branch"),
        ("a/m@main~1", UsageError, "which are what a reflog is of"),
        ("a/m@{1}", UsageError, "which are what a reflog is of"),
        ("4c1f09ab23de", UsageError, "which are what a reflog is of"),
        ("a/m@ ", InvalidError, "not a branch name"),
    ],
)
def test_what_has_no_reflog(store: Store, name: str, error: Any, told: str) -> None:
    with pytest.raises(error, match=told):
        store.reflog(name)
