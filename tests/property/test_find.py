"""`find` answers as plain Python does, whatever the history; its parser refuses in one way only."""

from __future__ import annotations

import operator
import re
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from deltastore.catalog.catalog import Catalog
from deltastore.catalog.filters import parse_filter, resolved
from deltastore.catalog.finding import wanted_of
from deltastore.catalog.moments import Span
from deltastore.errors import InvalidError
from deltastore.history.refs import parse_ref
from tests.unit.catalog.worlds import World, tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from deltastore.catalog.filters import Term
    from deltastore.history.commits import CommitHeader
    from deltastore.ids import CommitId

REFS = (
    "models/me/x/heads/main",
    "models/me/x/heads/dev",
    "models/team/a_b/heads/main",
    "models/team/axb/tags/v1",
    "keep/mine",
)
TIMES = (
    "2025-12-31T23:59:59Z",
    "2026-01-01T00:00:00Z",
    "2026-01-01T12:00:00.5Z",
    "2026-02-29T00:00:00Z",  # the format takes it, no calendar does
)
AUTHORS = ("Ada <ada@x.org>", "Bob_B", "ÉMILE 100%")
NUMBERS = ("0.5", "1", "-2e3", "1e400")

COMMIT = st.tuples(
    st.integers(0, 4),
    st.none() | st.integers(0, 5),
    st.fixed_dictionaries(
        {
            "author": st.sampled_from(AUTHORS),
            "time": st.sampled_from(TIMES),
            "metadata": st.dictionaries(
                st.sampled_from(["run", "e_p"]), st.sampled_from(["4", "4%", "x"])
            ),
            "metrics": st.dictionaries(st.sampled_from(["mmlu", "loss"]), st.sampled_from(NUMBERS)),
        }
    ),
    st.lists(st.sampled_from(["lm_head.w", "layers.0.w", "lm?head"]), unique=True, max_size=2),
)
DELETED = st.tuples(st.just("delete"), st.integers(0, 4))

_NAME = st.sampled_from(
    ["*", "me/x", "team/a_b", "*/a?b", "main", "v1", "m*", "d", "lm_head.*", "ada"]
)
_TERM = st.one_of(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(
            ["model", "branch", "tag", "author", "message", "file", "tensor", "meta.run"]
        ),
        st.sampled_from([":", "=", "~", "!="]),
        _NAME
        | st.sampled_from(["Bob_B", "é", "100%", "number", "f000.json", "model.safe*", "4%", "4"]),
    ),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["metric.mmlu", "metric.loss", "files", "bytes", "meta.run", "meta.e_p"]),
        st.sampled_from(["=", "<", "<=", ">", ">=", "!="]),
        st.sampled_from(["0.5", "1", "2", "-2000", "4", "200"]),
    ),
    st.builds(
        "time{}{}".format,
        st.sampled_from([":", "=", "<", "<=", ">", ">=", "!="]),
        st.sampled_from(["2025", "2026-01", "2026-01-01", "2026-01-01T12:00:00.5Z"]),
    ),
    st.sampled_from(
        ["base:none", "base:me/x", "base:team/*", "base:team/axb@v1", "base=me/x@dev",
         "metric.mmlu:*", "meta.e_p:*", "number"]
    ),
)  # fmt: skip
QUERY = st.lists(
    st.lists(st.tuples(st.booleans(), _TERM), min_size=1, max_size=3), min_size=1, max_size=2
).map(
    lambda sets: " or ".join(
        " ".join(f"{'-' * turned}{term}" for turned, term in terms) for terms in sets
    )
)

