"""A store in a forked child, and one that is closed while threads work with it."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest
import torch

import deltastore
from deltastore.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deltastore import Store

SECONDS_IN_A_CHILD = 10

CALLS: dict[str, Callable[[Store], object]] = {
    "branches": lambda store: store.branches(),
    "tags": lambda store: store.tags("me/a"),
    "resolve": lambda store: store.resolve("me/a"),
    "log": lambda store: store.log("me/a"),
    "ls": lambda store: store.ls(),
    "tag": lambda store: store.tag("me/a@v1"),
    "commit": lambda store: store.commit({"w": torch.ones(3)}, to="me/b", message="m"),
    "load": lambda store: store.load("me/a"),
    "stats": lambda store: store.stats(),
    "fsck": lambda store: store.fsck(),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    torch.manual_seed(0)
    with deltastore.init(tmp_path / "store", threads=3) as opened:
        opened.commit({"w": torch.randn(300, 300)}, to="me/a", message="m")
        yield opened


def in_a_child(call: Callable[[], object]) -> str:
    """What `call` does in a forked child: `done`, or the class of its error; `hung` if killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(SECONDS_IN_A_CHILD)
        verdict = "done"
        try:
            call()
        except Exception as error:  # noqa: BLE001 - told to the parent
            verdict = type(error).__name__
        os.write(writing, verdict.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return told or "hung"


# newer Pythons warn of any fork in a process with threads, which is what this is about
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_child_is_told_although_another_thread_held_the_lock(
    store: Store, call: Callable[[Store], object]
) -> None:
    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with store._opened_log._lock:
            held.set()
            leave.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(SECONDS_IN_A_CHILD)
    try:
        assert in_a_child(lambda: call(store)) == StorageError.__name__
    finally:
        leave.set()
        holder.join()
    assert not store.tags("me/a")


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_child_may_close_it_and_open_it_again(store: Store) -> None:
    def reopen() -> None:
        store.close()
        deltastore.open(store.url).resolve("me/a")

    assert in_a_child(reopen) == "done"


def test_closing_does_not_disturb_other_threads(store: Store) -> None:
    weights = store.load("me/a")["w"]
    stop = threading.Event()

    def close() -> None:
        while not stop.is_set():
            store.close()

    closer = threading.Thread(target=close)
    closer.start()
    try:
        for number in range(12):
            change = weights + number / 64
            store.commit({"w": change}, to="me/a", message=str(number), preview=None)
            assert store.load("me/a")["w"].equal(change)
    finally:
        stop.set()
        closer.join()
