from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deltastore.errors import (
    AmbiguousError,
    DeltastoreError,
    InvalidError,
    NotFoundError,
    UsageError,
)
from deltastore.history.reflog import LoggedMove, reflog
from deltastore.history.resolving import Place, Resolved, resolve
from deltastore.history.revisions import Revision, Step, parse_revision
from deltastore.history.state import LogState, RefState
from deltastore.ids import CommitId
from tests.unit.history.samples import commit, header, pack
from tests.unit.history.stores import committing, started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deltastore.history.commits import CommitHeader

A, B, C, M = (CommitId(digit * 64) for digit in "abce")
TWIN = CommitId("a" * 63 + "0")
DATE = CommitId("20250101" + "f" * 56)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("me/x", ("model", "me/x", "main", ())),
        ("me/x@dev", ("model", "me/x", "dev", ())),
        ("me/x@a/b", ("model", "me/x", "a/b", ())),
        ("me/x~2", ("model", "me/x", "main", (Step("ancestor", 2),))),
        ("me/x^", ("model", "me/x", "main", (Step("parent", 1),))),
        ("me/x@v1~", ("model", "me/x", "v1", (Step("ancestor", 1),))),
        ("me/x@v1^2~3", ("model", "me/x", "v1", (Step("parent", 2), Step("ancestor", 3)))),
        ("me/x@main@{1}", ("model", "me/x", "main", (Step("reflog", 1),))),
        ("me/x@{3}", ("model", "me/x", "main", (Step("reflog", 3),))),
        ("me/x@v1^0", ("model", "me/x", "v1", (Step("parent", 0),))),
        ("@dev", ("workspace", None, "dev", ())),
        ("@dev~1", ("workspace", None, "dev", (Step("ancestor", 1),))),
        ("@", ("workspace", None, None, ())),
        ("@{1}", ("workspace", None, None, (Step("reflog", 1),))),
        ("HEAD", ("workspace", None, None, ())),
        ("HEAD~1", ("workspace", None, None, (Step("ancestor", 1),))),
        ("@HEAD^", ("workspace", None, None, (Step("parent", 1),))),
        ("abcdef1", ("commit", None, "abcdef1", ())),
        ("abcdef1~4", ("commit", None, "abcdef1", (Step("ancestor", 4),))),
    ],
)
def test_the_grammar(text: str, expected: tuple[object, ...]) -> None:
    parsed = parse_revision(text)
    assert parsed.text == text
    assert (parsed.scope, parsed.model, parsed.name, parsed.steps) == expected


@pytest.mark.parametrize(
    "text",
    [
        "me/x@a@b",
        "me/x@@a",
        "me/x~a",
        "me/x@v1{1}~x",
        "me/x@{a}",
        "me/x@{}",
        "a b/c",
        "me/x/y@v",
        "me/",
    ],
)
def test_what_cannot_be_taken_apart_is_invalid(text: str) -> None:
    with pytest.raises(InvalidError):
        parse_revision(text)


@pytest.mark.parametrize("text", ["", "main", "abc123", "ABCDEF12", "x" * 70, "~1", "^"])
def test_what_is_neither_model_nor_commit_is_not_found(text: str) -> None:
    with pytest.raises(NotFoundError, match="neither a model nor a commit") as caught:
        parse_revision(text)
    assert "NAMESPACE/NAME" in caught.value.hint


HEADERS = {
    A: header(message="A"),
    B: header(parents=[A]),
    C: header(parents=[A]),
    M: header(parents=[B, C]),
    TWIN: header(),
    DATE: header(),
}


def state_with(**refs: CommitId) -> LogState:
    """Refs by name: `heads_x` is a branch of me/x, `tags_x` a tag."""
    named = {f"models/me/x/{name.replace('_', '/')}": ref for name, ref in refs.items()}
    named |= {"models/me/other/heads/main": A}
    return LogState(
        v=9,
        head_hash=None,
        store_id="",
        refs={name: RefState(ref, 1, ref) for name, ref in named.items()},
        commits=dict.fromkeys(HEADERS, pack(1)),
    )


STATE = state_with(heads_main=M, heads_dev=B, tags_v1=A, tags_v2=B)


def no_reflog(_: str) -> Iterator[LoggedMove]:
    return iter(())


def found(text: str, state: LogState = STATE, place: Place | None = None) -> Resolved:
    return resolve(text, state, HEADERS.__getitem__, no_reflog, place=place)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("me/x", Resolved(M, "me/x", branch="main")),
        ("me/x@dev", Resolved(B, "me/x", branch="dev")),
        ("me/x@v1", Resolved(A, "me/x", tag="v1")),
        ("me/x~1", Resolved(B, "me/x")),
        ("me/x~2", Resolved(A, "me/x")),
        ("me/x^2", Resolved(C, "me/x")),
        ("me/x^2~1", Resolved(A, "me/x")),
        ("me/x^^", Resolved(A, "me/x")),
        ("me/x^0", Resolved(M, "me/x")),
        ("me/x@bbbb", Resolved(B, "me/x")),
        ("me/x@eeee~1", Resolved(B, "me/x")),
        ("bbbbbbb", Resolved(B, None)),
        ("b" * 64, Resolved(B, None)),
        ("eeeeeee^2", Resolved(C, None)),
        ("me/x@{0}", Resolved(M, "me/x")),
    ],
)
def test_resolving(text: str, expected: Resolved) -> None:
    assert found(text) == expected
    assert resolve(parse_revision(text), STATE, HEADERS.__getitem__, no_reflog) == expected


