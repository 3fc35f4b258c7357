from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from deltastore.history.initialize import init_store
from deltastore.history.log import Log
from deltastore.history.publishing import Outcome, publish_entry
from deltastore.storage.location import open_backend

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.history.entries import Entry
    from deltastore.storage.backend import Backend


class _Interrupted:
    """A backend during whose creation of an entry the user presses Ctrl-C."""

    def __init__(self, backend: Backend, *, wins: bool) -> None:
        self._backend = backend
        self._wins = wins

    def put_if_absent(self, key: str, data: bytes) -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        return self._wins

    def get(self, key: str, *, max_bytes: int) -> bytes:
        return self._backend.get("log/00000000000000000000", max_bytes=max_bytes)


def entry_of(tmp_path: Path) -> tuple[Backend, Entry]:
    backend = open_backend(tmp_path / "store")
    init_store(backend, created="2026-01-01T00:00:00Z", actor="me")
    return backend, Log.open(backend).entry(0)


def test_an_interrupt_comes_too_late_once_the_entry_is_in_the_log(tmp_path: Path) -> None:
    backend, entry = entry_of(tmp_path)
    interrupted = _Interrupted(backend, wins=True)
    assert publish_entry(interrupted, entry, deadline=0) is Outcome.WON  # type: ignore[arg-type]


def test_an_interrupt_of_a_lost_race_is_raised(tmp_path: Path) -> None:
    backend, entry = entry_of(tmp_path)
    other = type(entry)(entry.head, entry.body, entry.head_line, entry.body_line + b" ")
    interrupted = _Interrupted(backend, wins=False)
    with pytest.raises(KeyboardInterrupt):
        publish_entry(interrupted, other, deadline=0)  # type: ignore[arg-type]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
