"""Exhaustive interleavings of small scenarios in which earlier designs lost data.

Each actor is a generator; what it does between two yields is one step that nothing can interrupt,
such as one request. Every order of steps is tried. The actors use the real state and the real
proofs; each scenario is run a second time with the check it is about replaced by a weaker one,
and must then lose data in some order: otherwise the model would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

from deltastore.errors import ConflictError, CorruptError, MissingObjectError
from deltastore.history.entries import Body, Entry, RefMove
from deltastore.history.entry_decoding import decode_entry
from deltastore.history.invariant import (
    Relied,
    prove,
    prove_condemnation,
    recheck,
    relied_on,
    resolvable,
)
from deltastore.history.representations import PlacedRepresentation, PlacedSection
from deltastore.history.state import EMPTY, LogState
from tests.unit.history.samples import body, commit, digest, entry_after, genesis, pack, transaction

if TYPE_CHECKING:
    from deltastore.ids import CommitId, Digest
    from deltastore.storage.records import PackId

Actor: TypeAlias = Generator[None, None, None]
Made: TypeAlias = "dict[str, tuple[str, ...]]"
"""What a pack holds: names of tensors, each with the names of what it is a delta on."""


def branch(name: str) -> str:
    return f"models/me/x/heads/{name}"


@dataclass
class World:
    """A store reduced to what decides about loss."""

    entries: list[Entry] = field(default_factory=lambda: [genesis()])
    state: LogState = field(default_factory=lambda: EMPTY.apply(genesis()))
    packs: dict[PackId, tuple[PlacedRepresentation, ...]] = field(default_factory=dict)
    objects: set[PackId] = field(default_factory=set)
    versions: dict[CommitId, frozenset[Digest]] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    lost: bool = False
    names: Iterator[int] = field(default_factory=count)

    def upload(self, made: Made, name: str | None = None) -> PackId:
        """Write a pack; unless named, its name is one that was never used before."""
        where = pack(f"nonce {next(self.names)}" if name is None else name)
        self.packs[where] = tuple(
            PlacedRepresentation(
                digest(each), tuple(map(digest, inputs)), 1, (PlacedSection(where, 0, 1),)
            )
            for each, inputs in made.items()
        )
        self.objects.add(where)
        return where

    def delete(self, packs: Iterable[PackId]) -> None:
        self.objects.difference_update(packs)
        self.check()

    def put(self, composed_at: LogState, content: Body) -> bool:
        """Create the next entry, if nobody else did since `composed_at`."""
        if composed_at.v != self.state.v:
            return False
        entry = entry_after(self.entries[-1], content)
        self.state = self.state.apply(entry)
        self.entries.append(entry)
        self.check()
        return True

    def known(self) -> tuple[PlacedRepresentation, ...]:
        return tuple(each for forms in self.packs.values() for each in forms)

    def owed(self) -> frozenset[Digest]:
        return frozenset().union(*(self.versions[each] for each in self.state.roots()))

    def check(self) -> None:
        """Whether something owed cannot be rebuilt from objects that exist."""
        if not self.owed() <= resolvable(self.known(), self.objects):
            self.lost = True

    def commit(self, ref: str, *names: str, seed: str = "") -> Body:
        """An entry body that moves a ref to a version of these tensors; add packs to it."""
        made = commit(f"{names} {seed}")
        self.versions[made] = frozenset(map(digest, names))
        meta = self.upload({})
        move = RefMove(branch(ref), self.state.ref(branch(ref)), made)
        txn = transaction(f"{ref} {names} {self.state.v}", [move], [made], meta)
        return body(txn, add=[meta])

    def force(self, content: Body, *add: PackId) -> None:
        assert self.put(self.state, with_packs(content, add))

    def delete_ref(self, ref: str) -> None:
        move = RefMove(branch(ref), self.state.ref(branch(ref)), None)
        assert self.put(self.state, body(transaction(f"rm {self.state.v}", [move])))


def with_packs(content: Body, add: Iterable[PackId]) -> Body:
    return body(*content.txns, add=(*content.add, *add), condemn=content.condemn)


Setup: TypeAlias = "Callable[[], tuple[World, dict[str, Actor]]]"


def explore(setup: Setup) -> Iterator[World]:
    """The world after every possible order of all actors' steps."""
    pending: list[tuple[str, ...]] = [()]
    while pending:
        order = pending.pop()
        world, actors = setup()
        for name in order:
            if next(actors[name], "finished") == "finished":
                del actors[name]
        if actors:
            pending.extend((*order, name) for name in actors)
        else:
            yield world


