"""Workspaces through Python: what moves, what is refused, and that nobody's changes are lost."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import deltastore
from deltastore.errors import (
    ConflictError,
    DirtyError,
    ExistsError,
    InvalidError,
    NotFoundError,
    UsageError,
)
from deltastore.results import FileChange
from deltastore.store.workspace_conflicts import _ago
from tests.cli.weights import fine_tuned, sha256_of_files, small_model, write_model

BASE = small_model()


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with team/chat: main of two commits, dev of a third; not to be written."""
    folder = tmp_path_factory.mktemp("origin")
    store = deltastore.init(folder / "models.ds", author="Ada")
    others = {"docs/a.md": b"a\n", "docs/b.md": b"b\n"}
    write_model(folder / "one", BASE, others)
    write_model(folder / "two", fine_tuned(BASE), {"docs/a.md": b"a\n", "notes.txt": b"two\n"})
    store.commit(folder / "one", to="team/chat", message="one")
    store.tag("team/chat@v1")
    store.commit(folder / "two", to="team/chat", message="two")
    store.branch("team/chat@dev", "team/chat@v1")
    store.close()
    return folder


@pytest.fixture
def store(origin: Path, tmp_path: Path) -> deltastore.Store:
    """A copy of it, opened as Bob."""
    shutil.copytree(origin / "models.ds", tmp_path / "models.ds")
    return deltastore.open(tmp_path / "models.ds", author="Bob")


@pytest.fixture
def chat(store: deltastore.Store, tmp_path: Path) -> deltastore.Workspace:
    """A workspace on main."""
    store.clone("team/chat", tmp_path / "chat")
    return store.workspace(tmp_path / "chat")


class PowerCutError(Exception):
    """Nobody foresees it."""


def pull_the_plug(*_: object) -> None:
    raise PowerCutError


def files(workspace: deltastore.Workspace) -> dict[str, str]:
    found = sha256_of_files(workspace.folder)
    return {path: sha for path, sha in found.items() if not path.startswith(".deltastore/")}


def changed(workspace: deltastore.Workspace) -> list[tuple[str, str]]:
    return [(file.path, file.status) for file in workspace.status().files]


def test_a_clone_has_the_files_and_knows_where_from(
    store: deltastore.Store, origin: Path, tmp_path: Path
) -> None:
    done = store.clone("team/chat", tmp_path / "chat")
    chat = store.workspace(tmp_path / "chat")
    assert files(chat) == sha256_of_files(origin / "two")
    assert (done.commit, done.model, done.branch) == (chat.head, "team/chat", "main")
    assert (done.files, done.kept, done.verified, done.fidelity) == (4, 0, True, "exact")
    assert done.bytes == sum((chat.folder / path).stat().st_size for path in files(chat))
    status = chat.status()
    assert (status.model, status.branch, status.head, status.tip) == (
        ("team/chat", "main", done.commit, done.commit)
    )
    assert (status.stale, status.files, status.pending) == (False, (), None)


