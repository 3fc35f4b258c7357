"""What forbids writing is found before anything is written or encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import deltastore
from benchmarks.proofs.auditing import census
from deltastore.errors import NewerFormatError, UnsafeBackendError
from deltastore.history import log as history_log
from deltastore.storage.backend import Capabilities
from deltastore.storage.local import LocalBackend

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS = {"w": np.arange(64, dtype=np.float32)}


def test_an_unsafe_place_gets_no_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deltastore.init(tmp_path / "store").close()
    monkeypatch.setattr(LocalBackend, "capabilities", lambda _: Capabilities("C", "it overwrites"))
    with (
        deltastore.open(tmp_path / "store") as store,
        pytest.raises(UnsafeBackendError, match="it overwrites"),
    ):
        store.commit(WEIGHTS, to="me/x", message="x")
    assert census(tmp_path / "store").present == frozenset()


def test_a_store_for_newer_writers_gets_no_packs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deltastore.init(tmp_path / "store").close()

    def refuse(needs: object, *, writing: bool = False) -> None:
        if writing:
            raise NewerFormatError("w:quantum")

    monkeypatch.setattr(history_log, "check_needs", refuse)
    with deltastore.open(tmp_path / "store") as store, pytest.raises(NewerFormatError):
        store.commit(WEIGHTS, to="me/x", message="x")
    assert census(tmp_path / "store").present == frozenset()
