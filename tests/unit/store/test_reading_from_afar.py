"""What crosses the network: little, once, and never instead of what the store has."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import deltastore
from deltastore.cache.ranges import RANGES
from deltastore.errors import CorruptError, InvalidError
from deltastore.history.initialize import init_store
from deltastore.storage.remote import RemoteBackend
from deltastore.store import Store

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


@dataclass(frozen=True)
class Afar:
    """A store behind fsspec, the sources of what is in it, and what each commit stored."""

    url: str
    sources: Path
    folder: Path
    stored: dict[str, int]

    def open(self, cache: str, size: int | str | None = None) -> Store:
        backend = RemoteBackend(self.url, {})
        return Store(backend, threads=2, cache=self.folder / cache, cache_size=size)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Afar:
    """A base and two fine-tunes of it, committed."""
    url, folder = "memory://afar/made", tmp_path_factory.mktemp("afar")
    init_store(
        RemoteBackend(url, {}), created="2026-11-21T00:00:00Z", actor="a", single_writer=True
    )
    found = Afar(url, folder, folder, {})
    with found.open("writer") as store:
        for variant, name in enumerate(("base", "first", "second")):
            base = "me/base" if variant else None
            source = written(folder / name, variant)
            done = store.commit(source, to=f"me/{name}", base=base, message=name)
            found.stored[name] = done.stored_bytes
    return found


@pytest.fixture
def afar(made: Afar, request: pytest.FixtureRequest, tmp_path: Path) -> Afar:
    """A copy of that store for one test."""
    url = f"memory://afar/{request.node.name}"
    source, target = RemoteBackend(made.url, {}), RemoteBackend(url, {})
    for key in source.list(""):
        target.put_immutable(key, source.get(key, max_bytes=64 * MIB))
    return replace(made, url=url, folder=tmp_path)


def written(folder: Path, variant: int) -> Path:
    """Two shards of bf16 matrices; a fine-tune changes every weight a little."""
    random = np.random.default_rng(7)
    folder.mkdir()
    for shard in range(2):
        tensors = {}
        for number in range(3):
            weights = random.standard_normal((256, 512)) / 50
            change = random.standard_normal((2, 256, 512)) / 10_000
            moved = weights + (change[variant - 1] if variant else 0)
            tensors[f"{shard}.{number}"] = torch.tensor(moved).to(torch.bfloat16)
        save_file(tensors, folder / f"model-{shard}.safetensors")
    (folder / "config.json").write_text(f'{{"variant": {variant}}}')
    (folder / "tokenizer.json").write_text("[]" * 999)
    return folder


def same_files(a: Path, b: Path) -> bool:
    return all((b / path.name).read_bytes() == path.read_bytes() for path in a.iterdir())


def test_a_base_crosses_the_network_once(afar: Afar, tmp_path: Path) -> None:
    with afar.open("cache") as store:
        first = store.checkout("me/first", tmp_path / "1")
    with afar.open("cache") as store:
        second = store.checkout("me/second", tmp_path / "2")
    with afar.open("cache") as store:
        again = store.checkout("me/second", tmp_path / "3")
    assert first.fetched_bytes <= 1.05 * (afar.stored["base"] + afar.stored["first"])
    assert second.fetched_bytes <= 1.05 * afar.stored["second"]
    assert again.fetched_bytes <= 16 << 10
    assert first.requests is not None
    assert second.requests is not None
    assert first.requests <= 18
    assert second.requests <= 16
    for name, target in (("first", "1"), ("second", "2"), ("second", "3")):
        assert same_files(afar.sources / name, tmp_path / target)


def test_without_a_cache_the_requests_are_as_few(afar: Afar, tmp_path: Path) -> None:
    with afar.open("none", 0) as store:
        done = store.checkout("me/first", tmp_path / "1")
        rest = store.load("me/second")
    assert done.requests is not None
    assert done.requests <= 18
    assert done.fetched_bytes <= 1.05 * (afar.stored["base"] + afar.stored["first"])
    assert len(rest) == 6
    assert not (tmp_path / "none" / RANGES).exists()


def test_every_way_of_reading_goes_through_the_cache(afar: Afar, tmp_path: Path) -> None:
    def read_all(store: Store) -> None:
        store.load("me/first")
        store.tensor("me/second", "1.2")
        store.export("me/first", tmp_path / f"export-{len(list(tmp_path.iterdir()))}")
        store.diff("me/first", "me/second")
        assert b"".join(store.read_file("me/first", "config.json")) == b'{"variant": 1}'
        store.ls("me/first", tensors=True)

    with afar.open("cache") as store:
        read_all(store)
    with afar.open("cache") as store:
        before = store._traffic()
        read_all(store)
        assert store._traffic_since(before)[0] <= 16 << 10


def test_a_diff_takes_few_requests(afar: Afar) -> None:
    with afar.open("none", 0) as store:
        before = store._traffic()
        found = store.diff("me/first", "me/second")
        _, requests = store._traffic_since(before)
    assert not found.same
    assert len(found.tensors) == 6
    assert requests is not None
    assert requests <= 30


def test_a_preview_fetches_a_preview(afar: Afar, tmp_path: Path) -> None:
    with afar.open("cache") as store:
        exact = store.checkout("me/base", tmp_path / "0")
        preview = store.checkout("me/first", tmp_path / "1", fidelity="preview")
    assert exact.fetched_bytes >= afar.stored["base"] // 2
    assert preview.fidelity == "preview"
    assert preview.fetched_bytes < afar.stored["first"] // 2


def test_fsck_reads_the_store_itself(afar: Afar, tmp_path: Path) -> None:
    with afar.open("cache") as store:
        store.checkout("me/second", tmp_path / "out")
    damaged = damage_weights(afar)
    with afar.open("cache") as store:
        assert store.checkout("me/second", tmp_path / "again").verified
        found = store.fsck()
    assert not found.ok
    assert any(damaged in finding.object + finding.detail for finding in found.findings)


def damage_weights(afar: Afar) -> str:
    """Flip the last byte of the largest pack; returns its id."""
    remote = RemoteBackend(afar.url, {})
    key = max(remote.list("packs"), key=remote.size)
    content = bytearray(remote.get(key, max_bytes=64 * MIB))
    content[-1] ^= 1
    remote.put_immutable(key, bytes(content))
    return key.rpartition("/")[2].removesuffix(".safetensors")


def test_wrong_bytes_from_the_network_do_not_stay(afar: Afar, tmp_path: Path) -> None:
    damaged = damage_weights(afar)
    with afar.open("cache") as store, pytest.raises(CorruptError, match=damaged):
        store.checkout("me/second", tmp_path / "out")
    damage_weights(afar)  # the same flip again: whole
    with afar.open("cache") as store:
        assert store.checkout("me/second", tmp_path / "out").verified


def test_a_cache_that_cannot_be_written_stops_nothing(
    afar: Afar, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file where the cache should be")
    with caplog.at_level(logging.WARNING), afar.open("cache") as store:
        assert store.checkout("me/second", tmp_path / "out").verified
        store.load("me/first")
    assert len([message for message in caplog.messages if "cache" in message]) == 1


def test_clearing_says_what_it_freed(afar: Afar, tmp_path: Path) -> None:
    with afar.open("cache") as store:
        store.checkout("me/second", tmp_path / "out")
        held = deltastore.cache_info(cache=tmp_path / "cache")
        assert held.bytes > afar.stored["base"]
        assert held.entries > 1
        cleared = deltastore.clear_cache(cache=tmp_path / "cache", cache_size="1 MB")
        assert (cleared.freed_bytes, cleared.bytes, cleared.entries) == (held.bytes, 0, 0)
        assert cleared.limit == 1_000_000
        assert store.checkout("me/first", tmp_path / "other").verified
    assert deltastore.cache_info(cache=tmp_path / "cache").entries


def test_stores_at_hand_use_no_cache(tmp_path: Path) -> None:
    written(tmp_path / "base", 0)
    for url in (str(tmp_path / "store"), f"memory://no-cache/{tmp_path.name}"):
        with deltastore.init(url, cache=tmp_path / "cache", threads=1) as store:
            store.commit(tmp_path / "base", to="me/base", message="m")
            store.load("me/base")
    assert not (tmp_path / "cache" / RANGES).exists()


@pytest.mark.parametrize("size", ["-5", "much", "1 EB", 2.5, True, -1])
def test_a_size_that_is_none_is_refused(size: object, tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="cache_size must be a size such as 20GB"):
        deltastore.cache_info(cache=tmp_path, cache_size=size)  # type: ignore[arg-type]  # wrong
    with pytest.raises(InvalidError, match="cache_size"):
        Store(RemoteBackend("memory://x", {}), cache_size=size)  # type: ignore[arg-type]  # wrong
