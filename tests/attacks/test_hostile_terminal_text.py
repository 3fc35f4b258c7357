"""Names, messages and URLs chosen by strangers: they neither drive a terminal nor leak keys."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastore.errors import UsageError
from deltastore.results import CommitInfo, Listing, LogResult, TensorInfo
from deltastore_cli.credentials import redact, refuse_credentials
from deltastore_cli.failures import failure_of
from deltastore_cli.listings import listing_text
from deltastore_cli.log_entries import log_text
from deltastore_cli.terminal import printable

EVIL = "x\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202egnp.exe\n"


@given(st.text(st.characters(codec=None)))
def test_nothing_that_drives_a_terminal_is_printed(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in shown)
    assert not any("\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069" for char in shown)


@given(st.text(st.characters(codec="utf-8", categories=("L", "M", "N", "P", "S", "Zs"))))
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_evil_messages_authors_and_names_are_escaped() -> None:
    info = CommitInfo(
        "ab" * 32, (), None, EVIL, EVIL, EVIL, None, (), {}, {EVIL: 0.5}, refs=(EVIL,)
    )
    for found in (log_text(LogResult((info,))), log_text(LogResult((info,)), oneline=True)):
        assert set(found) & set("\x1b\x07\r\x9b\u202e") == set()
        assert "\\x1b]0;owned\\x07" in found
    tensors = Listing(tensors=(TensorInfo(EVIL, "BF16", (1,), "cd" * 32),))
    assert len(listing_text(tensors).splitlines()) == 2
    assert "\x1b" not in listing_text(tensors)
    assert "\x1b" not in failure_of(UsageError(EVIL, hint=EVIL)).text()


SECRET_URLS = [
    "s3://AKIAXXXX:SECRET/With+Slash@bucket/x",
    "s3://AKIA:12/SECRET@bucket",
    "simplecache::s3://k:SECRET@b",
    "https://user:SECRET@host/x",
    "https://SECRET@github.com/x",
    "http://user:1234SECRET@host:80/x",
    "sftp://me:SECRET@host/x",
    "abfs://c@a.dfs.core.windows.net/x?sv=1&sig=SECRET",
    "https://h/x?X-Amz-Signature=SECRET",
    "https://h/x?access_token=SECRET",
    "--store=s3://AK:SECRET@b/x",
]


@pytest.mark.parametrize("url", SECRET_URLS)
def test_keys_in_urls_are_refused_and_never_shown(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        refuse_credentials(["log", url])
    assert "SECRET" not in str(caught.value) + caught.value.hint
    assert "SECRET" not in redact(f"before {url} after")
    assert redact(f"before {url} after").endswith(" after")
    assert "SECRET" not in failure_of(OSError(f"cannot reach {url}")).message


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/prefix",
        "http://localhost:9000/x@y",
        "https://host:8443",
        "sftp://me@host/x",
        "ssh://me@host:22/x",
        "abfs://container@account.dfs.core.windows.net/x",
        "me/math@main:config.json",
        "see https://h/x and mail a@b.org: thanks",
        "C:/models@2",
        "run=key=7",
    ],
)
def test_ordinary_text_is_no_credential(text: str) -> None:
    refuse_credentials([text])
    assert redact(text) == text
