"""The table of codecs, plug-ins, and what an unknown name gets."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pytest

from deltastore.codecs import registry
from deltastore.codecs.dense import Dense
from deltastore.codecs.registry import CODECS, codec_named
from deltastore.errors import UnsupportedError

if TYPE_CHECKING:
    from deltastore.kernels.dispatch import Family


def test_the_table_is_sorted_and_read_only() -> None:
    assert list(CODECS) == ["dense/1", "exact/1", "sparse/1", "ternary/1"]
    with pytest.raises(TypeError):
        CODECS["mine/1"] = Dense  # type: ignore[index]


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("family", ["reference", "cpu"])
def test_codecs_know_their_names(name: str, family: Family) -> None:
    assert codec_named(name, family=family).name == name


@pytest.mark.parametrize("name", ["dense/2", "dense", "", "x-nobody/1"])
def test_unknown_codecs_are_unsupported(name: str) -> None:
    with pytest.raises(UnsupportedError, match="unknown codec") as caught:
        codec_named(name)
    assert "dense/1, exact/1, sparse/1, ternary/1" in caught.value.hint


def test_plugins_are_found_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("x-mine/1", "deltastore.codecs.dense:Dense", "deltastore.codecs")

    def found(**query: Any) -> list[EntryPoint]:
        assert query["group"] == "deltastore.codecs"
        return [entry] if query["name"] == entry.name else []

    monkeypatch.setattr(registry, "entry_points", found)
    assert isinstance(codec_named("x-mine/1"), Dense)
    with pytest.raises(UnsupportedError):
        codec_named("x-other/1")


def test_importing_codecs_loads_no_compiler() -> None:
    program = (
        "import sys, deltastore.codecs.registry, deltastore.codecs.choose, "
        "deltastore.codecs.preview\n"
        "print([m for m in ('numba', 'llvmlite', 'torch', 'duckdb', 'pytest') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
