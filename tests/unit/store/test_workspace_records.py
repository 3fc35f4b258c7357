"""The record of a workspace: written whole, read with suspicion, found by walking up; its lock."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastore.errors import (
    AccessDeniedError,
    ConflictError,
    DeltastoreError,
    InvalidError,
    NewerFormatError,
)
from deltastore.ids import CommitId
from deltastore.store.workspace_files import (
    WorkspaceRecord,
    locate,
    locked,
    read_record,
    record_file,
    write_record,
)

if TYPE_CHECKING:
    from pathlib import Path

HEAD = CommitId("9d20b7711c3e" + "2" * 52)
RECORD = WorkspaceRecord("/srv/models.ds", "7c1e" * 8, "team/chat", "main", HEAD)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".deltastore").mkdir()
    return tmp_path


@given(
    store=st.text(st.characters(codec="utf-8"), min_size=1).filter(str.isprintable),
    branch=st.sampled_from([None, "main", "feature/x", "prüfung", 'a"b']),
    head=st.sampled_from([None, HEAD]),
    pending=st.sampled_from([None, CommitId("0" * 64)]),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    store: str,
    branch: str | None,
    head: CommitId | None,
    pending: CommitId | None,
) -> None:
    folder = tmp_path_factory.mktemp("record")
    (folder / ".deltastore").mkdir()
    record = replace(RECORD, store=store, branch=branch, head=head, pending=pending)
    write_record(folder, record)
    assert read_record(folder) == record
    assert [path.name for path in (folder / ".deltastore").iterdir()] == ["workspace.toml"]


def test_a_path_that_is_no_unicode_cannot_be_remembered(folder: Path) -> None:
    with pytest.raises(InvalidError, match="not valid Unicode"):
        write_record(folder, replace(RECORD, store=os.fsdecode(b"/srv/\xff")))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("version = 1", "version = 1\nversion = 1", "Cannot overwrite a value"),
        ('model = "team/chat"', 'model = "chat"', "not a model name"),
        ('model = "team/chat"', "", "model is missing"),
        ('branch = "main"', 'branch = "../x"', "not a branch name"),
        ('branch = "main"', "branch = 7", "branch is missing or no text"),
        ('store = "/srv/models.ds"', 'store = ""', "store is missing"),
        ('store = "/srv/models.ds"', 'store = "a\\u001bb"', "store or store_id is none"),
        ('store_id = "7c1e', 'store_id = "', "store or store_id is none"),
        (f'head = "{HEAD}"', 'head = "9d20"', "head is no commit id"),
        ("version = 1", "x = " + "[" * 20_000, "recursion"),
        ("version = 1", "#" * 2**16, "over 65536 bytes"),
        ("version = 1", "\udcff", "decode"),
    ],
)
def test_a_damaged_record_is_named_with_the_reason(
    folder: Path, before: str, after: str, told: str
) -> None:
    write_record(folder, RECORD)
    place = record_file(folder)
    text = place.read_text()
    assert before in text
    place.write_bytes(text.replace(before, after).encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidError, match=told) as caught:
        read_record(folder)
    assert str(place) in str(caught.value)
    assert caught.value.hint


@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    record_file(folder).parent.mkdir()
    record_file(folder).write_bytes(data)
    with pytest.raises(DeltastoreError):
        read_record(folder)


def test_keys_of_later_versions_are_ignored_and_later_formats_refused(folder: Path) -> None:
    write_record(folder, RECORD)
    place = record_file(folder)
    place.write_text(place.read_text() + 'color = "red"\n')
    assert read_record(folder) == RECORD
    place.write_text(place.read_text().replace("version = 1", "version = 2"))
    with pytest.raises(NewerFormatError, match="newer deltastore"):
        read_record(folder)


def test_the_nearest_folder_above_counts(folder: Path) -> None:
    write_record(folder, RECORD)
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    assert locate(inner) == locate(folder) == folder
    (inner / ".deltastore").mkdir()
    assert locate(inner) == folder
    write_record(inner, RECORD)
    assert locate(inner / "not" / "there") == inner


def test_a_folder_that_was_removed_is_in_no_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert locate() is None


def test_a_record_of_another_user_leads_nowhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record(folder, RECORD)
    owner = record_file(folder).stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1000)
    real = os.fstat

    def foreign(descriptor: int) -> os.stat_result:
        found = list(real(descriptor))
        found[4] = owner + 2000
        return os.stat_result(found)

    monkeypatch.setattr(os, "fstat", foreign)
    with pytest.raises(AccessDeniedError, match="belongs to another user") as caught:
        read_record(folder)
    assert "-s" in caught.value.hint
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(AccessDeniedError):
        read_record(folder)
    monkeypatch.setenv("SUDO_UID", str(owner + 2000))
    assert read_record(folder) == RECORD


def test_one_at_a_time(folder: Path) -> None:
    refused = pytest.raises(ConflictError, match="another deltastore command")
    with locked(folder), refused, locked(folder):
        pytest.fail("two at a time")
    with locked(folder):
        pass


def test_a_lock_that_is_a_link_is_not_followed(folder: Path) -> None:
    victim = folder / "victim"
    (folder / ".deltastore" / "lock").symlink_to(victim)
    with pytest.raises(InvalidError), locked(folder):
        pass
    assert not victim.exists()
