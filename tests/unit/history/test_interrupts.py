from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, cast

import pytest

from deltastore.history.entries import Draft, Transaction, new_token
from deltastore.history.initialize import init_store
from deltastore.history.log import Log
from deltastore.storage.location import open_backend

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.history.state import LogState
    from deltastore.storage.backend import Backend


class _Interrupted:
    """A backend during whose creation of an entry, or of the hint, the user presses Ctrl-C."""

    def __init__(self, backend: Backend, at: str) -> None:
        self._backend = backend
        self._at = at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        if self._at == "lost":
            self._backend.put_if_absent(key, b"somebody else's\n")
        self._press("entry", "lost")
        return self._backend.put_if_absent(key, data)

    def overwrite(self, key: str, data: bytes) -> None:
        self._press("hint")
        self._backend.overwrite(key, data)

    def _press(self, *places: str) -> None:
        if self._at in places:
            os.kill(os.getpid(), signal.SIGINT)


def log_of(tmp_path: Path, at: str) -> Log:
    backend = open_backend(tmp_path / "store")
    init_store(backend, created="2026-01-01T00:00:00Z", actor="me")
    return Log.open(cast("Backend", _Interrupted(backend, at)))


def draft(_state: LogState) -> Draft:
    return Draft((Transaction(new_token(), "test", "me", "2026-01-01T00:00:00Z", ""),))


@pytest.mark.parametrize("at", ["entry", "hint"])
def test_an_interrupt_comes_too_late_once_the_entry_is_in_the_log(tmp_path: Path, at: str) -> None:
    log = log_of(tmp_path, at)
    assert log.append(draft).v == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_of_a_lost_race_is_raised(tmp_path: Path) -> None:
    log = log_of(tmp_path, "lost")
    log.refresh()
    with pytest.raises(KeyboardInterrupt):
        log.append(draft)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