def losses(setup: Setup) -> tuple[int, int]:
    """How many orders lose data, and how many there are."""
    ends = [world.lost for world in explore(setup)]
    return sum(ends), len(ends)


@dataclass(frozen=True)
class Rules:
    """Which checks are on; all of them, unless a negative control switches one off."""

    closure: bool = True
    fence: bool = True
    fixpoint: bool = True
    reprove: bool = True
    nonces: bool = True
    remember_condemned: bool = True
    live_only: bool = True


ALL = Rules()


# A writer that deduplicates, and a collector


def find(world: World, state: LogState, name: str, rules: Rules) -> Relied | None:
    """What to rely on instead of storing `name`; None if it has to be stored."""
    if not rules.closure:
        places = [p for p in world.packs if p in state.live and holds(world, p, name)]
        return Relied(packs=frozenset(places[:1])) if places else None
    try:
        prove([digest(name)], world.known(), state.live, condemned=state.condemned)
    except (ConflictError, MissingObjectError):
        return None
    return relied_on([digest(name)], world.known(), state.live)


def holds(world: World, where: PackId, name: str) -> bool:
    return any(each.digest == digest(name) for each in world.packs[where])


def writer(world: World, ref: str, name: str, rules: Rules = ALL) -> Actor:
    """Commits a version of one tensor, reusing it where it is."""
    while True:
        state = world.state
        relied = find(world, state, name, rules)
        yield
        mine = [] if relied else [world.upload({name: ()})]
        yield
        while True:
            state = world.state
            if rules.fence and (
                recheck(state, relied or Relied()) or any(p in state.condemned for p in mine)
            ):
                break
            content = with_packs(world.commit(ref, name), mine)
            yield
            try:
                done = world.put(state, content)
            except CorruptError:
                break  # a pack of ours was condemned: write it again
            if done:
                world.acknowledged.append(ref)
                return
            yield


def collector(world: World, condemn: Iterable[PackId], rules: Rules = ALL) -> Actor:
    """Condemns some packs if nothing owed needs them, and deletes them."""
    packs = tuple(condemn)
    if not legal(world, packs, rules):
        return
    yield
    while True:
        state = world.state
        if rules.reprove and not legal(world, packs, rules):
            world.refused.append("gc")
            return
        yield
        if world.put(state, body(transaction(f"gc {state.v} {packs}"), condemn=packs)):
            break
        yield
    yield
    world.delete(packs)


def legal(world: World, condemn: tuple[PackId, ...], rules: Rules) -> bool:
    live = frozenset(world.state.live) - frozenset(condemn)
    if not rules.fixpoint:
        named = {each.digest for p in live for each in world.packs.get(p, ())}
        return world.owed() <= named
    try:
        prove_condemnation(world.owed(), world.known(), tuple(world.state.live), condemn)
    except ConflictError:
        return False
    return True


def half_dead() -> tuple[World, PackId]:
    """P2 = {X as a delta on B, Y whole}, P3 = {B}; only Y is owed. Returns P3."""
    world = World()
    second, third = world.upload({"X": ("B",), "Y": ()}), world.upload({"B": ()})
    world.force(world.commit("old", "X", "B"), second, third)
    world.force(world.commit("keep", "Y"))
    world.delete_ref("old")
    return world, third


def test_a_base_in_another_pack_is_never_lost() -> None:
    def setup() -> tuple[World, dict[str, Actor]]:
        world, third = half_dead()
        return world, {"w": writer(world, "new", "X"), "gc": collector(world, [third])}

    lost, orders = losses(setup)
    assert lost == 0
    assert orders > 100


def test_control_a_fence_on_direct_packs_loses_the_base() -> None:
    def setup() -> tuple[World, dict[str, Actor]]:
        world, third = half_dead()
        weak = Rules(closure=False)
        return world, {"w": writer(world, "new", "X", weak), "gc": collector(world, [third])}

    assert losses(setup)[0] > 0


