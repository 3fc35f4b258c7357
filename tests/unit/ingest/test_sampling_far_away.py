"""A source at a URL is sampled by a few requests, and its base is found all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fsspec
import numpy as np
import pytest
from safetensors.numpy import save

import deltastore
from deltastore.checkpoints.source import FolderSource
from deltastore.ingest.likeness import FAR_SPANS
from deltastore.ingest.sampling import SampledSource
from deltastore.store.places import scan_path

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

ROWS, COLUMNS, LAYERS = 900, 900, 6
"""More than the 8 MiB that are fetched whole."""


def weights(seed: int, change: float = 0.0) -> dict[str, npt.NDArray[np.float16]]:
    generator, noise = np.random.default_rng(seed), np.random.default_rng(99)
    return {
        f"w{n}": (
            generator.normal(0, 0.05, (ROWS, COLUMNS))
            + noise.normal(0, 1, (ROWS, COLUMNS)) * change
        ).astype(np.float16)
        for n in range(LAYERS)
    }


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    found = f"memory://far/{abs(hash(request.node.nodeid))}"
    content = save(weights(2, 1e-4))
    assert len(content) > ROWS * COLUMNS * 2 * (LAYERS - 1)
    fsspec.filesystem("memory").pipe_file(f"{found}/model.safetensors", content)
    return found


def test_the_base_of_a_source_far_away_is_found(url: str, tmp_path: Path) -> None:
    store = deltastore.init(tmp_path / "s")
    for seed in (1, 2, 3):
        store.commit(weights(seed), to=f"meta/m{seed}", message="base", base="none", preview=None)
    done = store.commit(url, to="me/far", message="found", preview=None)
    assert done.base == store.resolve("meta/m2")
    assert done.tensors.delta == LAYERS


def test_few_bytes_are_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    (file,) = FolderSource(scan_path(url, lambda _scheme: {}, include=(), exclude=())).files()
    assert file.far
    read = []
    plain = MemoryFileSystem.cat_file

    def counted(self: MemoryFileSystem, path: str, **bounds: int) -> bytes:
        found: bytes = plain(self, path, **bounds)
        read.append(len(found))
        return found

    monkeypatch.setattr(MemoryFileSystem, "cat_file", counted)
    sampled = SampledSource.of([file])
    assert len(sampled.samples) == LAYERS
    assert 0 < len(read) <= LAYERS * FAR_SPANS
    assert sum(read) < (file.size or 0) / 5
    (again,) = FolderSource(scan_path(url, lambda _: {}, include=(), exclude=())).files()
    assert SampledSource.of([again]).specs == sampled.specs
