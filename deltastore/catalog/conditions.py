"""Terms of a filter as SQL: fixed texts with places for values, which are always bound."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deltastore.catalog.moments import Span

if TYPE_CHECKING:
    from deltastore.catalog.filters import Filter, Term

__all__ = ["Conditions", "Place", "conditions_of"]

_ESCAPE = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})

_COMPARED = {
    ":": "{} = ?",
    "=": "{} = ?",
    "<": "{} < ?",
    "<=": "{} <= ?",
    ">": "{} > ?",
    ">=": "{} >= ?",
}

_FITTED = {
    ":": "{} LIKE ? ESCAPE '\\'",
    "=": "{} = ?",
    "~": "contains(lower({}), lower(?))",
}

_IN_SPAN = {
    "<": ("{} < ?", ("first",)),
    "<=": ("{} < ?", ("end",)),
    ">": ("{} >= ?", ("end",)),
    ">=": ("{} >= ?", ("first",)),
    "=": ("{0} >= ? AND {0} < ?", ("first", "end")),
    ":": ("{0} >= ? AND {0} < ?", ("first", "end")),
}

_BEGINS = "starts_with({}, ?)"
_TIME = "try_cast(c.time AS TIMESTAMP)"

Sql = tuple[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Place:
    """Refs, whose commits or histories a term is about.

    Attributes:
        condition: on `refs`, as SQL.
        values: bound in it.
        history: the commits behind the refs as well, along parents.
    """

    condition: str
    values: tuple[str, ...]
    history: bool


@dataclass(slots=True)
class Conditions:
    """A filter as one condition on a commit `c`.

    Attributes:
        text: the condition.
        values: bound in it, in order.
        places: tables `place0`, `place1`... of numbers `n` that it reads.
    """

    text: str = ""
    values: list[Any] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)

    def numbers(self, place: Place) -> str:
        """Where the numbers of a place's commits are read."""
        if place not in self.places:
            self.places.append(place)
        return f"(FROM place{self.places.index(place)})"


def conditions_of(found: Filter) -> Conditions:
    """A whole filter."""
    made = Conditions()
    texts = []
    for terms in found.alternatives:
        models = [term for term in terms if term.field.kind == "model" and not term.negated]
        parts = [_condition(made, term, models) for term in terms]
        made.values += [value for _, values in parts for value in values]
        texts.append(" AND ".join(text for text, _ in parts) or "true")
    made.text = " OR ".join(f"({text})" for text in texts)
    return made


def _condition(made: Conditions, term: Term, models: list[Term]) -> Sql:
    """One term; never NULL, so that it can be turned round."""
    text, values = _positive(made, term, models)
    return (f"NOT ({text})" if term.negated else f"({text})"), values


def _positive(made: Conditions, term: Term, models: list[Term]) -> Sql:
    kind = term.field.kind
    if kind in ("model", "branch", "tag"):
        return f"c.n IN {made.numbers(_place(term, [] if term.negated else models))}", []
    if kind == "base":
        return _base(made, term)
    if kind in ("metric", "meta"):
        return _measured(term)
    if kind in ("file", "tensor"):
        return _inside(term)
    return _own(term)


def _own(term: Term) -> Sql:
    """What is recorded of a commit itself."""
    kind, value = term.field.kind, term.value
    if isinstance(value, Span):
        text, ends = _IN_SPAN[term.operator]
        return f"coalesce({text.format(_TIME)}, false)", [getattr(value, end) for end in ends]
    if kind in ("files", "bytes"):
        return _COMPARED[term.operator].format(f"c.{kind}"), [value]
    if kind == "commit":
        return _BEGINS.format(_id("c")), [value]
    if term.operator == ":" and not _is_glob(value):
        return _FITTED["~"].format(f"c.{kind}"), [value]
    return _fit(f"c.{kind}", term.operator, str(value))


def _id(table: str) -> str:
    words = ", ".join(f"{table}.k{i}" for i in range(4))
    return f"format('{{:016x}}{{:016x}}{{:016x}}{{:016x}}', {words})"


def _is_glob(value: object) -> bool:
    return isinstance(value, str) and ("*" in value or "?" in value)


def _fit(column: str, operator: str, value: str) -> Sql:
    """A name or text that fits: `*` and `?` stand for anything after `:`."""
    if operator == ":":
        value = value.translate(_ESCAPE).replace("*", "%").replace("?", "_")
    return _FITTED[operator].format(column), [value]


def _place(term: Term, models: list[Term]) -> Place:
    """The refs that a term names; a branch or tag of the models named beside it."""
    kind = term.field.kind
    named = [("model", term)] if kind == "model" else [("ref", term)]
    if kind != "model":
        named += [("model", model) for model in models]
    parts = [_fit(column, each.operator, str(each.value)) for column, each in named]
    limit = "model <> ''" if kind == "model" else f"kind = '{kind}'"
    text = " AND ".join([limit, *(part for part, _ in parts)])
    values = tuple(value for _, values in parts for value in values)
    return Place(text, values, history=kind != "tag")


def _base(made: Conditions, term: Term) -> Sql:
    value = str(term.value)
    linked = "SELECT l.n FROM links l {} WHERE l.role = 'base' AND {}"
    if value == "none":
        return f"c.n NOT IN ({linked.format('', 'true')})", []
    if "/" not in value:
        return f"c.n IN ({linked.format('', _BEGINS.format(_id('l')))})", [value]
    model, at, name = value.partition("@")
    operator = term.operator
    parts = [_fit("model", operator, model)] + ([_fit("ref", operator, name)] if at else [])
    text = " AND ".join(["model <> ''", *(part for part, _ in parts)])
    place = Place(text, tuple(each for _, values in parts for each in values), history=not at)
    joined = linked.format("JOIN commits b USING (k0, k1, k2, k3)", f"b.n IN {made.numbers(place)}")
    return f"c.n IN ({joined})", []


def _measured(term: Term) -> Sql:
    """A metric or a remark of that name, whose value fits."""
    metric = term.field.kind == "metric"
    table = "metrics" if metric else "metadata"
    text, values = _value(term, "value" if metric else "try_cast(value AS DOUBLE)")
    return (
        f"c.n IN (SELECT n FROM {table} WHERE name = ? AND {text})",  # noqa: S608 - texts of this module
        [term.field.name, *values],
    )


def _value(term: Term, number: str) -> Sql:
    if term.value is None:
        return "true", []
    if isinstance(term.value, float):
        return f"coalesce({_COMPARED[term.operator].format(number)}, false)", [term.value]
    return _fit("value", term.operator, str(term.value))


def _inside(term: Term) -> Sql:
    """A file or tensor of the version; a file's name is enough without its folder."""
    value = str(term.value)
    table, column = ("tensors", "name") if term.field.kind == "tensor" else ("files", "path")
    if table == "files" and "/" not in value and term.operator != "~":
        column = "string_split(path, '/')[-1]"
    text, values = _fit(column, term.operator, value)
    rows = f"SELECT n FROM {table} WHERE fidelity & 1 <> 0 AND coalesce({text}, false)"  # noqa: S608 - texts of this module
    return f"c.n IN ({rows})", values
