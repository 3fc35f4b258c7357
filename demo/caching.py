"""Files that appear whole or not at all, in a cache keyed by the content of their inputs."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEFAULT_CACHE = Path(__file__).parent / ".cache"
_CHUNK_BYTES = 1 << 20
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def content_key(*parts: object) -> str:
    """Return 16 hexadecimal digits that change when any of the (JSON-able) parts does."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def no_space_named(place: Path) -> Iterator[None]:
    """Turn "no space left on device" into one sentence that names the folder.

    Args:
        place: The folder that is being written to.

    Raises:
        SystemExit: If the disk or the quota is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise SystemExit(f"demo: no disk space left under {place}") from error
        raise


def built_once(target: Path, build: Callable[[Path], None]) -> Path:
    """Return the folder `target`, building it first where it does not exist yet.

    The folder is built under a temporary name beside `target` and renamed when complete, so an
    interrupted run leaves no half-built folder that a later run would take for a whole one.

    Args:
        target: The folder; its name is expected to hold the key of everything it depends on.
        build: Fills the (empty, temporary) folder it is given.

    Raises:
        SystemExit: If the disk is full.
    """
    if target.is_dir():
        return target
    with no_space_named(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            build(draft)
            _settle(draft, target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return target


def _settle(draft: Path, target: Path) -> None:
    """Rename `draft` to `target`; another process that was faster wins."""
    draft.chmod(0o755)
    try:
        draft.rename(target)
    except OSError:
        if not target.is_dir():
            raise
