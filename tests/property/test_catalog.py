"""Whatever happens to a store, a catalog that follows it answers as plain Python does."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from deltastore.catalog import keeping
from deltastore.catalog.catalog import Catalog
from tests.unit.catalog.oracle import Oracle, answers
from tests.unit.catalog.worlds import World, tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.ids import CommitId

REFS = (
    "models/me/x/heads/main",
    "models/me/x/heads/dev",
    "models/you/y/heads/main",
    "models/you/y/tags/v1",
    "keep/mine",
)

_NUMBER = st.integers(0, 5)

COMMIT = st.tuples(st.just("commit"), _NUMBER, _NUMBER, st.lists(_NUMBER, max_size=3), _NUMBER)

STEP = st.one_of(
    COMMIT,
    COMMIT,
    st.tuples(st.just("move"), _NUMBER, _NUMBER),
    st.tuples(st.just("delete"), _NUMBER),
    st.tuples(st.just("condemn"), _NUMBER),
    st.tuples(st.just("rehome"), _NUMBER),
    st.tuples(st.just("absent"), _NUMBER),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("compact")),
)

STEPS = st.tuples(
    st.lists(st.tuples(COMMIT, st.booleans()), min_size=1, max_size=4),
    st.lists(st.tuples(STEP, st.booleans()), max_size=12),
)
"""Steps, and whether the catalog looks after each; a few commits to begin with."""


class Story:
    """A store that things happen to, and a catalog that looks now and then."""

    def __init__(self, folder: Path) -> None:
        self.world = World()
        self.folder = folder
        self.catalog = self.new_catalog(folder)

    def new_catalog(self, folder: Path) -> Catalog:
        return Catalog(folder, self.world.log.form.store_id, self.world.backend.url, threads=1)

    def pick(self, number: int) -> CommitId | None:
        commits = list(self.world.versions)
        return commits[-1 - number % len(commits)] if commits else None

    def run(self, step: tuple[Any, ...]) -> None:
        getattr(self, step[0])(*step[1:])

    def commit(self, ref: int, base: int, tensors: Sequence[int], kind: int) -> None:
        chosen = {f"t{i}": tensor(seed) for i, seed in enumerate(tensors)}
        previews = {name: tensor(f"q{digest}") for name, digest in list(chosen.items())[: kind % 3]}
        origin = self.pick(base) if kind % 2 else None
        against = {}
        if origin is not None and origin in self.world.reachable():
            known = [d for f in self.world.versions[origin].manifest.files for d in f.tensors]
            against = {n: d for n, d in zip(chosen, known, strict=False) if chosen[n] != d}
        name = REFS[:3][ref % 3]
        live = origin is not None and self.world.meta(origin) in self.world.log.state.live
        self.world.commit(
            chosen,
            ref=name,
            base=origin if live else None,
            previews=previews,
            against={} if self.circular(against, chosen) else against,
            blobs=[bytes([kind]) * kind],
        )

    def circular(self, against: dict[str, Any], chosen: dict[str, Any]) -> bool:
        return bool(set(against.values()) & set(chosen.values()))

    def move(self, ref: int, commit: int) -> None:
        name, to, state = REFS[ref % 5], self.pick(commit), self.world.log.refresh()
        if to is None or state.commits[to] not in state.live or state.ref(name) == to:
            return
        if "tags" in name and name in state.refs and state.refs[name].last != to:
            return
        if self.world.reachable_from(to):
            self.world.entry({name: to})

    def delete(self, ref: int) -> None:
        name = REFS[ref % 5]
        if self.world.log.refresh().ref(name) is not None:
            self.world.entry({name: None})

    def condemn(self, number: int) -> None:
        """Any pack of weights may die here; a meta pack when no ref keeps its commits."""
        state = self.world.log.refresh()
        kept = {state.commits[commit] for commit in self.world.reachable()}
        packs = [pack for pack in sorted(state.live) if pack not in kept]
        if packs:
            self.world.entry(condemn=[packs[number % len(packs)]])

    def rehome(self, commit: int) -> None:
        chosen = self.pick(commit)
        if chosen is not None:
            self.world.rehome(chosen)

    def absent(self, commit: int) -> None:
        chosen = self.pick(commit)
        if chosen is not None:
            header = self.world.versions[chosen].header
            preview = header.preview
            also = [preview.manifest] if preview and commit % 2 else []
            self.world.entry(absent=[header.manifest, *also])

    def sync(self) -> None:
        assert self.catalog.sync(*self.world.fresh())

    def reopen(self) -> None:
        self.catalog.close()
        self.catalog = self.new_catalog(self.folder)

    def compact(self) -> None:
        before = keeping.MAX_TAIL_ENTRIES
        keeping.MAX_TAIL_ENTRIES = 0
        try:
            self.sync()
        finally:
            keeping.MAX_TAIL_ENTRIES = before


@settings(max_examples=(settings.default or settings()).max_examples // 3)
@given(steps=STEPS)
def test_following_a_store_is_the_same_as_reading_it_whole(
    steps: tuple[list[tuple[Any, bool]], list[tuple[Any, bool]]],
) -> None:
    with TemporaryDirectory() as folder:
        story = Story(Path(folder) / "followed")
        for step, looks in (*steps[0], *steps[1]):
            story.run(step)
            if looks:
                story.sync()
        expected = Oracle(story.world).answers()
        story.sync()
        assert answers(story.catalog, story.world) == expected
        with story.new_catalog(Path(folder) / "whole") as whole:
            whole.sync(*story.world.fresh())
            assert answers(whole, story.world) == expected
            assert whole.tensors_named("*") == story.catalog.tensors_named("*")
            assert whole.commits_of("me/x") == story.catalog.commits_of("me/x")
        story.catalog.close()