_COMPARED: dict[str, Callable[[float, float], bool]] = {
    ":": operator.eq,
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Twin:
    """The answers for a world as it stands."""

    def __init__(self, world: TensorWorld) -> None:
        self.world = world
        self.state = world.log.refresh()
        refs = ((parse_ref(name), self.state.ref(name)) for name in self.state.refs)
        self.refs = [(ref, commit) for ref, commit in refs if commit and ref.model]
        self.headers: dict[CommitId, CommitHeader] = {
            commit: version.header for commit, version in world.versions.items()
        }

    @cached_property
    def recorded(self) -> list[list[str]]:
        reached = [self.headers[commit] for commit in self.world.reachable()]
        return [
            sorted({name for h in reached for name in getattr(h, kind)})
            for kind in ("metadata", "metrics")
        ]

    def behind(self, commits: Iterable[CommitId]) -> set[CommitId]:
        found: set[CommitId] = set()
        pending = list(commits)
        while pending:
            commit = pending.pop()
            if commit not in found:
                found.add(commit)
                pending += self.headers[commit].parents
        return found

    def find(self, query: str, *, tips: bool, sort: str, ascending: bool) -> list[CommitId]:
        wanted = resolved(parse_filter(query), *self.recorded)
        standing = {commit for _, commit in self.refs}
        found = [
            commit
            for commit in reversed(self.headers)
            if commit in self.world.reachable()
            and (not tips or commit in standing)
            and any(
                all(self.fits(commit, term, terms) for term in terms)
                for terms in wanted.alternatives
            )
        ]
        found.sort(key=lambda commit: self.time(commit) or datetime.min, reverse=True)
        if sort != "time":
            found = self.sorted(found, sort.removeprefix("metric."), ascending=ascending)
        elif ascending:
            found.sort(key=list(self.headers).index)
            found.sort(key=lambda commit: self.time(commit) or datetime.max)
        return found

    def sorted(self, found: list[CommitId], name: str, *, ascending: bool) -> list[CommitId]:
        def key(commit: CommitId) -> float:
            return float(self.headers[commit].metrics[name])

        having = [commit for commit in found if name in self.headers[commit].metrics]
        having.sort(key=key, reverse=not ascending)
        return having + [commit for commit in found if commit not in having]

    def time(self, commit: CommitId) -> datetime | None:
        try:
            return datetime.fromisoformat(self.headers[commit].time.removesuffix("Z"))
        except ValueError:
            return None

    def fits(self, commit: CommitId, term: Term, terms: Iterable[Term]) -> bool:
        return self.positive(commit, term, terms) != term.negated

    def positive(self, commit: CommitId, term: Term, terms: Iterable[Term]) -> bool:
        header, version = self.headers[commit], self.world.versions[commit]
        kind = term.field.kind
        if kind in ("model", "branch", "tag"):
            return self.placed(commit, term, [] if term.negated else terms)
        if kind in ("files", "bytes"):
            size = len(version.manifest.files) if kind == "files" else version.manifest.size
            return _COMPARED[term.operator](size, number(term))
        answers: dict[str, Callable[[], bool]] = {
            "base": lambda: self.based(header.base, term),
            "time": lambda: within(self.time(commit), term),
            "metric": lambda: measured(header.metrics.get(term.field.name), term),
            "meta": lambda: measured(header.metadata.get(term.field.name), term),
            "tensor": lambda: any(fit(name, term) for name in self.world.tensors[commit]),
            "file": lambda: any(fit(file.path, term) for file in version.manifest.files),
            "author": lambda: told_of(header.author, term),
            "message": lambda: told_of(header.message, term),
        }
        return answers[kind]()

    def placed(self, commit: CommitId, term: Term, terms: Iterable[Term]) -> bool:
        kind = term.field.kind
        models = [each for each in terms if each.field.kind == "model" and not each.negated]
        if kind == "model":
            roots = {c for ref, c in self.refs if fit(ref.model, term)}
        else:
            roots = {
                c
                for ref, c in self.refs
                if ref.kind == kind
                and fit(ref.name, term)
                and all(fit(ref.model, m) for m in models)
            }
        return commit in (roots if kind == "tag" else self.behind(roots))

    def based(self, base: CommitId | None, term: Term) -> bool:
        value = str(term.value)
        if value == "none" or base is None:
            return value == "none" and base is None
        model, at, name = value.partition("@")
        roots = {
            commit
            for ref, commit in self.refs
            if like(ref.model, term.operator, model)
            and (not at or like(ref.name, term.operator, name))
        }
        return base in (roots if at else self.behind(roots))


def number(term: Term) -> float:
    assert isinstance(term.value, float)
    return term.value


def within(time: datetime | None, term: Term) -> bool:
    assert isinstance(term.value, Span)
    if time is None:
        return False
    first, end = term.value.first, term.value.end
    return {
        "<": time < first,
        "<=": time < end,
        ">": time >= end,
        ">=": time >= first,
    }.get(term.operator, first <= time < end)


def told_of(text: str, term: Term) -> bool:
    if term.operator == ":" and not set("*?") & set(str(term.value)):
        return str(term.value).lower() in text.lower()
    return fit(text, term)


def measured(text: str | None, term: Term) -> bool:
    if text is None or term.value is None:
        return text is not None
    if not isinstance(term.value, float):
        return fit(text, term)
    try:
        return _COMPARED[term.operator](float(text), term.value)
    except ValueError:
        return False


def fit(text: str, term: Term) -> bool:
    return like(text, term.operator, str(term.value))


def like(text: str, how: str, value: str) -> bool:
    if how == "~":
        return value.lower() in text.lower()
    if how == "=":
        return text == value
    pattern = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in value)
    return re.fullmatch(pattern, text, re.DOTALL) is not None


