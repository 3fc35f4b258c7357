"""Commits as git users know them: entries of a log, and one commit's page."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from deltastore_cli.quantities import counted, size_text
from deltastore_cli.summaries import short
from deltastore_cli.tables import table_text
from deltastore_cli.terminal import paint, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deltastore.results import CommitInfo, LogResult

__all__ = ["commit_page", "log_text"]

INDENT = "    "


def log_text(found: LogResult, *, oneline: bool = False) -> str:
    """Entries newest first; with a graph one line each, beside its drawing."""
    if found.graph:
        lines = list(_drawn(found))
    elif oneline:
        lines = [_line(commit) for commit in found.commits]
    else:
        lines = "\n\n".join("\n".join(_entry(commit)) for commit in found.commits).split("\n")
    if found.truncated:
        spaced = [] if found.graph or oneline else [""]
        lines += [*spaced, paint("... and more", "faint")]
    return "".join(f"{line}\n" for line in lines)


def _drawn(found: LogResult) -> Iterator[str]:
    """The graph's lines; the last of each commit's lines carries the commit."""
    width = max((len(line) for drawing in found.graph for line in drawing), default=0)
    for commit, drawing in zip(found.commits, found.graph, strict=True):
        *between, own = drawing
        yield from between
        yield f"{own:<{width}} {_line(commit)}"


def _line(commit: CommitInfo) -> str:
    subject = printable(commit.message.partition("\n")[0])
    inputs = f"   ({counted(len(commit.inputs), 'input')})" if commit.inputs else ""
    return f"{short(commit.commit)}{_refs(commit)}  {subject}{inputs}"


def _refs(commit: CommitInfo) -> str:
    names = ", ".join(paint(name, "good") for name in commit.refs)
    return f" ({names})" if names else ""


def _entry(commit: CommitInfo) -> list[str]:
    merge = " ".join(map(short, commit.parents)) if len(commit.parents) > 1 else ""
    return _told(commit, f"{short(commit.commit)}{_refs(commit)}", [("Merge:", merge)])


def _told(
    commit: CommitInfo,
    name: str,
    facts: list[tuple[str, str]],
    more: Iterable[tuple[str, str]] = (),
) -> list[str]:
    facts = [
        *facts,
        ("Base:", short(commit.base) if commit.base else ""),
        ("Inputs:", " ".join(map(short, commit.inputs))),
        ("Author:", printable(commit.author)),
        ("Date:", _local_time(commit.time)),
        ("Metrics:", printable("  ".join(f"{k}={v:.12g}" for k, v in commit.metrics.items()))),
        *more,
    ]
    lines = [f"{paint('commit', 'id')} {name}"]
    lines += [f"{label:<8} {value}" for label, value in facts if value]
    message = printable(commit.message, lines=True).rstrip("\n").split("\n")
    return [*lines, "", *(f"{INDENT}{line}".rstrip() for line in message)]


def _local_time(time: str) -> str:
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return printable(time)
    return f"{moment.astimezone():%a %b %d %H:%M:%S %Y %z}"


def commit_page(commit: CommitInfo) -> str:
    """One commit with everything recorded, and its files."""
    error = commit.preview_error
    facts = [
        ("Refs:", ", ".join(paint(name, "good") for name in commit.refs)),
        ("Parents:", " ".join(map(short, commit.parents))),
    ]
    more = [
        ("Preview:", "" if error is None else f"|exact - preview| / |exact - base| = {error:.6f}"),
        ("Recipe:", short(commit.recipe) if commit.recipe else ""),
    ]
    lines = _told(commit, paint(commit.commit, "id"), facts, more)
    page = "".join(f"{line}\n" for line in lines)
    if commit.metadata:
        page += "\n" + table_text(("", ""), commit.metadata.items(), styles=("name",))
    return page + _files(commit)


def _files(commit: CommitInfo) -> str:
    total = sum(file.size for file in commit.files)
    rows = [(file.path, size_text(file.size), (file.sha256 or "-")[:12]) for file in commit.files]
    count = f"\n{counted(len(commit.files), 'file')}, {size_text(total)}\n"
    return count + table_text(("file", "size", "sha256"), rows, right=(1,), styles=("", "", "id"))
