"""Workspaces whose process is killed before each single change of the file system."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import deltastore
from deltastore.errors import DeltastoreError
from deltastore.store import workspace_commits
from tests.cli.weights import fine_tuned, sha256_of_files, small_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOST_CHANGES = 40
CHANGES = ("mkdir", "replace", "unlink", "rmdir")


@pytest.fixture
def store(tmp_path: Path) -> deltastore.Store:
    """team/chat with main and dev, which differ in content, and in which files there are."""
    write_model(tmp_path / "main", small_model(), {"sub/only-main.txt": b"main\n"})
    write_model(tmp_path / "dev", fine_tuned(small_model()), {"sub/deep/only-dev.txt": b"dev\n"})
    store = deltastore.init(tmp_path / "models.ds")
    for name in ("main", "dev"):
        store.commit(tmp_path / name, to=f"team/chat@{name}", message=name)
    return store


def killed(count: int, url: str, work: Callable[[deltastore.Store], object]) -> bool:
    """Do something in a process that is killed before its change `count`; False if it got through.

    Forked, because a new interpreter for each of the changes takes a minute.
    """
    child = os.fork()
    if child == 0:
        try:
            store = deltastore.open(url, threads=1)
            _be_fatal(count)
            work(store)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL)
    return code != 0


def _be_fatal(count: int) -> None:
    """Kill this process before its change of the file system number `count`."""
    left = count

    def fatal(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return call

    for name in CHANGES:
        setattr(os, name, fatal(getattr(os, name)))


def content(folder: Path) -> dict[str, str]:
    """Hashes of a workspace's files; leftovers of writers that were killed are nobody's."""
    found = sha256_of_files(folder)
    return {path: sha for path, sha in found.items() if ".deltastore" not in path}


def switch(folder: Path, store: deltastore.Store) -> object:
    return store.workspace(folder).switch("dev")


def clone(folder: Path, store: deltastore.Store) -> object:
    return store.clone("team/chat@dev", folder)


def test_a_switch_that_is_killed_anywhere_is_finished_by_the_same_switch(
    store: deltastore.Store, tmp_path: Path
) -> None:
    wanted = sha256_of_files(tmp_path / "dev")
    for count in range(1, MOST_CHANGES):
        folder = tmp_path / f"work-{count}"
        store.clone("team/chat", folder)
        work = store.workspace(folder)
        mine = folder / "mine.txt"
        mine.write_text("mine\n")
        again = killed(count, store.url, partial(switch, folder))
        if work.branch == "dev":  # HEAD moves last
            mine_sha = sha256_of_files(folder, ["mine.txt"])
            assert content(folder) == wanted | mine_sha
        work.switch("dev")
        assert [file.path for file in work.status().files] == ["mine.txt"]
        assert (mine.read_text(), work.branch) == ("mine\n", "dev")
        mine.unlink()
        assert content(folder) == wanted
        if not again:
            break
    assert 5 < count < MOST_CHANGES - 1


def test_a_clone_that_is_killed_anywhere_is_finished_by_the_same_clone(
    store: deltastore.Store, tmp_path: Path
) -> None:
    wanted = sha256_of_files(tmp_path / "dev")
    for count in range(1, MOST_CHANGES):
        folder = tmp_path / f"clone-{count}"
        again = killed(count, store.url, partial(clone, folder))
        try:
            head = store.workspace(folder).head
        except DeltastoreError:
            head = None
        if head is not None:
            assert content(folder) == wanted
        assert store.clone("team/chat@dev", folder).verified
        assert (content(folder), store.workspace(folder).status().files) == (wanted, ())
        if not again:
            break
    assert 5 < count < MOST_CHANGES - 1


def test_a_commit_that_is_killed_before_head_moves_is_made_once(
    store: deltastore.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "work"
    store.clone("team/chat", folder)
    work = store.workspace(folder)
    begun = work.head
    (folder / "config.json").write_text("mine\n")

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(workspace_commits, "write_record", die)
        assert killed(0, store.url, lambda own: own.workspace(folder).commit(message="mine"))
    assert (work.head, work.status().stale) == (begun, True)
    done = work.commit(message="mine")
    assert (done.unchanged, done.parents) == (True, (begun,))
    status = work.status()
    assert (status.head, status.tip, status.files) == (done.commit, done.commit, ())
