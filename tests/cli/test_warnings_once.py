"""What the library logs and a result carries is said once on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save_file

import deltastore
from deltastore_cli.main import run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_each_warning_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    save_file({"w": np.ones(3, np.float32)}, tmp_path / "model.safetensors")
    with deltastore.init(tmp_path / "store") as store:
        made = store.commit(tmp_path / "model.safetensors", to="me/a", message="m")
    tag = f"me/a@{made.commit[:8]}"
    assert run(["-s", str(tmp_path / "store"), "tag", tag]) == 0
    assert capsys.readouterr().err.count("reads like a commit id") == 1
    assert run(["-s", str(tmp_path / "store"), "show", tag]) == 0
    assert capsys.readouterr().err.count("the beginning of commit") == 1
