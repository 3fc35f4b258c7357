"""Whatever is done to branches and tags, undo puts back what was there, or changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from deltastore.errors import ConflictError, ExistsError, NotFoundError
from deltastore.history.deeds import deed_at, last_deed
from deltastore.history.model_moves import remove_models, rename_model
from deltastore.history.ref_moves import BranchReset, RefChange, change_ref
from deltastore.history.undoing import undo
from tests.unit.history.samples import TIME
from tests.unit.history.versions import Fixture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deltastore.ids import CommitId
    from deltastore.results import UndoResult

Step = tuple[str, int, int, int]
"""What is done, and three small numbers that choose to what."""

MODELS = ("a/x", "a/y", "b/x")
NAMES = ("main", "dev")
AUTHORS = ("ada", "bob")
KINDS = ("branch", "force", "delete", "tag", "untag", "reset", "rm", "mv")

STEPS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 2), st.integers(0, 1), st.integers(0, 2)),
    min_size=1,
    max_size=12,
)


@dataclass
class World:
    """A store with three commits that stay reachable, and its refs after each entry."""

    store: Fixture = field(default_factory=Fixture)

    def __post_init__(self) -> None:
        names = ("one", "two", "three")
        self.commits = [self.store.commit(n, ref=f"models/keep/all/heads/{n}") for n in names]
        self.first = self.store.log.state.v
        self.refs = {self.first: self.standing()}

    def standing(self) -> dict[str, CommitId]:
        state = self.store.log.refresh()
        return {name: ref.commit for name, ref in state.refs.items() if ref.commit}

    def do(self, step: Step, actor: str) -> None:
        """Take a step if it is allowed; if not, nothing may have changed."""
        before, v = self.standing(), self.store.log.state.v
        try:
            self._do(step, actor)
        except (ExistsError, NotFoundError, ConflictError):
            assert (self.standing(), self.store.log.state.v) == (before, v)
        self.refs[self.store.log.state.v] = self.standing()

    def _do(self, step: Step, actor: str) -> None:
        kind, first, second, third = step
        log, history = self.store.log, self.store.history
        model, name, commit = MODELS[first], NAMES[second], self.commits[third]
        if kind == "rm":
            remove_models(log, [model], actor=actor, time=TIME, message="")
        elif kind == "mv":
            other = MODELS[(first + 1 + second) % 3]
            rename_model(log, history, model, other, actor=actor, time=TIME, message="")
        else:
            changes = {
                "branch": RefChange("branch", model, name, commit),
                "force": RefChange("branch", model, name, commit, force=True),
                "delete": RefChange("branch", model, name, None),
                "tag": RefChange("tag", model, name, commit),
                "untag": RefChange("tag", model, name, None),
                "reset": BranchReset(model, name, commit),
            }
            change_ref(log, history, changes[kind], actor=actor, time=TIME, message="")

    def undo(self, actor: str, seq: int | None = None) -> UndoResult:
        log, history = self.store.log, self.store.history
        log.refresh()
        deed = last_deed(log, actor) if seq is None else deed_at(log, seq, actor)
        done = undo(log, history, deed, actor=actor, time=TIME)
        self.refs[log.state.v] = self.standing()
        return done


def labels(refs: Mapping[str, CommitId], kind: str) -> dict[str, CommitId]:
    """Refs of a kind as people write them."""
    parts = ((name.split("/"), commit) for name, commit in refs.items())
    return {f"{p[1]}/{p[2]}@{p[4]}": c for p, c in parts if (p[3] == "heads") == (kind == "branch")}


@given(STEPS)
def test_of_one_author_everything_can_be_taken_back(steps: list[Step]) -> None:
    world = World()
    for step in steps:
        world.do(step, "ada")
    last = world.store.log.state.v
    for seq in range(last, world.first, -1):
        assert not world.undo("ada", seq).unchanged
        assert world.standing() == world.refs[seq - 1]
    assert world.store.log.replay().refs == world.store.log.state.refs


@given(STEPS)
def test_undoing_an_undo_does_it_again(steps: list[Step]) -> None:
    world = World()
    for step in steps:
        world.do(step, "ada")
    if world.store.log.state.v == world.first:
        return
    after = world.standing()
    first = world.undo("ada")
    assert world.standing() == world.refs[first.seq - 1]
    assert world.undo("ada").seq == first.entry
    assert world.standing() == after


@given(st.lists(st.tuples(STEPS, st.sampled_from(AUTHORS), st.integers(0, 4)), max_size=6))
def test_with_others_undo_puts_back_ones_own_or_changes_nothing(
    turns: list[tuple[list[Step], str, int]],
) -> None:
    world = World()
    actors: dict[int, str] = {}
    for steps, author, back in turns:
        for step in steps[:3]:
            world.do(step, author)
            actors.setdefault(world.store.log.state.v, author)
        before, v = world.standing(), world.store.log.state.v
        try:
            done = world.undo(author, max(world.first + 1, v - back))
        except (ConflictError, NotFoundError):
            assert (world.standing(), world.store.log.state.v) == (before, v)
            continue
        actors.setdefault(world.store.log.state.v, author)
        assert actors[done.seq] == author
        then = world.refs[done.seq - 1]
        for ref in done.refs:
            assert labels(world.standing(), ref.kind).get(ref.ref) == ref.new
            assert labels(then, ref.kind).get(ref.ref) == ref.new
        untouched = {ref.ref for ref in done.refs}
        for kind in ("branch", "tag"):
            was, now = labels(before, kind), labels(world.standing(), kind)
            assert {n: c for n, c in was.items() if n not in untouched} == {
                n: c for n, c in now.items() if n not in untouched
            }
    assert world.store.log.replay().refs == world.store.log.state.refs
