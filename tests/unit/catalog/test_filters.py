"""The language of `find`: what is understood, and how the rest is refused."""

from __future__ import annotations

from datetime import datetime

import pytest

from deltastore.catalog.filters import Field, Filter, Term, parse_filter, resolved
from deltastore.catalog.moments import Span, parse_span
from deltastore.errors import InvalidError


def only(text: str) -> Term:
    (term,) = parse_filter(text).terms
    return term


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("metric.mmlu>0.6", Term(Field("metric", "mmlu"), ">", 0.6)),
        ("metric.mmlu>=-1e3", Term(Field("metric", "mmlu"), ">=", -1000.0)),
        ('metric."a b:c"<1', Term(Field("metric", "a b:c"), "<", 1.0)),
        ("metric.gsm8k/5-shot:*", Term(Field("metric", "gsm8k/5-shot"), ":", None)),
        ("base:meta/llama", Term(Field("base"), ":", "meta/llama")),
        ("author:ada", Term(Field("author"), ":", "ada")),
        ("run=42", Term(Field("recorded", "run"), "=", "42")),
        ("epoch>3", Term(Field("recorded", "epoch"), ">", 3.0)),
        ('message~"sft, 3 \\"epochs\\""', Term(Field("message"), "~", 'sft, 3 "epochs"')),
        ("-model:team/*", Term(Field("model"), ":", "team/*", negated=True)),
        ("author!=ada", Term(Field("author"), "=", "ada", negated=True)),
        ("-author!=ada", Term(Field("author"), "=", "ada")),
        ("sft", Term(Field("message"), "~", "sft")),
        ('"or"', Term(Field("message"), "~", "or")),
        ("meta.note=a=b:c", Term(Field("meta", "note"), "=", "a=b:c")),
        ('meta.note=""', Term(Field("meta", "note"), "=", "")),
        ("bytes>1.5kB", Term(Field("bytes"), ">", 1500.0)),
        ("bytes>=2GiB", Term(Field("bytes"), ">=", 2.0 * 1024**3)),
        ("commit:4c1f", Term(Field("commit"), ":", "4c1f")),
    ],
)
def test_a_term(text: str, term: Term) -> None:
    assert only(text) == term


def test_terms_stand_side_by_side_or_apart() -> None:
    found = parse_filter("  a b or\tc ")
    assert [[term.value for term in terms] for terms in found.alternatives] == [["a", "b"], ["c"]]
    assert [term.position for term in found.terms] == [3, 5, 10]
    assert parse_filter("") == Filter(((),))


@pytest.mark.parametrize(
    ("text", "first", "end"),
    [
        ("2026", datetime(2026, 1, 1), datetime(2027, 1, 1)),
        ("2026-12", datetime(2026, 12, 1), datetime(2027, 1, 1)),
        ("2024-02-29", datetime(2024, 2, 29), datetime(2024, 3, 1)),
        ("2026-01-02T03:04", datetime(2026, 1, 2, 3, 4), datetime(2026, 1, 2, 3, 5)),
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5), datetime(2026, 1, 2, 3, 4, 6)),
        ("2026-01-02 03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5), datetime(2026, 1, 2, 1, 4, 6)),
        (
            "2026-01-02T03:04:05.25",
            datetime(2026, 1, 2, 3, 4, 5, 250_000),
            datetime(2026, 1, 2, 3, 4, 5, 250_001),
        ),
    ],
)
def test_a_time_is_a_span(text: str, first: datetime, end: datetime) -> None:
    assert parse_span(text) == Span(first, end)


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("author:ada metric.mmlu~x", 12, "does not take ~"),
        ("metric>1", 1, "metric of what?"),
        ("metric.>1", 1, "metric of what?"),
        ("a metric.mmlu>high", 3, "'high' is not a number"),
        ("metric.mmlu>inf", 1, "not a number"),
        ("bytes>3XB", 1, "not a number"),
        ("time>yesterday", 1, "not a time"),
        ("time>2026-02-30", 1, "not a time"),
        ("time>9999", 1, "not a time"),
        ("time>0000", 1, "not a time"),
        ("time>2026-01-01T00:00:00+99:00", 1, "not a time"),
        ("message~", 1, "nothing after message~"),
        ('a "b', 3, "quotation mark"),
        ('a"b"', 1, "quotation mark"),
        ("-", 1, "says nothing"),
        ("or a", 1, "'or' stands between"),
        ("a or or b", 6, "'or' stands between"),
        ("a or", 5, "nothing after 'or'"),
        ("commit:xyz", 1, "not the beginning of a commit id"),
        ("base:llama", 1, "neither a model nor a commit id"),
    ],
)
def test_what_is_refused_says_where(text: str, position: int, reason: str) -> None:
    with pytest.raises(InvalidError, match=f"at character {position}: ") as caught:
        parse_filter(text)
    assert reason in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["a " * 65, "a" * 10_001])
def test_too_much_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="more than"):
        parse_filter(text)


def test_a_name_alone_is_what_somebody_recorded() -> None:
    found = parse_filter("run=42 -mmlu>=0.5 or loss:1")
    terms = resolved(found, ["run"], ["mmlu", "loss", "run"]).terms
    assert [term.field for term in terms] == [
        Field("meta", "run"),
        Field("metric", "mmlu"),
        Field("metric", "loss"),
    ]
    assert [term.value for term in terms] == ["42", 0.5, 1.0]
    assert [term.negated for term in terms] == [False, True, False]


def test_a_name_that_nobody_recorded_is_refused() -> None:
    with pytest.raises(InvalidError, match="at character 5: unknown field 'mmul'") as caught:
        resolved(parse_filter("sft mmul>0.5"), ["run"], ["mmlu"])
    assert "did you mean 'mmlu'" in caught.value.hint
    assert "fields: model, branch, tag" in caught.value.hint
    assert "recorded here: run, mmlu" in caught.value.hint
    with pytest.raises(InvalidError, match="the metric mmlu does not take ~"):
        resolved(parse_filter("mmlu~5"), [], ["mmlu"])
    with pytest.raises(InvalidError, match="'high' is not a number"):
        resolved(parse_filter("mmlu=high"), [], ["mmlu"])
