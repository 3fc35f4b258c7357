"""`Store.import_`: what is skipped, read again, committed anew; and how trouble is told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save

import deltastore
from deltastore.checkpoints.trees import LocalTree
from deltastore.errors import NotFoundError, UnreachableError, UnsupportedError, UsageError
from tests.docs.models import small_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deltastore import Store
    from deltastore.results import ImportResult


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with deltastore.init(tmp_path / "s.ds", threads=1, cache=tmp_path / "cache") as opened:
        yield opened


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two models, of which `b` is a copy, and a broken one."""
    root = tmp_path / "tree"
    for name, seed in (("a", 0), ("b", 0)):
        write(root / name, seed)
    (root / "cut").mkdir()
    (root / "cut" / "model.safetensors").write_bytes(weights(0)[:-1])
    return root


def weights(seed: int) -> bytes:
    values = np.random.default_rng(seed).standard_normal((30, 20)).astype(np.float32)
    return save({"w": values})


def write(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(weights(seed))
    (folder / "config.json").write_text(f'{{"name": "{folder.name}"}}')


def shown(done: ImportResult) -> dict[str, str]:
    """What became of each, by its last part."""
    states = {item.source: "skipped" if item.skipped else "new" for item in done.items}
    states |= {item.item: item.kind for item in done.failed}
    return {source.rpartition("/")[2]: state for source, state in states.items()}


def scanned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The checkpoints whose files are opened from now on."""
    names: list[str] = []
    original = LocalTree.scan

    def scan(self: LocalTree, found: Any, **options: Any) -> Any:
        names.append(found.path)
        return original(self, found, **options)

    monkeypatch.setattr(LocalTree, "scan", scan)
    return names


def test_commits_say_where_they_came_from(store: Store, tree: Path) -> None:
    done = store.import_(tree, to="team/{name}@dev")
    assert shown(done) == {"a": "new", "b": "new", "cut": "invalid"}
    info = store.show("team/a@dev")
    assert info.metadata["deltastore.source"] == f"{tree}/a"
    assert len(info.metadata["deltastore.source_version"]) == 64
    assert info.message == f"imported from {tree}/a"
    (item,) = [item for item in done.items if item.model == "team/a"]
    assert (item.commit, item.branch, item.base) == (info.commit, "dev", None)
    assert (item.files, item.logical_bytes) == (2, 2472 + 13)
    assert done.logical_bytes == 2 * item.logical_bytes
    assert done.stored_bytes == sum(item.stored_bytes for item in done.items) > 0


def test_again_only_what_changed_is_read(
    store: Store, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.import_(tree, to="team/{name}")
    opened = scanned(monkeypatch)
    assert shown(store.import_(tree, to="team/{name}")) == {
        "a": "skipped",
        "b": "skipped",
        "cut": "invalid",
    }
    assert opened == []
    write(tree / "a", 1)
    write(tree / "cut", 2)
    again = store.import_(tree, to="team/{name}")
    assert shown(again) == {"a": "new", "b": "skipped", "cut": "new"}
    assert set(opened) == {"a", "cut"}
    assert len(store.log("team/a").commits) == 2
    assert len(store.log("team/cut").commits) == 1


def test_what_failed_is_told_again_and_read_again_when_asked(
    store: Store, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = store.import_(tree, to="team/{name}").failed
    opened = scanned(monkeypatch)
    (second,) = store.import_(tree, to="team/{name}").failed
    assert (first.remembered, second.remembered) == (False, True)
    assert (first.kind, first.message, first.hint) == (second.kind, second.message, second.hint)
    assert opened == []
    (third,) = store.import_(tree, to="team/{name}", retry=True).failed
    assert third == first
    assert opened == ["cut"]


def test_without_the_cache_commits_tell_what_is_stored(
    store: Store, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.import_(tree, to="team/{name}")
    write(tmp_path / "more", 9)
    store.commit(tmp_path / "more", to="team/a", message="the branch went on")
    opened = scanned(monkeypatch)
    with deltastore.open(store.url, cache=tmp_path / "other") as elsewhere:
        again = elsewhere.import_(tree, to="team/{name}")
    assert shown(again) == {"a": "skipped", "b": "skipped", "cut": "invalid"}
    assert opened == ["cut"]
    (item,) = [item for item in again.items if item.model == "team/a"]
    assert item.commit == store.resolve("team/a~1")


def test_the_same_files_under_new_times_are_read_once_and_recorded_never(
    store: Store, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.import_(tree, to="team/{name}")
    os.utime(tree / "a" / "model.safetensors", ns=(1, 1))
    opened = scanned(monkeypatch)
    assert shown(store.import_(tree, to="team/{name}"))["a"] == "skipped"
    assert shown(store.import_(tree, to="team/{name}"))["a"] == "skipped"
    assert set(opened) == {"a"}
    assert len(store.log("team/a").commits) == 1


def test_a_deleted_model_is_imported_again(store: Store, tree: Path) -> None:
    store.import_(tree, to="team/{name}")
    store.branch("team/a@main", delete=True)
    assert shown(store.import_(tree, to="team/{name}"))["a"] == "new"


def test_a_dry_run_records_nothing_and_calls_it_a_plan(store: Store, tree: Path) -> None:
    plans: list[ImportResult] = []
    plan = store.import_(tree, to="team/{name}", dry_run=True, planned=plans.append)
    assert plan.dry_run
    assert plans == [plan]
    assert [item.commit for item in plan.items] == [None, None]
    assert plan.stored_bytes == 0 < plan.logical_bytes
    assert store.ls().models == ()
    store.import_(tree, to="team/{name}", planned=plans.append)
    assert [item.model for item in plans[1].items] == [item.model for item in plan.items]


def test_a_base_is_taken_by_all_that_it_fits(store: Store, tree: Path, tmp_path: Path) -> None:
    write(tmp_path / "base", 5)
    base = store.commit(tmp_path / "base", to="meta/base", message="m").commit
    (tree / "alien").mkdir()
    (tree / "alien" / "x.safetensors").write_bytes(save({"x": np.ones(3, np.float32)}))
    plan = store.import_(tree, to="team/{name}", base="meta/base", dry_run=True)
    assert {item.item.rpartition("/")[2]: item.kind for item in plan.failed} == {
        "cut": "invalid",
        "alien": "incompatible",
    }
    assert {(item.base, item.base_name, item.reason) for item in plan.items} == {
        (base, "meta/base@main", "named")
    }
    done = store.import_(tree, to="team/{name}", base="meta/base")
    assert shown(done) == {"a": "new", "b": "new", "cut": "invalid", "alien": "incompatible"}
    assert {item.base for item in done.items} == {base}
    assert shown(store.import_(tree, to="team/{name}", base="none"))["alien"] == "new"


def test_after_three_storage_failures_in_a_row_the_rest_is_not_tried(
    store: Store, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        write(tree / f"z{number}", number)
    tried: list[str] = []

    def lose(self: Store, _source: object, *, to: str, **_: Any) -> None:
        tried.append(to)
        raise UnreachableError("the network is gone")

    monkeypatch.setattr(type(store), "commit", lose)
    done = store.import_(tree, to="team/{name}")
    assert len(tried) == 3
    lost = [item for item in done.failed if item.kind == "unreachable"]
    assert len(lost) == 6
    assert sum("not tried" in item.message for item in lost) == 3
    monkeypatch.undo()
    assert len(store.import_(tree, to="team/{name}").new) == 6


def test_an_interrupt_says_what_was_done(
    store: Store, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = type(store).commit

    def once(self: Store, *arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(type(store), "commit", interrupt)
        return original(self, *arguments, **options)

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(store), "commit", once)
    with pytest.raises(KeyboardInterrupt, match="interrupted: 1 committed, "):
        store.import_(tree, to="team/{name}")


def test_progress_is_of_all_bytes(store: Store, tree: Path) -> None:
    told: list[tuple[str, int, int]] = []
    done = store.import_(tree, to="team/{name}", progress=lambda *now: told.append(now))
    assert {(stage, total) for stage, _, total in told} == {("import", done.logical_bytes)}
    counts = [count for _, count, _ in told]
    assert counts == sorted(counts)
    assert counts[-1] == done.logical_bytes


def test_previews_are_refused_one_by_one(store: Store, tree: Path) -> None:
    marked = save({"w": np.ones(3, np.float32)}, metadata={"deltastore.fidelity": "preview"})
    (tree / "a" / "model.safetensors").write_bytes(marked)
    done = store.import_(tree, to="team/{name}")
    assert shown(done) == {"a": "invalid", "b": "new", "cut": "invalid"}


@pytest.mark.parametrize(
    ("sources", "options", "error"),
    [
        ((), {}, UsageError),
        (("nowhere",), {}, NotFoundError),
        (("hf:meta/llama",), {}, UnsupportedError),
        (("s3://key:secret@bucket/x",), {}, UsageError),
        (("{tree}",), {"base": "me/nope"}, NotFoundError),
        (("{tree}",), {"to": "team/x"}, UsageError),
        (("{tree}", "{tree}/a"), {"to": "team/{name}"}, None),
    ],
)
def test_wrong_arguments_stop_before_anything_is_written(
    store: Store,
    tree: Path,
    sources: tuple[str, ...],
    options: dict[str, str],
    error: type[Exception] | None,
) -> None:
    named = [source.format(tree=tree) for source in sources]
    arguments: dict[str, Any] = {"to": "team/{name}"} | options
    if error is None:  # one checkpoint found twice is one checkpoint
        assert shown(store.import_(*named, **arguments)) == {
            "a": "new",
            "b": "new",
            "cut": "invalid",
        }
        return
    with pytest.raises(error):
        store.import_(*named, **arguments)
    assert store.ls().models == ()


def test_bases_are_found_among_what_came_before(store: Store, tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    with small_models(tmp_path / "zoo"):
        for age, name in enumerate(("llama", "ft-math", "ft-code")):
            os.utime(tmp_path / "zoo" / name / "model.safetensors", (age, age))
        plan = store.import_(tmp_path / "zoo", to="team/{name}", dry_run=True)
        assert {item.reason for item in plan.items} == {"looked for when it is committed"}
        done = store.import_(tmp_path / "zoo", to="team/{name}")
    first, *rest = done.items
    assert (first.model, first.base, first.reason) == ("team/llama", None, "nothing near enough")
    for item in rest:
        assert (item.base, item.base_name) == (first.commit, "team/llama@main")
        assert item.reason not in ("", "the parent's", "named")
        assert item.stored_bytes < first.stored_bytes / 2


def test_an_adapter_is_no_stranger_to_the_base_that_is_named(store: Store, tree: Path) -> None:
    store.commit(tree / "a", to="meta/base", message="m")
    lora = tree / "lora"
    lora.mkdir()
    (lora / "adapter_model.safetensors").write_bytes(save({"A": np.ones((3, 7), np.float32)}))
    (lora / "adapter_config.json").write_text("{}")
    done = store.import_(tree, to="team/{name}", base="meta/base")
    assert shown(done) == {"a": "new", "b": "new", "cut": "invalid", "lora": "new"}
    assert store.show("team/lora").base == store.resolve("meta/base")


def test_a_warning_is_logged_once_and_names_its_checkpoint(
    store: Store, tree: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tree / "a" / "optimizer.pt").write_bytes(b"\x80\x04\x95" + bytes(20))
    done = store.import_(tree, to="team/{name}")
    (warning,) = done.warnings
    assert warning.startswith(f"{tree}/a: optimizer.pt: looks like a pickle")
    assert [record.getMessage() for record in caplog.records] == [warning]