def test_control_without_the_fence_a_race_loses_the_base() -> None:
    def setup() -> tuple[World, dict[str, Actor]]:
        world, third = half_dead()
        weak = Rules(fence=False)
        return world, {"w": writer(world, "new", "X", weak), "gc": collector(world, [third])}

    assert 0 < losses(setup)[0] < losses(setup)[1]


def test_the_base_is_lost_without_any_race_when_only_direct_packs_count() -> None:
    for rules, expected in ((ALL, False), (Rules(closure=False), True)):
        world, third = half_dead()
        for actor in (collector(world, [third]), writer(world, "new", "X", rules)):
            for _ in actor:
                pass
        assert world.acknowledged == ["new"]
        assert world.lost is expected


# Two condemners


def two_copies(rules: Rules) -> Setup:
    """X whole in P1 and P2; one collector wants to drop P1, the other one P2."""

    def setup() -> tuple[World, dict[str, Actor]]:
        world = World()
        first, second = world.upload({"X": ()}), world.upload({"X": ()})
        world.force(world.commit("main", "X"), first, second)
        return world, {
            "a": collector(world, [first], rules),
            "b": collector(world, [second], rules),
        }

    return setup


def test_two_collectors_never_drop_the_last_copy() -> None:
    ends = list(explore(two_copies(ALL)))
    assert not any(world.lost for world in ends)
    assert any(world.refused for world in ends)


def test_control_a_condemnation_not_proven_again_loses_the_last_copy() -> None:
    assert losses(two_copies(Rules(reprove=False)))[0] > 0


def repack(world: World, made: Made, condemn: PackId, rules: Rules) -> Actor:
    """Replaces a pack by a new one that holds the same tensor in another way."""
    fresh = world.upload(made)
    yield
    while True:
        state = world.state
        live = {**state.live, fresh: state.v + 1}
        left = frozenset(live) - {condemn}
        named = {each.digest for p in left for each in world.packs.get(p, ())}
        good = world.owed() <= (resolvable(world.known(), left) if rules.fixpoint else named)
        if not good:
            world.refused.append("repack")
            return
        yield
        content = body(transaction(f"repack {state.v} {made}"), add=[fresh], condemn=[condemn])
        if world.put(state, content):
            break
        yield
    yield
    world.delete([condemn])


def two_repacks(rules: Rules) -> Setup:
    """X becomes a delta on Y while Y becomes a delta on X."""

    def setup() -> tuple[World, dict[str, Actor]]:
        world = World()
        first, second = world.upload({"X": ()}), world.upload({"Y": ()})
        world.force(world.commit("main", "X", "Y"), first, second)
        return world, {
            "a": repack(world, {"X": ("Y",)}, first, rules),
            "b": repack(world, {"Y": ("X",)}, second, rules),
        }

    return setup


def test_two_repacks_never_make_a_cycle() -> None:
    ends = list(explore(two_repacks(ALL)))
    assert not any(world.lost for world in ends)
    assert all(world.refused for world in ends)


def test_control_naming_every_digest_is_not_enough() -> None:
    assert losses(two_repacks(Rules(fixpoint=False)))[0] > 0


# Names that are used again


def recommit(world: World, name: str, rules: Rules) -> Actor:
    """Commits the same bytes again; without nonces their pack has the same name as before."""
    attempt = 0
    while True:
        attempt += 1
        stored = name if not rules.nonces else f"{name} {attempt}"
        where = pack(stored)
        if where not in world.objects:  # put-if-absent says "exists, fine"
            world.upload({name: ()}, stored)
        yield
        while True:
            state = world.state
            if rules.nonces and where in state.condemned:
                break
            # under a name by content the object is not in the log: nothing fences it
            content = with_packs(world.commit("again", name), [where] if rules.nonces else [])
            yield
            try:
                done = world.put(state, content)
            except CorruptError:
                break
            if done:
                world.acknowledged.append("again")
                return
            yield


def sweeper(world: World, where: PackId, rules: Rules) -> Actor:
    """Marks what no ref needs, condemns it in the log if names are unique, deletes it."""
    name = next(each for each in world.packs[where])
    if name.digest in world.owed():
        return
    yield
    if rules.nonces:
        while True:
            state = world.state
            if not legal(world, (where,), rules):
                return
            if world.put(state, body(transaction(f"gc {state.v}"), condemn=[where])):
                break
            yield
    yield
    world.delete([where])


