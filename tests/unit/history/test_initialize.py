from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from deltastore.errors import (
    CorruptError,
    NewerFormatError,
    NotAStoreError,
    UnreachableError,
    UnsafeBackendError,
)
from deltastore.history.entries import log_key
from deltastore.history.initialize import Initialized, init_store
from deltastore.history.log import Log
from deltastore.history.store_format import StoreFormat, read_format
from deltastore.storage.backend import Capabilities
from deltastore.storage.memory import MemoryBackend
from tests.unit.history.samples import TIME, digest
from tests.unit.history.stores import fresh_backend, fresh_url


def init(backend: MemoryBackend, *, single_writer: bool = False) -> Initialized:
    return init_store(backend, created=TIME, actor="ada", single_writer=single_writer)


def test_a_new_store_and_the_same_again() -> None:
    backend = fresh_backend()
    made = init(backend)
    assert made.created
    assert init(backend) == Initialized(made.store_id, created=False)
    form = read_format(backend)
    assert form.store_id == made.store_id
    assert form.genesis == Log.open(backend).entry(0).hash
    document = json.loads(backend.get("FORMAT", max_bytes=4096))
    assert document == {
        "deltastore": 1,
        "store_id": made.store_id,
        "hash": "blake3",
        "genesis": form.genesis,
        "created": TIME,
    }
    assert backend.get("FORMAT", max_bytes=4096).endswith(b"}\n")


def test_format_comes_back() -> None:
    for single in (False, True):
        form = StoreFormat("7" * 32, digest("g"), TIME, single)
        assert StoreFormat.decode(form.encode(), where="here") == form


def test_a_crash_between_the_two_steps_heals() -> None:
    backend = fresh_backend()
    made = init(backend)
    whole = backend.get("FORMAT", max_bytes=4096)
    backend.delete_many(["FORMAT"])
    with pytest.raises(NotAStoreError, match="never finished"):
        Log.open(backend)
    assert init(backend) == Initialized(made.store_id, created=True)
    assert backend.get("FORMAT", max_bytes=4096) == whole


def test_racing_inits_agree() -> None:
    for _ in range(20):
        url = fresh_url()
        barrier = threading.Barrier(8)

        def make(_: int, url: str = url, barrier: threading.Barrier = barrier) -> Initialized:
            barrier.wait()
            return init_store(MemoryBackend(url), created=TIME, actor="a")

        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(make, range(8)))
        assert len({each.store_id for each in found}) == 1
        assert sum(each.created for each in found) == 1
        assert Log.open(MemoryBackend(url)).refresh().v == 0


class Unsafe(MemoryBackend):
    def capabilities(self) -> Capabilities:
        return Capabilities("B", "a reader saw half an object")


def test_an_unsafe_backend_is_refused_before_anything_is_written() -> None:
    backend = Unsafe(fresh_url())
    with pytest.raises(UnsafeBackendError, match="half an object") as caught:
        init(backend)
    assert "--unsafe-single-writer" in caught.value.hint
    assert not list(backend.list(""))
    made = init(backend, single_writer=True)
    assert made.created
    assert read_format(backend).single_writer
    assert init(backend) == Initialized(made.store_id, created=False)


@pytest.mark.parametrize("word", ["before", "after"])
@pytest.mark.parametrize("key", [log_key(0), "FORMAT"])
def test_an_outage_during_init(key: str, word: str) -> None:
    class Faulty(MemoryBackend):
        def put_if_absent(self, where: str, data: bytes) -> bool:
            done = where == key and word == "after" and super().put_if_absent(where, data)
            if where == key:
                raise UnreachableError(f"broke {word}, {done}")
            return super().put_if_absent(where, data)

        def capabilities(self) -> Capabilities:
            return Capabilities("A", "")

    url = fresh_url()
    if word == "after":
        assert init(Faulty(url)).created
    else:
        with pytest.raises(UnreachableError):
            init(Faulty(url))
        assert init(MemoryBackend(url)).created
    assert Log.open(MemoryBackend(url)).refresh().v == 0


def test_a_store_without_its_entry_0_is_damaged() -> None:
    backend = fresh_backend()
    init(backend)
    backend.delete_many([log_key(0)])
    with pytest.raises(CorruptError, match="entry 0"):
        init(backend)


def test_what_is_there_already_is_never_touched() -> None:
    backend = fresh_backend()
    backend.overwrite("FORMAT", b"somebody's notes")
    with pytest.raises(NotAStoreError, match="not ours"):
        init(backend)
    backend.overwrite("FORMAT", b'{"deltastore": 3}')
    with pytest.raises(NewerFormatError):
        init(backend)
    assert list(backend.list("log")) == []