def test_found_from_below_with_the_store_by_its_absolute_path(
    chat: deltastore.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = chat.folder / "docs"
    monkeypatch.chdir(inner)
    found = deltastore.Workspace.find()
    assert found.folder == chat.folder
    assert Path(found.store.url).is_absolute()
    assert found.store.resolve("HEAD") == chat.head
    assert found.store.resolve("@main~1") == found.store.resolve("team/chat@v1")


def test_no_workspace_is_a_usage_error(store: deltastore.Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no workspace"):
        store.workspace(tmp_path)
    with pytest.raises(UsageError, match="no workspace"):
        deltastore.Workspace.find(tmp_path)
    for name in ("HEAD", "@main", "@", "HEAD~1"):
        with pytest.raises(UsageError, match="needs a workspace"):
            store.resolve(name)
    with pytest.raises(UsageError, match="needs a workspace"):
        store.branch("@new", "team/chat")


def test_a_workspace_of_another_store_is_refused(
    chat: deltastore.Workspace, tmp_path: Path
) -> None:
    other = deltastore.init(tmp_path / "other.ds")
    with pytest.raises(UsageError, match="is another store"):
        other.workspace(chat.folder)
    here = deltastore.open(tmp_path / "other.ds", here=chat.folder)
    with pytest.raises(UsageError, match="is another store"):
        here.resolve("HEAD")


def test_status_names_what_changed(chat: deltastore.Workspace) -> None:
    (chat.folder / "docs" / "a.md").unlink()
    (chat.folder / "notes.txt").write_text("tow\n")
    (chat.folder / "config.json").write_text("longer than it was before\n")
    (chat.folder / "new.txt").write_text("new\n")
    (chat.folder / "x.lock").write_text("left out\n")
    assert changed(chat) == [
        ("config.json", "changed"),
        ("docs/a.md", "removed"),
        ("new.txt", "added"),
        ("notes.txt", "changed"),
    ]


def test_status_reads_nothing_twice(
    chat: deltastore.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deltastore.checkpoints import remembered

    real = remembered._clock_of
    monkeypatch.setattr(remembered, "_clock_of", lambda folder: real(folder) + 10**10)
    assert changed(chat) == []
    monkeypatch.setattr(remembered, "LocalFile", None)  # whoever opens a file fails
    assert changed(chat) == []
    (chat.folder / "new.txt").write_text("new\n")
    assert changed(chat) == [("new.txt", "added")]


def test_a_commit_moves_head_and_the_branch(chat: deltastore.Workspace) -> None:
    before = chat.head
    (chat.folder / "notes.txt").write_text("three\n")
    done = chat.commit(message="three")
    assert (done.parents, done.model, done.branch) == ((before,), "team/chat", "main")
    assert done.skipped_files == ()
    status = chat.status()
    assert (status.head, status.tip, status.stale, status.files) == (
        (done.commit, done.commit, False, ())
    )
    assert chat.commit(message="three").unchanged


def test_files_of_head_are_kept_whatever_the_rules_say(chat: deltastore.Workspace) -> None:
    (chat.folder / "a[1].lock").write_text("kept\n")
    chat.commit(message="with a lock", include=["*.lock"])
    (chat.folder / ".deltastoreignore").write_text("notes.txt\n")
    (chat.folder / "other.lock").write_text("left out\n")
    assert changed(chat) == [(".deltastoreignore", "added")]
    done = chat.commit(message="again")
    stored = {file.path for file in chat.store.show(done.commit).files}
    assert {"a[1].lock", "notes.txt"} <= stored
    assert "other.lock" not in stored
    assert changed(chat) == []


def test_a_moved_branch_is_told_with_who_when_and_how_to_go_on(
    chat: deltastore.Workspace, store: deltastore.Store, origin: Path
) -> None:
    began = chat.head
    theirs = deltastore.open(store.url, author="Ada <ada@example.org>").commit(
        origin / "one", to="team/chat", message="theirs"
    )
    (chat.folder / "notes.txt").write_text("mine\n")
    for _ in range(2):
        with pytest.raises(ConflictError) as caught:
            chat.commit(message="it's mine")
        assert str(caught.value).startswith(
            f"team/chat@main moved: you began at {began[:12]}, it is now {theirs.commit[:12]} ("
        )
        assert str(caught.value).endswith(", Ada <ada@example.org>)")
    assert caught.value.hint.splitlines() == [
        "keep yours beside it: deltastore commit --to @main-2 -m 'it'\"'\"'s mine'",
        "then compare the two: deltastore diff @main @main-2",
    ]
    assert chat.status().stale
    mine = chat.commit(message="it's mine", to="@main-2")
    assert mine.parents == (began,)
    status = chat.status()
    assert (status.branch, status.head, status.stale, status.files) == (
        ("main-2", mine.commit, False, ())
    )
    assert not chat.store.diff("team/chat@main", "team/chat@main-2").same


def test_the_full_name_of_the_same_model_counts_as_this_workspace(
    chat: deltastore.Workspace,
) -> None:
    began = chat.head
    done = chat.commit(message="beside", to="team/chat@second")
    assert (done.parents, chat.branch, chat.head) == ((began,), "second", done.commit)


def test_an_existing_branch_elsewhere_is_not_overrun(chat: deltastore.Workspace) -> None:
    with pytest.raises(
        ConflictError, match=r"team/chat@dev is at .*, and this workspace"
    ) as caught:
        chat.commit(message="one\ntwo", to="@dev")
    assert caught.value.hint.splitlines() == [
        "keep yours beside it: deltastore commit --to @dev-2 -m MESSAGE",
        "then compare the two: deltastore diff @dev @dev-2",
        "--expect @dev puts yours on top all the same",
    ]
    assert chat.branch == "main"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "just now"), (1, "1 second"), (59, "59 seconds"), (180, "3 minutes"), (7200, "2 hours")],
)
def test_when_is_told_as_people_say_it(seconds: int, told: str) -> None:
    moment = datetime.now(UTC) - timedelta(seconds=seconds)
    assert _ago(moment.isoformat()).startswith(told)
    assert _ago("yesterday") == "yesterday"


def test_what_was_asked_for_is_not_implied(chat: deltastore.Workspace) -> None:
    done = chat.commit(message="on purpose", to="@dev", expect="team/chat@v1")
    assert (chat.branch, chat.head) == ("dev", done.commit)