def same_bytes_again(rules: Rules) -> Setup:
    def setup() -> tuple[World, dict[str, Actor]]:
        world = World()
        first = world.upload({"M": ()}, "M")
        world.force(world.commit("old", "M"), *([first] if rules.nonces else []))
        world.delete_ref("old")
        return world, {"w": recommit(world, "M", rules), "gc": sweeper(world, first, rules)}

    return setup


def test_the_same_bytes_committed_again_while_the_old_ones_are_collected() -> None:
    ends = list(explore(same_bytes_again(ALL)))
    assert not any(world.lost for world in ends)
    assert all(world.acknowledged for world in ends)


def test_control_objects_named_by_content_are_collected_under_a_new_commit() -> None:
    assert losses(same_bytes_again(Rules(nonces=False)))[0] > 0


def suspended(world: World, rules: Rules) -> Actor:
    """Uploads a pack, sleeps for days, commits it; what was condemned is written again."""
    while True:
        mine = world.upload({"W": ()})
        yield
        while True:
            state = world.state
            content = with_packs(world.commit("late", "W"), [mine])
            yield
            try:
                if world.put(state, content):
                    world.acknowledged.append("late")
                    return
            except CorruptError:
                break
            yield


def pruning(world: World, rules: Rules) -> Actor:
    """Condemns packs that no entry names, sweeps, makes a checkpoint, sweeps again."""
    strangers = tuple(sorted(world.objects - set(world.state.live) - set(world.state.condemned)))
    strangers = tuple(each for each in strangers if world.packs[each])
    yield
    while strangers:
        state = world.state
        strangers = tuple(each for each in strangers if each not in state.live)
        if world.put(state, body(transaction(f"gc {state.v}"), condemn=strangers)):
            break
        yield
    yield
    world.delete(strangers)
    if not rules.remember_condemned:
        world.state = LogState(
            v=world.state.v,
            head_hash=world.state.head_hash,
            store_id=world.state.store_id,
            refs=world.state.refs,
            live=world.state.live,
            commits=world.state.commits,
        )
    yield
    world.delete(strangers)


def late_writer(rules: Rules) -> Setup:
    def setup() -> tuple[World, dict[str, Actor]]:
        world = World()
        return world, {"w": suspended(world, rules), "gc": pruning(world, rules)}

    return setup


def test_a_writer_that_slept_past_a_sweep_writes_again() -> None:
    ends = list(explore(late_writer(ALL)))
    assert not any(world.lost for world in ends)
    assert all(world.acknowledged == ["late"] for world in ends)
    assert any(len(world.packs) > 2 for world in ends)


def test_control_a_checkpoint_that_forgets_condemned_names_loses_the_late_commit() -> None:
    lost, orders = losses(late_writer(Rules(remember_condemned=False)))
    assert 0 < lost < orders


# Undo past a condemnation


def undo(world: World, made: CommitId, rules: Rules) -> Actor:
    """Moves a deleted branch back to its commit, if that can be rebuilt."""
    while True:
        state = world.state
        readable = frozenset(state.live) if rules.live_only else frozenset(world.objects)
        try:
            prove(world.versions[made], world.known(), readable, condemned=state.condemned)
        except (ConflictError, MissingObjectError):
            world.refused.append("undo")
            return
        yield
        move = RefMove(branch("gone"), None, made)
        if world.put(state, body(transaction(f"undo {state.v}", [move]))):
            world.acknowledged.append("undo")
            return
        yield


def undoing(rules: Rules) -> Setup:
    def setup() -> tuple[World, dict[str, Actor]]:
        world = World()
        where = world.upload({"X": ()})
        content = world.commit("gone", "X")
        made = content.txns[0].commits[0]
        world.force(content, where)
        world.delete_ref("gone")
        return world, {"undo": undo(world, made, rules), "gc": collector(world, [where])}

    return setup


def test_undo_never_moves_a_ref_to_a_condemned_commit() -> None:
    ends = list(explore(undoing(ALL)))
    assert not any(world.lost for world in ends)
    assert any(world.acknowledged for world in ends)
    assert any("undo" in world.refused for world in ends)


