"""Texts are recorded normalized, and warnings go through `logging`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import torch

import deltastore
from deltastore.history.reflog import reflog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deltastore import Store

DECOMPOSED, COMPOSED = "Zoe\u0308", "Zo\u00eb"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with deltastore.init(tmp_path / "store", threads=1, author=DECOMPOSED) as opened:
        opened.commit({"w": torch.ones(3)}, to="me/a", message=DECOMPOSED)
        yield opened


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and text of what was logged since the last look."""
    found = [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == "deltastore" and record.levelno >= logging.WARNING
    ]
    caplog.clear()
    return found


def test_messages_and_authors_are_normalized(store: Store) -> None:
    store.tag("me/a@v1", message=DECOMPOSED)
    store.branch("me/a@dev", message=DECOMPOSED)
    for ref in ("models/me/a/tags/v1", "models/me/a/heads/dev"):
        (move,) = reflog(store._log, ref)
        assert (move.actor, move.message) == (COMPOSED, COMPOSED)
    made = store._log.reader.read(0).body
    assert made is not None
    assert [transaction.actor for transaction in made.txns] == [COMPOSED]
    assert store.show("me/a").author == COMPOSED
    assert store.show("me/a").message == COMPOSED


def test_a_tag_that_reads_like_a_commit_is_warned_of(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    first = store.resolve("me/a")
    made = store.tag(f"me/a@{first[:8]}")
    assert told(caplog) == [("WARNING", text) for text in made.warnings]
    assert made.warnings
    store.resolve(f"me/a@{first[:8]}")
    ((_, text),) = told(caplog)
    assert "the beginning of commit" in text


def test_warnings_of_a_commit_are_logged(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ck").mkdir()
    torch.save({"w": torch.ones(3)}, tmp_path / "ck" / "pytorch_model.bin")
    done = store.commit(tmp_path / "ck", to="me/b", message="m", include=["*.bin"])
    assert done.warnings
    assert told(caplog) == [("WARNING", text) for text in done.warnings]
