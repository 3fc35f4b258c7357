"""Every import contract of pyproject.toml holds, and every one of them can fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

VIOLATIONS = {
    "layers: imports point down only": ("deltastore/ids.py", "deltastore.storage"),
    "the torch-free part of the library": ("deltastore/storage/__init__.py", "torch"),
    "duckdb in the catalog only": ("deltastore/history/__init__.py", "duckdb"),
    "click and rich in the command line only": ("deltastore/errors.py", "rich"),
    "the command line uses the public API only": (
        "cli/deltastore_cli/main.py",
        "deltastore.storage",
    ),
    "codecs do not know each other": ("deltastore/codecs/dense.py", "deltastore.codecs.exact"),
}


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the packages and their contracts."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for folder in ("deltastore", "cli"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def lint_imports(sources: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=sources,
        env={**os.environ, "PYTHONPATH": f"{sources}:{sources / 'cli'}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_contract_has_a_violation() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert {contract["name"] for contract in tool["contracts"]} == set(VIOLATIONS)


def test_contracts_hold(sources: Path) -> None:
    done = lint_imports(sources)
    assert done.returncode == 0, done.stdout
    assert f"Contracts: {len(VIOLATIONS)} kept, 0 broken." in done.stdout


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_contract_can_fail(contract: str, sources: Path) -> None:
    file, module = VIOLATIONS[contract]
    with (sources / file).open("a", encoding="utf-8") as stream:
        stream.write(f"\nimport {module}\n")
    done = lint_imports(sources)
    assert done.returncode != 0
    assert f"{contract} BROKEN" in done.stdout, done.stdout
