"""The small language of `find`, taken apart: `metric.mmlu>0.6 base:meta/llama -author:ada`.

Terms stand side by side and all have to fit; `or` between them begins another set of terms; a
minus in front of a term turns it round. The grammar is docs/how-to/find-versions.md.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from deltastore.catalog.moments import Span, parse_span
from deltastore.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["FIELDS", "Field", "Filter", "Term", "parse_field", "parse_filter", "resolved"]

MAX_TERMS = 64
MAX_LENGTH = 10_000

_NAMES = (":", "=", "~")
_NUMBERS = (":", "=", "<", "<=", ">", ">=")

FIELDS: dict[str, tuple[str, ...]] = {
    "model": _NAMES,
    "branch": _NAMES,
    "tag": _NAMES,
    "commit": (":", "="),
    "base": (":", "="),
    "author": _NAMES,
    "message": _NAMES,
    "time": _NUMBERS,
    "file": _NAMES,
    "tensor": _NAMES,
    "files": _NUMBERS,
    "bytes": _NUMBERS,
    "metric": _NUMBERS,
    "meta": (*_NAMES, "<", "<=", ">", ">="),
    "recorded": (*_NAMES, "<", "<=", ">", ">="),
}
"""What can be asked, and the operators each field takes; `!=` is `=` turned round. `metric` and
`meta` have a name after a dot; `recorded` is a name alone: somebody's metadata, or a metric."""

_TOKEN = re.compile(
    r"""
    (?P<minus>-?)
    (?: (?P<field>[^\s":=<>~!]+ (?:"(?:[^"\\]|\\.)*")?) (?P<operator>[<>!]=|[:=<>~]) )?
    (?P<value>"(?:[^"\\]|\\.)*" | [^\s"]*)
    (?=\s|$)
    """,
    re.VERBOSE | re.DOTALL,
)
_POWERS = "kmgt"
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?))?b?", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True, slots=True)
class Field:
    """What a term or an order is about.

    Attributes:
        kind: one of `FIELDS`.
        name: of the metric or metadata; empty otherwise.
    """

    kind: str
    name: str = ""

    @property
    def text(self) -> str:
        """As it is typed, and as a column is called."""
        return f"{self.kind}.{self.name}" if self.kind in ("metric", "meta") else self.kind


@dataclass(frozen=True, slots=True)
class Term:
    """One condition.

    Attributes:
        field: that it is about.
        operator: one of `: = ~ < <= > >=`.
        value: to compare with: a number of `files`, `bytes` and `metric`, a span of `time`; None
            for whatever is recorded at all (`metric.mmlu:*`).
        negated: whether it must not fit.
        position: of its first character in the text, from 1.
    """

    field: Field
    operator: str
    value: str | float | Span | None
    negated: bool = False
    position: int = 1


@dataclass(frozen=True, slots=True)
class Filter:
    """A text, taken apart: a version fits if all terms of one alternative do."""

    alternatives: tuple[tuple[Term, ...], ...]

    @property
    def terms(self) -> tuple[Term, ...]:
        """All terms, in order."""
        return tuple(term for terms in self.alternatives for term in terms)


