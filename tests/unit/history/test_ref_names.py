from __future__ import annotations

import subprocess

import pytest

from deltastore.errors import InvalidError
from deltastore.history.refs import (
    Ref,
    branch_ref,
    check_model,
    check_ref_name,
    incoming_ref,
    keep_ref,
    looks_like_commit,
    parse_ref,
    tag_ref,
)

GOOD = [
    "main",
    "a/b",
    "feature/x-1.2",
    "v1.0",
    "deadbeef",
    "ünïcode",
    "a_b",
    "x+y",
    "é",
    "{1}",
    "1",
]
BAD = [
    *("", "a b", "a~b", "a^b", "a:b", "a?b", "a*b", "a[b", "a\\b", "a@b", "@", "a@{1}", "/a", "a/"),
    *("a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a..b", "a.", "-a", "a\x00b", "a\x7fb", "a\tb"),
]


@pytest.mark.parametrize("name", GOOD)
def test_good_names_are_taken_apart_again(name: str) -> None:
    assert parse_ref(branch_ref("me/x", name)) == Ref("branch", "me/x", name)
    assert parse_ref(tag_ref("me/x", name)) == Ref("tag", "me/x", name)


@pytest.mark.parametrize("name", BAD)
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidError, match="branch name"):
        branch_ref("me/x", name)
    with pytest.raises(InvalidError, match="tag name"):
        tag_ref("me/x", name)
    with pytest.raises(InvalidError):
        parse_ref(f"models/me/x/heads/{name}")


@pytest.mark.parametrize("name", [name for name in GOOD + BAD if name and "\x00" not in name])
def test_git_agrees_but_for_the_at_sign(name: str) -> None:
    command = ["git", "check-ref-format", "--branch", name]
    git = subprocess.run(command, capture_output=True, check=False)
    assert (git.returncode == 0 and "@" not in name) == (name in GOOD)


def test_other_names_that_are_refused() -> None:
    for name in ("x" * 256, "e\u0301", "\udc80", "HEAD"):
        with pytest.raises(InvalidError):
            check_ref_name(name)
    assert check_ref_name("x" * 255)


@pytest.mark.parametrize("model", ["me/x", "a/b.c-d_e", "0/1", "A" * 96 + "/" + "b" * 96])
def test_model_names(model: str) -> None:
    assert check_model(model) == model


@pytest.mark.parametrize(
    "model", ["me", "me/", "/x", "a/b/c", "a/.b", "-a/b", "a b/c", "a/b\n", "a" * 97 + "/b", "é/a"]
)
def test_what_is_no_model_name(model: str) -> None:
    with pytest.raises(InvalidError, match="model name") as caught:
        check_model(model)
    assert "namespace/name" in caught.value.hint


def test_roots_without_a_model() -> None:
    assert parse_ref(incoming_ref("0" * 32)) == Ref("incoming", "", "0" * 32)
    assert parse_ref(keep_ref("ada/7")) == Ref("keep", "", "ada/7")


@pytest.mark.parametrize(
    "full", ["", "main", "models/me/x", "models/me/x/heads", "models/me/x/heads/", "heads/me/x/a"]
)
def test_what_is_no_ref(full: str) -> None:
    with pytest.raises(InvalidError):
        parse_ref(full)


def test_names_that_look_like_commits_are_legal_but_known() -> None:
    assert looks_like_commit("20250101")
    assert looks_like_commit("deadbee")
    assert not looks_like_commit("dead")
    assert not looks_like_commit("v20250101")
