"""What `make` says on a machine where its environment cannot be made."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts import setup_venv
from scripts.setup_venv import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of this project as set-up reads, without an environment."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    for name in ("pyproject.toml", "constraints.txt", "Makefile"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.fixture
def relocated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`.venv` in a temporary folder, for the functions called in this process."""
    venv = tmp_path / ".venv"
    monkeypatch.setattr(setup_venv, "VENV", venv)
    monkeypatch.setattr(setup_venv, "BIN", venv / "bin")
    return venv


def test_python_without_ensurepip_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Callable[..., object] = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ensurepip" else found(name)
    )
    with pytest.raises(SetupError, match=r"lacks the standard module 'ensurepip'.*-venv\)"):
        setup_venv.check_python()


def test_old_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(SetupError, match=r"Python 3\.11 or newer is needed, .* is 3\.9"):
        setup_venv.check_python()


def test_this_python_is_accepted() -> None:
    setup_venv.check_python()


def test_small_disk_is_refused_before_anything_is_made(
    relocated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(ROOT)._replace(free=300 * 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SetupError, match=r"too little disk space .* 2\.\d GB needed .* 0\.3 GB"):
        setup_venv.set_up("dev")
    assert not relocated.exists()


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "filled up while installing x"),
        ("WARNING: ... NewConnectionError(...)", "no network: the Python package index cannot"),
        ("noise\nERROR: bad wheel\nmore", r"x could not be installed: bad wheel \(see"),
        ("", "x could not be installed: no reason given"),
    ],
)
def test_output_of_pip_becomes_one_sentence(output: str, sentence: str) -> None:
    explained = setup_venv.explain("x", output)
    assert len(explained.splitlines()) == 1
    assert re.search(sentence, explained)


def test_no_network_ends_in_one_sentence(checkout: Path) -> None:
    offline = {
        **os.environ,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": "",
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_RETRIES": "0",
    }
    done = subprocess.run(
        [sys.executable, "scripts/setup_venv.py", "demo"],
        cwd=checkout,
        env=offline,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.startswith("making .venv first: downloads about 350 MB ")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: no network: the Python package index")


def test_missing_python_is_named_by_make(checkout: Path) -> None:
    done = subprocess.run(
        ["make", "demo", "PYTHON="], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert done.stderr.startswith("error: no Python 3.11 or newer is on PATH")


def test_stamp_follows_dependencies_and_not_the_tools(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup_venv, "ROOT", checkout)
    before = setup_venv.stamp_key()
    project = checkout / "pyproject.toml"
    text = project.read_text()
    project.write_text(text.replace("line-length = 100", "line-length = 99"))
    assert setup_venv.stamp_key() == before
    project.write_text(text.replace('"blake3>=1.0"', '"blake3>=1.1"'))
    assert setup_venv.stamp_key() != before


def test_second_run_does_nothing(
    relocated: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    relocated.mkdir()
    (relocated / ".installed-demo").write_text(setup_venv.stamp_key())
    monkeypatch.setattr(setup_venv, "venv_stands", lambda: True)
    setup_venv.set_up("demo")
    assert capsys.readouterr().out == ""


def test_moved_environment_does_not_stand(relocated: Path) -> None:
    (relocated / "bin").mkdir(parents=True)
    (relocated / "bin" / "python").symlink_to(sys.executable)
    settings = relocated / "pyvenv.cfg"
    settings.write_text("command = python -m venv /somewhere/else/.venv\n")
    assert not setup_venv.venv_stands()
    settings.write_text(f"command = python -m venv {relocated}\n")
    assert setup_venv.venv_stands()
