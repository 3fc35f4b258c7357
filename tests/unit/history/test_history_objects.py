from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from deltastore.errors import InvalidError, MissingObjectError
from deltastore.history.entries import Draft, Transaction, new_token
from deltastore.history.meta_packs import MetaVersion, write_meta
from deltastore.history.objects import HistoryReader
from deltastore.ids import CommitId, bytes_digest
from deltastore.storage.keys import pack_key
from deltastore.storage.memory import MemoryBackend
from deltastore.storage.packs import PackReader
from tests.unit.history.samples import TIME, commit, digest, header
from tests.unit.history.versions import Fixture, version

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.storage.records import PackId


def test_what_a_commit_says_comes_back() -> None:
    store = Fixture()
    packs = [store.tensors({"w": (), "q": ()})]
    meta, made = store.meta(["w"], preview=["q"])
    store.record(made, meta, packs)
    head = store.history.header(made)
    assert head.preview is not None
    assert store.history.manifest(made, head.manifest) == version(["w"])
    assert store.history.manifest(made, head.preview.manifest) == version(["q"])
    assert store.history.manifests(made) == (
        (head.manifest, version(["w"])),
        (head.preview.manifest, version(["q"])),
    )
    assert store.history.locator(made) == tuple(store.placements(["w", "q"]))


def test_what_was_read_is_not_read_again() -> None:
    store = Fixture()
    made = store.commit("w")
    reader = HistoryReader(PackReader(store.backend), store.log)
    reader.manifests(made)
    reader.locator(made)
    before = store.backend.traffic.requests
    for _ in range(3):
        reader.header(made)
        reader.manifests(made)
        reader.locator(made)
    assert store.backend.traffic.requests == before


def test_the_caches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deltastore.history.objects.CACHED_HEADERS", 2)
    store = Fixture()
    made = [store.commit(name) for name in "abcd"]
    reader = HistoryReader(store.log.packs, store.log)
    assert [reader.header(each).message for each in made * 2] == list("abcd") * 2
    assert len(reader._headers._values) == 2


def test_an_unknown_commit_is_missing() -> None:
    with pytest.raises(MissingObjectError, match="not in this store"):
        Fixture().history.header(commit("?"))


def test_a_commit_of_another_writer_is_found_after_a_refresh() -> None:
    store = Fixture()
    other = Fixture(log=type(store.log).open(MemoryBackend(store.backend.url)))
    made = other.commit("w")
    assert store.history.header(made).message == "w"


def test_a_manifest_that_is_not_the_commits_is_missing() -> None:
    store = Fixture()
    made = store.commit("w")
    with pytest.raises(MissingObjectError, match="has no manifest"):
        store.history.manifest(made, digest("other"))


def test_a_meta_pack_that_is_gone_is_looked_for_in_the_log() -> None:
    store = Fixture()
    made = store.commit("w")
    old = store.log.state.commits[made]
    stale = HistoryReader(PackReader(store.backend), store.log)
    other = Fixture(log=type(store.log).open(MemoryBackend(store.backend.url)), places=store.places)
    meta, again = other.meta(["w"], message="w")
    assert again == made
    other.log.append(lambda _: rebinding(made, meta, old))
    store.backend.delete_many([pack_key(old)])
    assert stale.header(made).message == "w"
    store.backend.delete_many([pack_key(meta)])
    with pytest.raises(MissingObjectError):
        HistoryReader(PackReader(store.backend), store.log).header(made)


def rebinding(made: CommitId, new: PackId, old: PackId) -> Draft:
    txn = Transaction(new_token(), "repack", "a", TIME, "", (), (made,), new)
    return Draft((txn,), add=(new,), condemn=(old,))


def test_a_meta_pack_holds_what_its_headers_name(tmp_path: Path) -> None:
    manifest = version(["w"])
    named = header(manifest=bytes_digest(manifest.encode()))
    good = MetaVersion(named, manifest, None, ())
    for bad in (
        replace(good, manifest=version(["x"])),
        replace(good, preview=manifest),
    ):
        with pytest.raises(InvalidError):
            write_meta([bad], tmp_path, writer="t/1")
    assert not list(tmp_path.iterdir())
    pack, commits = write_meta(
        [good, replace(good, header=replace(named, message="2"))], tmp_path, writer="t/1"
    )
    assert len(set(commits)) == 2
    assert [path.name for path in tmp_path.iterdir()] == [pack.path.name]