def test_a_commit_to_another_model_leaves_the_workspace_as_it_was(
    chat: deltastore.Workspace,
) -> None:
    before = (chat.branch, chat.head)
    done = chat.commit(message="a copy", to="me/copy")
    assert (done.model, done.parents, (chat.branch, chat.head)) == ("me/copy", (), before)


def test_a_commit_of_another_folder_leaves_head_where_it_was(
    chat: deltastore.Workspace, origin: Path
) -> None:
    before = chat.head
    done = chat.commit(origin / "one", message="elsewhere")
    assert done.parents == (before,)
    assert chat.head == before
    assert chat.status().stale


def test_a_deleted_branch_is_not_made_by_accident(chat: deltastore.Workspace) -> None:
    chat.store.tag("team/chat@kept", "team/chat")
    chat.store.branch("team/chat@main", delete=True)
    status = chat.status()
    assert (status.tip, status.stale) == (None, True)
    with pytest.raises(ConflictError, match="was deleted") as caught:
        chat.commit(message="x")
    assert "deltastore branch @main HEAD" in caught.value.hint
    here = deltastore.open(chat.store.url, here=chat.folder)
    here.branch("@main", "HEAD")
    assert not chat.status().stale


def test_a_clone_of_a_tag_follows_no_branch(store: deltastore.Store, tmp_path: Path) -> None:
    store.clone("team/chat@v1", tmp_path / "v1")
    workspace = store.workspace(tmp_path / "v1")
    status = workspace.status()
    assert (status.branch, status.tip, status.stale) == (None, None, False)
    with pytest.raises(UsageError, match="follows no branch"):
        workspace.commit(message="x")
    done = workspace.commit(message="x", to="@fix")
    assert (workspace.branch, done.parents) == ("fix", (store.resolve("team/chat@v1"),))


def test_a_commit_id_alone_cannot_be_cloned(store: deltastore.Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="of any model") as caught:
        store.clone(store.resolve("team/chat"), tmp_path / "x")
    assert "NAMESPACE/NAME@" in caught.value.hint
    assert not (tmp_path / "x").exists()