def test_resolving_in_a_workspace() -> None:
    place = Place("me/x", C, "dev")
    assert found("HEAD", place=place) == Resolved(C, "me/x", branch="dev")
    assert found("HEAD~1", place=place) == Resolved(A, "me/x")
    assert found("@v2", place=place) == Resolved(B, "me/x", tag="v2")
    assert found("@", place=place) == Resolved(C, "me/x", branch="dev")
    assert found("me/other", place=place) == Resolved(A, "me/other", branch="main")
    for text in ("@v2", "HEAD"):
        with pytest.raises(UsageError, match="needs a workspace") as caught:
            found(text)
        assert "NAMESPACE/NAME" in caught.value.hint


def test_a_branch_or_tag_wins_over_a_prefix_with_a_warning() -> None:
    state = state_with(heads_main=M, tags_20250101=A)
    got = found("me/x@20250101", state)
    assert (got.commit, got.tag) == (A, "20250101")
    assert "is a tag and the beginning of commit 20250101ffff" in got.warnings[0]
    state = state_with(heads_bbbb=A)
    got = found("me/x@bbbb", state)
    assert (got.commit, got.branch) == (A, "bbbb")
    assert "the branch counts" in got.warnings[0]
    assert found("me/x@bbbb^0", state).warnings == got.warnings


def test_a_tag_wins_over_a_branch_with_a_warning() -> None:
    got = found("me/x@same", state_with(heads_same=A, tags_same=B))
    assert (got.commit, got.tag, got.branch) == (B, "same", None)
    assert "is a tag and branch" in got.warnings[0]


def test_an_ambiguous_prefix_names_the_candidates() -> None:
    for text in ("me/x@aaaa", "aaaaaaaa"):
        with pytest.raises(AmbiguousError, match="several") as caught:
            found(text)
        assert "aaaa" in str(caught.value)
    assert found("a" * 64).commit == A
    assert found("a" * 63 + "0").commit == TWIN


def hint_of(text: str, state: LogState = STATE) -> tuple[str, str]:
    with pytest.raises(NotFoundError) as caught:
        found(text, state)
    return str(caught.value), caught.value.hint


def test_what_is_not_found_comes_with_suggestions() -> None:
    message, hint = hint_of("me/x@v9")
    assert message == "me/x@v9: no such branch, tag or commit"
    assert hint == "tags of this model: v1, v2. Did you mean me/x@v2?"
    assert (
        hint_of("me/x@zzz")[1] == "tags of this model: v1, v2. branches of this model: dev, main."
    )
    assert hint_of("me/x@dddd")[1].startswith("tags of this model")
    assert hint_of("me/x", state_with(heads_mian=A))[1].endswith("Did you mean me/x@mian?")
    assert hint_of("me/othr") == ("me/othr: no such model", "did you mean me/other?")
    assert hint_of("zzz/q")[1] == "models here: me/other, me/x"
    assert "no models yet" in hint_of("a/b", LogState(0, None, ""))[1]
    assert "no commit begins so" in hint_of("ddddddd")[0]


def test_steps_beyond_the_beginning() -> None:
    assert "is where the history begins" in hint_of("me/x~3")[0]
    assert "has 2 parents" in hint_of("me/x^3")[0]
    assert "goes back to @{0}, where it was made" in hint_of("me/x@{1}")[0]


def test_the_reflog_belongs_to_branches() -> None:
    for text in ("bbbbbbb@{1}", "me/x@v1@{1}", "me/x~1@{1}", "me/x@bbbb@{1}"):
        with pytest.raises(InvalidError, match="where a branch stood"):
            found(text)


def test_where_a_branch_stood() -> None:
    log = started()
    for seed in range(4):
        log.append(committing(seed))

    def no_header(_: CommitId) -> CommitHeader:
        raise AssertionError("no header is needed")

    def stood(text: str) -> CommitId:
        return resolve(text, log.state, no_header, lambda ref: reflog(log, ref)).commit

    assert [stood(f"me/x@{{{count}}}") for count in range(4)] == [commit(3 - n) for n in range(4)]
    assert stood("me/x@main@{2}") == commit(1)
    for text in ("me/x@{4}", "me/x@{5}"):
        with pytest.raises(NotFoundError, match=r"goes back to @\{3\}, where it was made"):
            stood(text)


def test_errors_are_of_the_tree() -> None:
    for text in ("me/x@v9", "x", "aaaaaaaa", "me/x@@"):
        with pytest.raises(DeltastoreError):
            found(text)
    assert isinstance(parse_revision("me/x"), Revision)
