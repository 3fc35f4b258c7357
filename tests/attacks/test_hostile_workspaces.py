"""Workspaces that somebody else prepared: nothing is written, removed or read outside of them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

import deltastore
from deltastore.errors import DeltastoreError, InvalidError
from tests.cli.weights import fine_tuned, small_model, write_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def work(tmp_path: Path) -> deltastore.Workspace:
    """A workspace of team/chat on main, where dev lacks `docs/a.md` and has `docs/b.md`."""
    write_model(tmp_path / "main", small_model(), {"docs/a.md": b"a\n"})
    write_model(tmp_path / "dev", fine_tuned(small_model()), {"docs/b.md": b"b\n"})
    store = deltastore.init(tmp_path / "models.ds")
    for name in ("main", "dev"):
        store.commit(tmp_path / name, to=f"team/chat@{name}", message=name)
    store.clone("team/chat", tmp_path / "work")
    return store.workspace(tmp_path / "work")


@pytest.fixture
def outside(work: deltastore.Workspace, tmp_path: Path) -> Path:
    """A folder that `docs` of the workspace is a link to; it looks like the version's."""
    outside = tmp_path / "outside"
    (work.folder / "docs").rename(outside)
    (work.folder / "docs").symlink_to(outside)
    return outside


def test_no_switch_and_no_restore_goes_through_a_linked_folder(
    work: deltastore.Workspace, outside: Path
) -> None:
    with pytest.raises(InvalidError, match="is a link"):
        work.switch("dev")
    with pytest.raises(InvalidError, match="is a link"):
        work.restore(source="@dev")
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"a.md": "a\n"}


def test_a_link_in_place_of_a_file_is_replaced_and_its_target_left_alone(
    work: deltastore.Workspace, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_text("somebody's\n")
    place = work.folder / "config.json"
    place.unlink()
    place.symlink_to(target)
    assert work.restore().files == ("config.json",)
    assert (target.read_text(), place.is_symlink()) == ("somebody's\n", False)


@pytest.mark.parametrize("name", ["hashes.json", "workspace.toml"])
def test_a_link_in_place_of_a_record_is_replaced_and_its_target_left_alone(
    work: deltastore.Workspace, tmp_path: Path, name: str
) -> None:
    target, place = tmp_path / "target", work.folder / ".deltastore" / name
    content = place.read_text() if place.exists() else "somebody's\n"
    target.write_text(content)
    place.unlink(missing_ok=True)
    place.symlink_to(target)
    old = work.folder / "docs" / "a.md"
    os.utime(old, (1, 1))
    work.status()
    work.switch("dev")
    assert target.read_text() == content


def test_memories_of_paths_outside_are_never_looked_up(work: deltastore.Workspace) -> None:
    rows = {path: [1, 1, 1, 1, "0" * 64] for path in ("../outside", "/etc/passwd", "config.json")}
    (work.folder / ".deltastore" / "hashes.json").write_text(
        json.dumps({"version": 1, "files": rows})
    )
    assert work.status().files == ()


def test_a_pipe_among_the_files_is_refused_and_not_waited_for(work: deltastore.Workspace) -> None:
    os.mkfifo(work.folder / "pipe")
    with pytest.raises(InvalidError, match="a named pipe"):
        work.status()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("store", "memory://planted"),
        ("store", "https://registry.example/x"),
        ("store", "s3://user:secret@bucket/x"),
        ("store", "../../etc"),
        ("model", "../../x"),
        ("branch", "-rf"),
        ("head", "0" * 64),
        ("pending", "f" * 64),
    ],
)
def test_what_a_record_may_not_say_is_an_error_of_ours(
    work: deltastore.Workspace, key: str, value: str
) -> None:
    place = work.folder / ".deltastore" / "workspace.toml"
    lines = [line for line in place.read_text().splitlines() if not line.startswith(f"{key} ")]
    place.write_text("\n".join([*lines, f'{key} = "{value}"', ""]))
    with pytest.raises(DeltastoreError) as caught:
        deltastore.Workspace.find(work.folder).switch("main")
    assert "secret" not in str(caught.value) + caught.value.hint