def test_a_clone_refuses_a_folder_of_somebody_else(
    store: deltastore.Store, chat: deltastore.Workspace, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine\n")
    with pytest.raises(ExistsError, match=r"is not empty: mine\.txt"):
        store.clone("team/chat", tmp_path / "full")
    assert sorted(path.name for path in (tmp_path / "full").iterdir()) == ["mine.txt"]
    with pytest.raises(ExistsError, match="is a workspace of team/chat@main"):
        store.clone("team/chat@dev", chat.folder)
    (tmp_path / "file").write_text("")
    with pytest.raises((ExistsError, InvalidError)):
        store.clone("team/chat", tmp_path / "file")


def test_the_same_clone_again_brings_what_is_missing(
    store: deltastore.Store, chat: deltastore.Workspace
) -> None:
    (chat.folder / "notes.txt").unlink()
    again = store.clone("team/chat", chat.folder)
    assert (again.files, again.kept, again.verified) == (4, 3, True)
    assert changed(chat) == []
    (chat.folder / "notes.txt").write_text("mine\n")
    third = store.clone("team/chat", chat.folder)
    assert not third.verified
    assert (chat.folder / "notes.txt").read_text() == "mine\n"


def test_switching_there_and_back(chat: deltastore.Workspace, origin: Path) -> None:
    main = chat.head
    (chat.folder / "mine.txt").write_text("mine\n")
    done = chat.switch("dev")
    assert (done.branch, done.previous, done.old, done.created) == ("dev", "main", main, False)
    assert (done.written, done.removed, done.kept) == (
        (("docs/b.md", "model.safetensors"), ("notes.txt",), ())
    )
    mine = {"mine.txt": sha256_of_files(chat.folder, ["mine.txt"])["mine.txt"]}
    assert files(chat) == sha256_of_files(origin / "one") | mine
    assert chat.switch("@main").removed == ("docs/b.md",)
    assert files(chat) == sha256_of_files(origin / "two") | mine


def test_switching_to_the_same_branch_takes_what_others_committed(
    chat: deltastore.Workspace, origin: Path
) -> None:
    theirs = chat.store.commit(origin / "one", to="team/chat", message="theirs")
    assert chat.status().stale
    done = chat.switch("main")
    assert (done.commit, done.previous) == (theirs.commit, "main")
    assert files(chat) == sha256_of_files(origin / "one")


@pytest.mark.parametrize(
    ("path", "target"),
    [("model.safetensors", "dev"), ("notes.txt", "dev"), ("docs/b.md", "dev")],
)
def test_a_change_that_would_be_lost_stops_a_switch(
    chat: deltastore.Workspace, path: str, target: str
) -> None:
    (chat.folder / path).write_text("mine\n")
    before, record = files(chat), chat.head
    with pytest.raises(DirtyError, match="would be lost") as caught:
        chat.switch(target)
    assert path in str(caught.value)
    assert (caught.value.kind, caught.value.exit_code) == ("dirty", 4)
    assert (files(chat), chat.head, chat.branch) == (before, record, "main")


def test_a_change_in_a_file_that_both_have_is_carried_along(chat: deltastore.Workspace) -> None:
    (chat.folder / "config.json").write_text("mine\n")
    (chat.folder / "docs" / "a.md").unlink()
    done = chat.switch("dev")
    assert done.kept == ("config.json", "docs/a.md")
    assert changed(chat) == [("config.json", "changed"), ("docs/a.md", "removed")]


def test_a_new_branch_keeps_all_changes(chat: deltastore.Workspace) -> None:
    (chat.folder / "model.safetensors").write_text("mine\n")
    done = chat.switch("try/lora", create=True)
    assert (done.created, done.written, done.kept) == (True, (), ("model.safetensors",))
    assert chat.switch("try/lora", create=True).created is False
    with pytest.raises(ExistsError):
        chat.switch("dev", create=True)
    assert chat.branch == "try/lora"


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("v1", UsageError, "is a tag"),
        ("dve", NotFoundError, "no such branch"),
        ("me/other@main", UsageError, "another model's"),
        ("a b", InvalidError, "not a branch name"),
    ],
)
def test_what_cannot_be_switched_to(
    chat: deltastore.Workspace, name: str, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        chat.switch(name)
    assert chat.branch == "main"


def test_restore_brings_back_what_is_named(
    chat: deltastore.Workspace, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(chat.folder / "docs")
    for path in ("docs/a.md", "notes.txt", "model.safetensors"):
        (chat.folder / path).write_text("mine\n")
    assert chat.restore(["a.md"]).files == ("docs/a.md",)
    assert chat.restore(["../*.txt"]).files == ("notes.txt",)
    assert chat.restore(["."]).files == ()
    (chat.folder / "extra.txt").write_text("mine\n")
    done = chat.restore()
    assert (done.files, done.same, done.commit) == (("model.safetensors",), 3, chat.head)
    assert changed(chat) == [("extra.txt", "added")]
    assert chat.restore(["../docs"], source="@v1").files == ("docs/b.md",)
    assert (chat.folder / "docs" / "b.md").read_bytes() == b"b\n"
    for path, error in (("absent", NotFoundError), ("../../x", UsageError)):
        with pytest.raises(error):
            chat.restore([path])


def test_diff_is_between_head_and_the_files(chat: deltastore.Workspace, origin: Path) -> None:
    assert chat.diff().same
    (chat.folder / "notes.txt").write_text("mine\n")
    found = chat.diff()
    assert [file for file in found.files if file.status != "unchanged"] == [
        FileChange("notes.txt", "changed")
    ]
    assert (found.a, found.b) == (f"team/chat@main {chat.head[:12]}", str(chat.folder))
    older = chat.diff("@v1")
    assert {file.path: file.status for file in older.files}["docs/b.md"] == "removed"
    assert chat.diff(str(origin / "two")).same


def test_an_interrupted_move_is_told_and_can_be_taken_back(
    chat: deltastore.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deltastore.store import workspace_moves

    monkeypatch.setattr(workspace_moves, "write_files", pull_the_plug)
    with pytest.raises(PowerCutError):
        chat.switch("dev")
    monkeypatch.undo()
    dev = chat.store.resolve("team/chat@dev")
    assert chat.status().pending == dev
    with pytest.raises(DirtyError, match="was interrupted"):
        chat.commit(message="half of two")
    chat.restore()
    assert (chat.status().pending, changed(chat), chat.branch) == (None, [], "main")
    assert chat.commit(message="whole").unchanged


def test_an_unfinished_clone_says_so(
    store: deltastore.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deltastore.store import workspace_moves

    monkeypatch.setattr(workspace_moves, "write_files", pull_the_plug)
    with pytest.raises(PowerCutError):
        store.clone("team/chat", tmp_path / "half")
    monkeypatch.undo()
    half = store.workspace(tmp_path / "half")
    for call in (half.status, half.restore, lambda: half.switch("dev")):
        with pytest.raises(InvalidError, match="cloning was interrupted") as caught:
            call()
    assert caught.value.hint == f"run it again: deltastore clone team/chat@main {half.folder}"
    assert store.clone("team/chat", half.folder).verified
    assert changed(half) == []


def test_nothing_but_names_and_ids_is_remembered(chat: deltastore.Workspace) -> None:
    chat.status()
    record = (chat.folder / ".deltastore" / "workspace.toml").read_text().splitlines()
    keys = [line.split(" = ")[0] for line in record if not line.startswith("#")]
    assert keys == ["version", "store", "store_id", "model", "branch", "head"]
