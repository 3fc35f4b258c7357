"""What people read of a workspace: clone, status, switch, restore."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from deltastore_cli.quantities import counted, first_of, size_text
from deltastore_cli.summaries import short
from deltastore_cli.terminal import paint, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.results import CloneResult, RestoreResult, Status, SwitchResult

__all__ = ["clone_text", "restore_text", "status_text", "switch_text"]

NAMES = 5
_STYLES = {"added": "good", "removed": "bad", "changed": "bad"}


def clone_text(done: CloneResult) -> str:
    """What is there now, and what to type in it."""
    name = f"{done.model}@{done.branch}" if done.branch else done.model
    place = shlex.quote(printable(os.path.relpath(done.folder)))
    if done.files and done.kept == done.files:
        what = f"all {counted(done.files, 'file')} there already"
    else:
        state = ", verified" if done.verified else ""
        what = (
            f"{size_text(done.bytes)} in {counted(done.files, 'file')}{state}      "
            f"fetched {size_text(done.fetched_bytes)}"
        )
    lines = [f"{paint(name, 'name')}  {short(done.commit)}  {what}"]
    lines.append(f"  a workspace: cd {place}, train, deltastore commit -m MESSAGE")
    return "".join(f"{line}\n" for line in lines)


def status_text(found: Status) -> str:
    """Where one stands, what others did, what changed here."""
    head = short(found.head)
    if found.branch is None:
        lines = [f"On {paint(found.model, 'name')} at {head}, on no branch"]
        lines.append("  (deltastore commit --to @NAME makes one that grows from here)")
    else:
        lines = [f"On {paint(f'{found.model}@{found.branch}', 'name')} at {head}"]
        lines += _moved(found)
    if found.pending:
        lines.append(f"Bringing the files of {short(found.pending)} was interrupted")
        lines.append("  (run the same deltastore switch again, or deltastore restore to stay here)")
    lines += _changes(found)
    return "".join(f"{line}\n" for line in lines)


def _moved(found: Status) -> list[str]:
    if not found.stale:
        return []
    branch = f"@{printable(found.branch or '')}"
    if found.tip is None:
        return [
            "The branch was deleted",
            f"  (deltastore branch {branch} HEAD makes it anew)",
        ]
    return [
        f"The branch is at {short(found.tip)} by now",
        f"  (deltastore log {branch} shows what came, deltastore switch {branch[1:]} takes it)",
    ]


def _changes(found: Status) -> list[str]:
    if not found.files:
        return ["No changes"]
    return [
        "Changes since that commit:",
        "  (deltastore commit -m MESSAGE keeps them, deltastore restore PATH drops them)",
        *(
            f"    {paint(f'{file.status}:', _STYLES[file.status]):<9} {printable(file.path)}"
            for file in found.files
        ),
    ]


def switch_text(done: SwitchResult) -> str:
    """Which branch it is now, and what became of the files."""
    name = paint(f"{done.model}@{done.branch}", "name")
    if done.created:
        how = "new branch"
    elif done.commit == done.old:
        how = "same commit"
    else:
        how = f"was at {short(done.old)}"
    lines = [f"{name}  {short(done.commit)}  {how}"]
    files = [
        f"{counted(len(done.written), 'file')} written" if done.written else "",
        f"{counted(len(done.removed), 'file')} removed" if done.removed else "",
    ]
    if any(files):
        lines.append(
            f"  {', '.join(filter(None, files))}      fetched {size_text(done.fetched_bytes)}"
        )
    if done.kept:
        lines.append(f"  still changed here: {_names(done.kept)}")
    return "".join(f"{line}\n" for line in lines)


def restore_text(done: RestoreResult) -> str:
    """Which files came back."""
    if not done.files:
        return f"nothing to restore: {counted(done.same, 'file')} as in {short(done.commit)}\n"
    what = f"{counted(len(done.files), 'file')} as in {short(done.commit)}: {_names(done.files)}"
    return f"restored {what}\n"


def _names(paths: Sequence[str]) -> str:
    return printable(first_of(paths, NAMES))