def test_control_what_can_still_be_read_may_be_dead() -> None:
    assert losses(undoing(Rules(live_only=False)))[0] > 0


# One branch, two writers: a commit is a whole version


def appender(world: World, name: str, began: CommitId | None, expects: bool) -> Actor:
    """Adds one tensor to version 0, which was checked out when the branch stood at `began`."""
    names = sorted({"0", name})
    where = world.upload(dict.fromkeys(names, ()))
    yield
    while True:
        state = world.state
        if expects and state.ref(branch("main")) != began:
            world.refused.append(name)
            return
        content = with_packs(world.commit("main", *names), [where])
        yield
        if world.put(state, content):
            world.acknowledged.append(name)
            return
        yield


def one_branch(*, expects: bool) -> Setup:
    def setup() -> tuple[World, dict[str, Actor]]:
        world = World()
        world.force(world.commit("main", "0"), world.upload({"0": ()}))
        began = world.state.ref(branch("main"))
        return world, {
            "a": appender(world, "A", began, expects),
            "b": appender(world, "B", began, expects),
        }

    return setup


def reverted(world: World) -> bool:
    """Whether the tip lacks what an acknowledged writer added."""
    tip = world.state.ref(branch("main"))
    assert tip is not None
    return any(digest(name) not in world.versions[tip] for name in world.acknowledged)


def test_an_expected_tip_keeps_one_writer_from_reverting_another() -> None:
    ends = list(explore(one_branch(expects=True)))
    assert not any(map(reverted, ends))
    assert all(sorted(world.acknowledged + world.refused) == ["A", "B"] for world in ends)
    assert all(len(world.acknowledged) == 1 for world in ends if world.refused)


def test_control_without_expectation_the_last_writer_reverts_the_first() -> None:
    ends = list(explore(one_branch(expects=False)))
    assert any(map(reverted, ends))
    assert all(sorted(world.acknowledged) == ["A", "B"] for world in ends)


# Torn entries: a backend that creates exclusively, but not all at once


@dataclass
class TornLog:
    """Positions of a log on a backend of tier B; the first half of an entry shows first."""

    objects: dict[int, bytes] = field(default_factory=dict)
    void: set[int] = field(default_factory=set)
    acknowledged: set[int] = field(default_factory=set)

    @property
    def lost(self) -> bool:
        return bool(self.acknowledged & self.void)


def slow_writer(log: TornLog, entry: Entry, *, voiding: bool) -> Actor:
    """Creates an entry in two steps; with voiding it looks whether somebody gave up on it."""
    log.objects[entry.v] = entry.data[: len(entry.data) // 2]
    yield
    log.objects[entry.v] = entry.data
    yield
    if voiding and entry.v + 1 in log.objects:
        return
    yield
    log.acknowledged.add(entry.v)


def next_writer(log: TornLog, entry: Entry, *, voiding: bool) -> Actor:
    """Finds the tip; a torn entry is damage, or with voiding something to give up on."""
    tip = log.objects.get(entry.v)
    if tip is None:
        return
    try:
        decode_entry(tip, v=entry.v)
    except CorruptError:
        if not voiding:
            return
        yield
        log.objects[entry.v + 1] = b"voids the one before"
        log.void.add(entry.v)


def torn(*, voiding: bool) -> list[TornLog]:
    """The log after every order of the two writers' steps."""
    ends = []
    pending: list[tuple[int, ...]] = [()]
    while pending:
        order = pending.pop()
        log, entry = TornLog(), entry_after(genesis(), body(transaction("slow")))
        actors = {
            0: slow_writer(log, entry, voiding=voiding),
            1: next_writer(log, entry, voiding=voiding),
        }
        for number in order:
            if next(actors[number], "finished") == "finished":
                del actors[number]
        pending.extend((*order, number) for number in actors)
        if not actors:
            ends.append(log)
    return ends


def test_a_torn_entry_is_damage_and_nothing_is_given_up_on() -> None:
    ends = torn(voiding=False)
    assert not any(log.lost for log in ends)
    assert all(log.acknowledged == {1} for log in ends)


def test_control_voiding_a_torn_entry_loses_an_acknowledged_one() -> None:
    ends = torn(voiding=True)
    assert 0 < sum(log.lost for log in ends) < len(ends)