class TensorWorld(World):
    """A world that remembers the names of each commit's tensors."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.tensors: dict[CommitId, list[str]] = {}


def told(steps: list[tuple[Any, ...]]) -> TensorWorld:
    world = TensorWorld()
    for step in steps:
        if step[0] == "delete":
            if world.log.refresh().ref(REFS[step[1]]):
                world.entry({REFS[step[1]]: None})
            continue
        ref, origin, facts, names = step
        commits = list(world.versions)
        base = commits[origin % len(commits)] if commits and origin is not None else None
        if ref == 3 and REFS[3] in world.log.refresh().refs:
            continue  # a tag does not move, not even where it was deleted
        tensors = {name: tensor((name, len(commits))) for name in names}
        commit = world.commit(tensors, ref=REFS[ref], base=base, blobs=[b"{}"], **facts)
        world.tensors[commit] = names
    return world


@given(
    steps=st.lists(COMMIT | COMMIT | DELETED, min_size=1, max_size=6),
    queries=st.lists(
        st.tuples(QUERY, st.booleans(), st.sampled_from(["time", "metric.mmlu"]), st.booleans()),
        min_size=1,
        max_size=8,
    ),
)
def test_find_agrees_with_plain_python(
    steps: list[tuple[Any, ...]], queries: list[tuple[str, bool, str, bool]]
) -> None:
    world = told(steps)
    twin = Twin(world)
    nowhere = Path("/dev/null")  # a catalog in memory
    with Catalog(nowhere, world.log.form.store_id, world.backend.url, threads=1) as catalog:
        catalog.sync(world.log, world.history)
        for query, tips, sort, ascending in queries:
            if sort != "time" and "mmlu" not in twin.recorded[1]:
                continue
            wanted = wanted_of(query, sort=sort, ascending=ascending, tips=tips, limit=None)
            found = [row[2] for row in catalog.find(wanted).rows]
            assert found == twin.find(query, tips=tips, sort=sort, ascending=ascending), query


@given(st.text() | st.text(alphabet=' "\\-:=<>~!.*@/orabmetric.time0129kGi'))
def test_the_parser_refuses_in_one_way(text: str) -> None:
    try:
        terms = parse_filter(text).terms
    except InvalidError as refused:
        terms, reason = (), str(refused)
    else:
        reason = "find: "
    assert reason.startswith("find: ")
    assert all(0 < term.position <= len(text) for term in terms)
