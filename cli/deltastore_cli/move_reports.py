"""What became of refs, in a few lines: branch, tag, reset, rm, mv, undo, and the reflog."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deltastore_cli.quantities import counted, first_of
from deltastore_cli.summaries import SHORT, commit_text, short
from deltastore_cli.tables import table_text
from deltastore_cli.terminal import folded, paint, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deltastore.results import (
        MovedRef,
        ReflogEntry,
        ReflogResult,
        RefMoveResult,
        RemoveResult,
        RenameResult,
        RevertResult,
        UndoResult,
    )

__all__ = [
    "ago_text",
    "ref_move_text",
    "reflog_text",
    "remove_text",
    "rename_text",
    "revert_text",
    "taken_back_text",
    "taking_back_text",
    "undo_text",
]

NAMES = 3
_STEPS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def ref_move_text(done: RefMoveResult) -> str:
    """What a branch or tag was, what it is, and the way back."""
    name = f"{done.model}@{done.name}"
    head = paint(name, "name")
    if done.new is None:
        was = f" (was {short(done.old)})" if done.old else ""
        back = f"      back: deltastore {done.kind} {name} {done.old[:SHORT]}" if done.old else ""
        return folded(f"{head}  deleted{was}{printable(back)}") + "\n"
    if done.old is None:
        return f"{head}  {short(done.new)}  new {done.kind}\n"
    if done.old == done.new:
        return f"{head}  {short(done.new)}  already there\n"
    back = f"back: deltastore undo, or branch -f {printable(name)} {done.old[:SHORT]}"
    return folded(f"{head}  {short(done.old)} -> {short(done.new)}      {back}") + "\n"


def remove_text(done: RemoveResult) -> str:
    """How much is gone, and that it is not."""
    models = counted(len(done.models), "model") if len(done.models) > 1 else done.models[0]
    refs = counted(len(done.refs), "ref")
    return (
        f"removed {paint(models, 'name')} ({refs}); nothing is freed yet. undo: deltastore undo\n"
    )


def rename_text(done: RenameResult) -> str:
    """The old name and the new one."""
    counts = [
        counted(number, kind)
        for kind in ("branch", "tag")
        if (number := sum(ref.kind == kind for ref in done.refs))
    ]
    names = f"{paint(done.origin, 'name')} -> {paint(done.model, 'name')}"
    back = f"back: deltastore undo, or mv {printable(f'{done.model} {done.origin}')}"
    return folded(f"{names}  {', '.join(counts)}      {back}") + "\n"


def undo_text(found: UndoResult) -> str:
    """What would be taken back, or was before."""
    if found.unchanged:
        return f"entry {found.seq} was taken back already; nothing changed\n"
    return folded(f"would take back {_deed(found)}") + "\n"


def taking_back_text(found: UndoResult) -> str:
    """What is about to be taken back."""
    return folded(f"taking back {_deed(found)}") + "\n"


def taken_back_text(done: UndoResult) -> str:
    """That it is."""
    if done.unchanged:
        return "somebody was faster: it was taken back already\n"
    return "done. again: deltastore undo\n"


def revert_text(done: RevertResult) -> str:
    """The new commit, and how it was made."""
    if done.unchanged:
        head = f"{paint(f'{done.model}@{done.branch}', 'name')}  {short(done.commit)}"
        return f"{head}  unchanged: nothing of {short(done.reverted)} is left in it\n"
    return commit_text(done) + f"  takes back {short(done.reverted)}: {_made(done)}\n"


def _made(done: RevertResult) -> str:
    if done.parents[:1] == (done.reverted,):
        return "the files before it again, byte for byte"
    if done.exact:
        return "every file and tensor has the bits of a version before"
    names = printable(first_of(done.subtracted, NAMES))
    tensors = counted(len(done.subtracted), "tensor")
    return f"not exact: {tensors} by subtraction, rounded once ({names})"


def _deed(found: UndoResult) -> str:
    return f"entry {found.seq} (you, {ago_text(found.time)}): {_undone(found.refs)}"


def _undone(refs: Sequence[MovedRef]) -> str:
    """What was done, told from what taking it back does."""
    groups = (
        ("made", [f"{ref.ref} {_at(ref.old)}" for ref in refs if ref.new is None]),
        ("deleted", [f"{ref.ref} {_at(ref.new)}" for ref in refs if ref.old is None]),
        (
            "moved",
            [f"{ref.ref} {_at(ref.new)} -> {_at(ref.old)}" for ref in refs if ref.old and ref.new],
        ),
    )
    told = (f"{verb} {first_of(names, NAMES)}" for verb, names in groups if names)
    return printable("; ".join(told))


def _at(commit: str | None) -> str:
    return (commit or "")[:SHORT]


def ago_text(time: str, now: datetime | None = None) -> str:
    """How long ago a time of the log was: `20 seconds ago`; the time itself where it is none."""
    try:
        seconds = int(((now or datetime.now(UTC)) - datetime.fromisoformat(time)).total_seconds())
    except (ValueError, TypeError):
        return printable(time)
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{counted(seconds // size, unit)} ago"
    return "just now"


def reflog_text(found: ReflogResult) -> str:
    """A line per move, newest first."""
    if not found.entries:
        return "no branch or tag has moved yet\n"
    more = paint("  ... and more", "faint") + "\n" if found.truncated else ""
    headers = ("entry", "when", "who", "what", "ref", "from", "to", "")
    styles = ("id", "faint", "", "", "name", "id", "id", "")
    return table_text(headers, _rows(found.entries), right=(0,), styles=styles) + more


def _rows(entries: Iterable[ReflogEntry]) -> Iterable[tuple[str, ...]]:
    for entry in entries:
        renamed = f"was {entry.origin}" if entry.origin else ""
        subject = entry.message.partition("\n")[0]
        yield (
            str(entry.seq),
            ago_text(entry.time),
            entry.actor.partition(" <")[0] or entry.actor,
            entry.op,
            entry.ref,
            _at(entry.old) or "-",
            _at(entry.new) or "-",
            "; ".join(filter(None, (renamed, subject))),
        )