def parse_filter(text: str) -> Filter:
    """Take a filter apart.

    Raises:
        InvalidError: it breaks the grammar; the message says where.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidError(f"find: {len(text):,} characters, more than {MAX_LENGTH:,}")
    alternatives: list[list[Term]] = [[]]
    ended = 0
    for found in _tokens(text):
        ended = found.end()
        if found[0].lower() == "or":
            if not alternatives[-1]:
                raise _at(found.start(), "'or' stands between terms")
            alternatives.append([])
        else:
            alternatives[-1].append(_term(found))
    if len(alternatives) > 1 and not alternatives[-1]:
        raise _at(ended, "nothing after 'or'")
    if sum(map(len, alternatives)) > MAX_TERMS:
        raise InvalidError(f"find: more than {MAX_TERMS} terms")
    return Filter(tuple(map(tuple, alternatives)))


def _tokens(text: str) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        found = _TOKEN.match(text, position)
        if found is None:
            raise _at(position, "a quotation mark is missing, or there is one too many")
        yield found
        position = found.end()


def _term(found: re.Match[str]) -> Term:
    negated, position = bool(found["minus"]), found.start()
    value = _unquoted(found["value"])
    if found["field"] is None:
        if not value:
            raise _at(position, f"{found[0]} says nothing")
        return Term(Field("message"), "~", value, negated, position + 1)
    field = parse_field(found["field"], position)
    operator = found["operator"]
    if operator == "!=":
        operator, negated = "=", not negated
    if operator not in FIELDS[field.kind]:
        allowed = " ".join(FIELDS[field.kind])
        raise _at(position, f"{found['field']} does not take {operator}", f"it takes: {allowed}")
    if not value and found["value"] != '""':
        raise _at(position, f"nothing after {found['field']}{found['operator']}")
    term = Term(field, operator, value, negated, position + 1)
    return replace(term, value=_value(term, value))


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)


def parse_field(text: str, position: int = 0) -> Field:
    """What a name such as `time`, `metric.mmlu` or `run` stands for.

    Raises:
        InvalidError: a name is missing.
    """
    kind, dot, rest = text.partition(".")
    if kind in ("metric", "meta"):
        name = _unquoted(rest)
        if not dot or not name:
            raise _at(position, f"{kind} of what?", f"write {kind}.NAME")
        return Field(kind, name)
    if text in FIELDS and text != "recorded":
        return Field(text)
    return Field("recorded", text)


def _value(term: Term, text: str) -> str | float | Span | None:
    kind = term.field.kind
    if text == "*" and term.operator == ":" and kind in ("metric", "meta", "recorded"):
        return None
    if kind == "time":
        return _span(term, text)
    if kind in ("files", "bytes", "metric") or term.operator in _NUMBERS[2:]:
        return _number(term, text)
    if kind == "commit" and not _HEX.fullmatch(text):
        raise _at(term.position - 1, f"{text!r} is not the beginning of a commit id", _COMMIT_HINT)
    if kind == "base" and "/" not in text and text != "none" and not _HEX.fullmatch(text):
        raise _at(term.position - 1, f"{text!r} is neither a model nor a commit id", _BASE_HINT)
    return text


_COMMIT_HINT = "4 to 64 hex digits"
_BASE_HINT = "base:NS/NAME, base:NS/NAME@REF, base:COMMIT or base:none; * and ? stand for anything"


def _span(term: Term, text: str) -> Span:
    try:
        return parse_span(text)
    except ValueError:
        raise _at(
            term.position - 1,
            f"{text!r} is not a time",
            "write 2026, 2026-01, 2026-01-31 or 2026-01-31T12:30:00Z",
        ) from None


def _number(term: Term, text: str) -> float:
    try:
        number = _size(text) if term.field.kind == "bytes" else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _at(term.position - 1, f"{text!r} is not a number")
    return number


def _size(text: str) -> float:
    """Bytes of `5GB`, `512MiB` or `1000`."""
    found = _SIZE.fullmatch(text)
    if found is None or found[2] is None:
        return float(found[1] if found else text)
    power = _POWERS.index(found[2].lower()) + 1
    unit: int = (1024 if found[3] else 1000) ** power
    return float(found[1]) * unit


def resolved(found: Filter, metadata: Sequence[str], metrics: Sequence[str]) -> Filter:
    """The filter with every name alone turned into the metadata or metric it stands for.

    Args:
        found: to resolve.
        metadata: names that some version records.
        metrics: the same.

    Raises:
        InvalidError: nothing of that name is recorded; the message says where it stands.
    """
    return Filter(
        tuple(
            tuple(_resolved(term, metadata, metrics) for term in terms)
            for terms in found.alternatives
        )
    )


def _resolved(term: Term, metadata: Sequence[str], metrics: Sequence[str]) -> Term:
    name = term.field.name
    if term.field.kind != "recorded":
        return term
    if name in metadata:
        return replace(term, field=Field("meta", name))
    if name not in metrics:
        raise _unknown(term, (*metadata, *metrics))
    if term.operator not in FIELDS["metric"]:
        raise _at(term.position - 1, f"the metric {name} does not take {term.operator}")
    term = replace(term, field=Field("metric", name))
    return replace(term, value=_number(term, term.value)) if isinstance(term.value, str) else term


def _unknown(term: Term, recorded: Sequence[str]) -> InvalidError:
    """A name is neither a field nor recorded anywhere in the store."""
    fields = [kind for kind in FIELDS if kind != "recorded"]
    near = get_close_matches(term.field.name, [*fields, *recorded], n=1)
    dotted = (f"{kind}.NAME" if kind in ("metric", "meta") else kind for kind in fields)
    hint = f"fields: {', '.join(dotted)}"
    if recorded:
        hint += f"; recorded here: {', '.join(recorded[:10])}"
    if near:
        hint = f"did you mean {near[0]!r}? {hint}"
    return _at(term.position - 1, f"unknown field {term.field.name!r}", hint)


def _at(position: int, reason: str, hint: str = "") -> InvalidError:
    return InvalidError(
        f"find: at character {position + 1}: {reason}",
        hint=hint or "an example: metric.mmlu>0.6 base:meta/llama -author:ada message~sft",
    )
