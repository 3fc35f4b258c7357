from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastore.config import Layer, Settings, parse_setting, resolve_settings
from deltastore.errors import InvalidError, UsageError


def test_nothing_set_is_the_defaults() -> None:
    assert resolve_settings([]) == Settings()
    assert Settings().progress == "auto"


def test_earlier_layers_win_key_by_key_and_origins_say_so() -> None:
    settings = resolve_settings(
        [
            Layer("option", {"store": "a", "threads": None}),
            Layer("environment", {"store": "b", "threads": "3"}, {"threads": "DELTASTORE_THREADS"}),
            Layer("config.toml", {"store": "c", "threads": 4, "author": "me"}),
        ]
    )
    assert (settings.store, settings.threads, settings.author) == ("a", 3, "me")
    assert settings.origins == {
        "store": "option",
        "threads": "DELTASTORE_THREADS",
        "author": "config.toml",
    }


def test_empty_text_counts_as_not_set() -> None:
    layers = [Layer("environment", {"store": ""}), Layer("file", {"store": "x"})]
    assert resolve_settings(layers).store == "x"


def test_unknown_keys_of_a_newer_version_are_ignored() -> None:
    assert resolve_settings([Layer("file", {"colour": True})]) == Settings()


@pytest.mark.parametrize(
    ("key", "raw"),
    [
        ("threads", "0"),
        ("threads", "many"),
        ("threads", True),
        ("threads", 2.0),
        ("threads", "-1"),
        ("threads", "9" * 10_000),
        ("threads", "1025"),
        ("progress", "loud"),
        ("progress", 1),
        ("store", 7),
        ("store", "two\nlines"),
        ("author", "esc\x1b[31m"),
        ("cache", ["a"]),
    ],
)
def test_a_wrong_value_names_its_place(key: str, raw: object) -> None:
    with pytest.raises(InvalidError, match=rf"^somewhere: {key} must be "):
        resolve_settings([Layer("somewhere", {key: raw})])


def test_an_unknown_key_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="no setting 'thread'") as caught:
        parse_setting("thread", "1", where="here")
    assert caught.value.hint == "did you mean threads?"


@given(st.one_of(st.none(), st.text(), st.integers(), st.booleans(), st.lists(st.text())))
def test_any_thread_count_is_refused_or_in_range(raw: object) -> None:
    try:
        value = parse_setting("threads", raw, where="here")
    except InvalidError:
        return
    assert isinstance(value, int)
    assert 1 <= value <= 1024
