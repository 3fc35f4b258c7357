"""What makes a folder a workspace: `.deltastore/workspace.toml`, found by walking up; its lock."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltastore.checkpoints.failures import os_errors
from deltastore.checkpoints.replacing import replace_file
from deltastore.errors import (
    AccessDeniedError,
    ConflictError,
    InvalidError,
    NewerFormatError,
    UsageError,
)
from deltastore.history.refs import check_model, check_ref_name
from deltastore.ids import CommitId, is_digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

__all__ = [
    "FOLDER",
    "WorkspaceRecord",
    "hashes_file",
    "locate",
    "locked",
    "no_workspace",
    "read_record",
    "record_file",
    "write_record",
]

FOLDER = ".deltastore"
VERSION = 1
MAX_BYTES = 2**16

_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_STORE_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class WorkspaceRecord:
    """What a workspace knows of itself; nothing secret.

    Attributes:
        store: URL, or absolute path, of the store.
        store_id: of that store, wherever it has moved to.
        model: `namespace/name`.
        branch: it follows; None where it stands on a tag or commit.
        head: the commit its files come from; None until the first of them are all there.
        pending: the commit that files are being brought from: all are there once it is `head`.
    """

    store: str
    store_id: str
    model: str
    branch: str | None
    head: CommitId | None
    pending: CommitId | None = None


def record_file(folder: Path) -> Path:
    """Where a workspace keeps its record."""
    return folder / FOLDER / "workspace.toml"


def hashes_file(folder: Path) -> Path:
    """Where a workspace remembers hashes of its files; disposable."""
    return folder / FOLDER / "hashes.json"


def locate(start: str | PathLike[str] = ".") -> Path | None:
    """The workspace that a folder is, or is in; None where there is none. Nothing is read."""
    try:
        here = Path(start).absolute()
    except FileNotFoundError:  # the folder one stands in was removed
        return None
    return next((at for at in (here, *here.parents) if os.path.isfile(record_file(at))), None)


def no_workspace(path: str | PathLike[str] = ".") -> UsageError:
    """The error for whoever needs a workspace and stands in none."""
    return UsageError(
        f"{Path(path).absolute()} is no workspace, and in none",
        hint="deltastore clone NAMESPACE/NAME makes one; or name the model instead: NAMESPACE/NAME",
    )


def read_record(folder: Path) -> WorkspaceRecord:
    """What a workspace knows of itself.

    Raises:
        InvalidError: the record is damaged.
        NewerFormatError: a newer deltastore wrote it.
        AccessDeniedError: it may not be read, or belongs to somebody else, who could lead whoever
            stands below it to another store.
    """
    place = record_file(folder)
    with os_errors(str(place)), place.open("rb") as file:
        _check_owner(folder, os.fstat(file.fileno()).st_uid)
        data = file.read(MAX_BYTES + 1)
    return _parsed(data, place)


def _check_owner(folder: Path, owner: int) -> None:
    trusted = {os.geteuid(), 0}
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdecimal():
        trusted.add(int(os.environ["SUDO_UID"]))
    if owner not in trusted:
        raise AccessDeniedError(
            f"the workspace {folder} belongs to another user (number {owner})",
            hint="name the store with -s to ignore it, or have its owner, or root, give it to you"
            f" (chown -R {folder / FOLDER})",
        )


def _parsed(data: bytes, place: Path) -> WorkspaceRecord:
    if len(data) > MAX_BYTES:
        raise _damaged(place, f"over {MAX_BYTES} bytes")
    try:
        fields = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as reason:
        raise _damaged(place, str(reason)) from None
    version = fields.get("version")
    if type(version) is int and version > VERSION:
        raise NewerFormatError(
            f"{place}: of a newer deltastore (version {version})", hint="update deltastore"
        )
    try:
        return _record(fields)
    except ValueError as reason:
        raise _damaged(place, str(reason)) from None


def _record(fields: dict[str, Any]) -> WorkspaceRecord:
    store, store_id = _text(fields, "store"), _text(fields, "store_id")
    if not store.isprintable() or not _STORE_ID.fullmatch(store_id):
        msg = "store or store_id is none"
        raise ValueError(msg)
    return WorkspaceRecord(
        store=store,
        store_id=store_id,
        model=check_model(_text(fields, "model")),
        branch=check_ref_name(_text(fields, "branch")) if "branch" in fields else None,
        head=_commit(fields, "head"),
        pending=_commit(fields, "pending"),
    )


def _text(fields: dict[str, Any], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or not value:
        msg = f"{key} is missing or no text"
        raise ValueError(msg)
    return value


def _commit(fields: dict[str, Any], key: str) -> CommitId | None:
    if key not in fields:
        return None
    value = _text(fields, key)
    if not is_digest(value):
        msg = f"{key} is no commit id"
        raise ValueError(msg)
    return CommitId(value)


def _damaged(place: Path, reason: str) -> InvalidError:
    return InvalidError(
        f"{place}: {reason}",
        hint="mend the file, or remove it and clone into this folder's place again",
    )


def write_record(folder: Path, record: WorkspaceRecord) -> None:
    """Replace a workspace's record at once.

    Raises:
        InvalidError: the store's path cannot be written in Unicode.
        AccessDeniedError: the folder may not be written.
        NoSpaceError: disk or quota is full.
    """
    values = {
        "store": record.store,
        "store_id": record.store_id,
        "model": record.model,
        "branch": record.branch,
        "head": record.head,
        "pending": record.pending,
    }
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]
    text = "\n".join(["# a workspace of deltastore", f"version = {VERSION}", *lines, ""])
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidError(
            f"{record.store!r}: a path that is not valid Unicode cannot be remembered",
            hint="move the store, or reach it through a link of another name",
        ) from None
    replace_file(record_file(folder), data)


def _toml(text: str) -> str:
    """A basic string: JSON's escapes are TOML's, and so is what neither needs to escape."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from changing the same workspace; ends with the process at the latest.

    Raises:
        ConflictError: one of them is at it.
        AccessDeniedError: the folder may not be written.
    """
    place = folder / FOLDER / "lock"
    with os_errors(str(place)):
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        with os_errors(str(place)):
            _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConflictError(
            f"another deltastore command is working in {folder}; nothing was changed",
            hint="run it again when that one is done",
        ) from None
    except OSError as reason:
        if reason.errno not in _NO_LOCKS:  # without them records are still replaced whole
            raise
