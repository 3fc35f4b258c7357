"""SQL of other people, run in a process of its own that ends with its answer, or without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltastore.errors import DeltastoreError, InvalidError, UnsupportedError
from deltastore.results import Table

if TYPE_CHECKING:
    from deltastore.catalog.opening import Opened

__all__ = ["Limits", "UnusableFilesError", "files_of", "run_confined"]

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    " from deltastore.catalog.sandboxed import main; main()"
)
"""The interpreter is started without `site` and looks for modules exactly where this one does."""

_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Some interpreters do not start without; nothing else of the environment is handed on."""

_FAREWELL_SECONDS = 10


class UnusableFilesError(Exception):
    """The files of a catalog cannot be read.

    Attributes:
        gone: they are not there any more; others are.
    """

    def __init__(self, reason: str, *, gone: bool) -> None:
        super().__init__(reason)
        self.gone = gone


@dataclass(frozen=True, slots=True)
class Limits:
    """What a query may use.

    Attributes:
        rows: of its answer, or None for all.
        seconds: of time, its process's start included.
        memory: bytes.
        threads: of the processor.
    """

    rows: int | None = None
    seconds: float = 30.0
    memory: int = 1 << 30
    threads: int = 2


def files_of(opened: Opened | None) -> tuple[Path, Path | None] | None:
    """Base and tail of a catalog, if they are files and all there is to it.

    Returns:
        None for the tail where the base goes far enough; None where something is in memory.
    """
    if opened is None or opened.base is None:
        return None
    if opened.tail is None and opened.meta.v > opened.meta.base_v:
        return None
    return opened.base, opened.tail


def run_confined(files: tuple[Path, Path | None], query: str, limits: Limits) -> Table:
    """What a query answers.

    Args:
        files: base and tail.
        query: as typed.
        limits: of what it may use.

    Raises:
        InvalidError: the query is refused, is no SQL, or needs more than the limits.
        UnsupportedError: no process can be started.
        UnusableFilesError: the files are gone or damaged.
    """
    base, tail = files
    order = {
        "base": str(base),
        "tail": None if tail is None else str(tail),
        "query": query,
        "limit": limits.rows,
        "memory": limits.memory,
        "seconds": int(limits.seconds * limits.threads) + _FAREWELL_SECONDS,
        "threads": limits.threads,
    }
    found = _told(json.dumps(order).encode(), limits)
    if "columns" in found:
        rows = tuple(tuple(map(_frozen, row)) for row in found["rows"])
        return Table(tuple(found["columns"]), rows, truncated=found["truncated"])
    if "damaged" in found:
        gone = any(file is not None and not file.exists() for file in files)
        raise UnusableFilesError(found["damaged"], gone=gone)
    raise _refusal(found, limits)


def _told(order: bytes, limits: Limits) -> dict[str, Any]:
    """The document that the other process writes."""
    with _started() as process:
        try:
            written, complaint = process.communicate(order, timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            return {"time": True}
        finally:
            process.kill()
    try:
        found: dict[str, Any] = json.loads(written)
    except ValueError:  # ended in the middle: by a signal, or where no memory was left to say so
        ended = process.returncode < 0 or b"MemoryError" in complaint or b"bad_alloc" in complaint
        return {"memory": True} if ended else {"failed": complaint.decode(errors="replace")}
    return found


def _started() -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - this interpreter, with a program of ours
            [sys.executable, "-I", "-S", "-c", _START, json.dumps(_module_path())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
            start_new_session=True,  # Ctrl-C is for this process, which ends that one
        )
    except OSError as reason:
        raise UnsupportedError(
            f"sql: {sys.executable or 'the Python interpreter'} cannot be started: {reason}",
            hint="queries run in a process of their own; find needs none",
        ) from reason


def _module_path() -> list[str]:
    """Where this process finds modules, this package first; never the current folder."""
    own = str(Path(__file__).resolve().parents[2])
    return [own, *(path for path in sys.path if os.path.isabs(path) and path != own)]


def _refusal(found: dict[str, Any], limits: Limits) -> DeltastoreError:
    if "invalid" in found:
        return InvalidError(found["invalid"], hint=found["hint"])
    if "time" in found:
        return InvalidError(
            f"sql: no answer within {limits.seconds:g} seconds",
            hint="ask for less, or allow more: --timeout SECONDS",
        )
    if "memory" in found:
        return InvalidError(
            f"sql: the query needs more memory than {limits.memory / 1e6:,.0f} MB",
            hint="ask for less, or allow more: --memory SIZE",
        )
    return DeltastoreError(
        f"sql: the process that answers ended without an answer: {found['failed'][-2000:]}"
    )


def _frozen(value: Any) -> Any:
    """A value of a document that cannot be changed; objects stay dictionaries."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
