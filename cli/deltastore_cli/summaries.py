"""What was done, in a few lines: init, commit, checkout, export."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from deltastore_cli.quantities import counted, first_of, ratio_text, share_text, size_text
from deltastore_cli.terminal import folded, paint, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deltastore.results import (
        CheckoutResult,
        Commit,
        ExportResult,
        InitResult,
        KeptWhole,
    )

__all__ = [
    "checkout_text",
    "commit_text",
    "export_text",
    "init_text",
    "short",
]

SHORT = 12
NAMES = 3
LEFT_OUT = 5
LARGE_SHARE = 0.05
LARGE_BYTES = 1_000_000
_WRITERS = {"A": "safe for many at once"}


def short(commit: str) -> str:
    """The digits people see, in the color of ids."""
    return paint(commit[:SHORT], "id")


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{folded(line)}\n" for line in lines if line)


def init_text(made: InitResult, place: str) -> str:
    """What was made or found, and what to type next."""
    what = f"made {printable(place)}" if made.created else f"{printable(place)} is a store already"
    writers = _WRITERS.get(made.tier, "one process at a time")
    detail = f" ({printable(made.detail)})" if made.detail else ""
    lines = [f"{what} (store {made.store_id[:SHORT]})", f"writers: {writers}{detail}"]
    return _joined([*lines, *(_next_steps(place) if made.created else ())])


def _next_steps(place: str) -> list[str]:
    where = place if "://" in place else str(Path(place).absolute())
    commit = "deltastore commit FOLDER --to NAMESPACE/NAME -m MESSAGE"
    if os.environ.get("DELTASTORE_STORE") == place:
        return [f"next:    {commit}"]
    return [f"next:    export DELTASTORE_STORE={shlex.quote(where)}", f"         {commit}"]


def commit_text(done: Commit) -> str:
    """Where the version went, how it is kept, and what deserves a look."""
    head = f"{paint(f'{done.model}@{done.branch}', 'name')}  {short(done.commit)}"
    if done.unchanged:
        return f"{head}  unchanged: the branch has these very files; nothing recorded\n"
    return _joined(
        [
            f"{head}  {', '.join(_standing(done))}",
            f"  {_tensors(done)}   {_kept(done)}",
            _landed(done),
            _why(done),
            _unmatched(done),
            _files(done),
            *_large(done),
        ]
    )


def _standing(done: Commit) -> list[str]:
    facts = ["new model"] if done.new_model else []
    facts += ["new branch"] if done.new_branch else []
    facts += [f"parent {short(parent)}" for parent in done.parents]
    if done.base is None:
        return [*facts, "no base"]
    if done.base_name is None:
        return [*facts, f"base {short(done.base)}"]
    return [*facts, f"base {printable(done.base_name)} ({short(done.base)})"]


def _tensors(done: Commit) -> str:
    kept = done.tensors
    parts = [
        counted(kept.delta, "delta") if kept.delta else "",
        f"{kept.dense:,} whole" if kept.dense else "",
        f"{kept.merged:,} merged" if kept.merged else "",
        f"{kept.unchanged:,} unchanged" if kept.unchanged else "",
    ]
    return f"{counted(kept.total, 'tensor')}: {', '.join(filter(None, parts)) or 'none'}"


def _kept(done: Commit) -> str:
    ratio = ratio_text(done.logical_bytes, done.stored_bytes)
    preview = f"preview {size_text(done.preview_bytes)} of it" if done.preview_bytes else ""
    facts = "; ".join(filter(None, (ratio, preview)))
    sizes = f"{size_text(done.logical_bytes)} kept in {size_text(done.stored_bytes)}"
    return f"{sizes} ({facts})" if facts else sizes


def _landed(done: Commit) -> str:
    return "  moved meanwhile: another writer's commit came first and is the parent" * done.moved


def _why(done: Commit) -> str:
    """Why a base was taken that nobody had named."""
    found = done.found_base
    if found is None:
        return ""
    ratios = f"predicted {found.predicted_ratio:.1f}x"
    if found.ratio is not None:
        ratios += f", became {found.ratio:.1f}x"
    return f"  base found by itself: {printable(found.reason)}; {ratios}"


def _unmatched(done: Commit) -> str:
    count = len(done.dense_names)
    if not count:
        return ""
    verb = (
        "matches nothing in the base and is" if count == 1 else "match nothing in the base and are"
    )
    names = printable(first_of(done.dense_names, NAMES))
    return f"  {counted(count, 'tensor')} {verb} kept whole: {names}"


def _files(done: Commit) -> str:
    parts = [
        counted(done.weight_files, "weight file") if done.weight_files else "",
        counted(done.other_files, "other file") if done.other_files else "",
    ]
    names = printable(first_of(done.skipped_files, LEFT_OUT))
    told = [", ".join(filter(None, parts)), f"left out: {names}" if names else ""]
    return f"  {'; '.join(filter(None, told))}" if any(told) else ""


def _large(done: Commit) -> list[str]:
    least = max(LARGE_BYTES, LARGE_SHARE * done.stored_bytes)
    large = [file for file in done.kept_whole if file.stored_bytes >= least]
    return [_large_file(file, done.stored_bytes) for file in large[:NAMES]]


def _large_file(file: KeptWhole, commit_bytes: int) -> str:
    share = f"{share_text(file.stored_bytes, commit_bytes)} of this commit"
    drop = f"--exclude {shlex.quote(printable(file.path))} drops it"
    return f"  kept whole: {printable(file.path)} {size_text(file.size)} ({share}), {drop}"


def checkout_text(done: CheckoutResult, revision: str) -> str:
    """What was written, and whether it was compared."""
    if done.files and done.kept == done.files:
        return f"{_source(revision, done.commit)}  {_all_there(done.files)}\n"
    there = f", {done.kept:,} already there" if done.kept else ""
    fetched = f"fetched {size_text(done.fetched_bytes)}"
    return _joined([f"{_written(done, revision)}{there}      {fetched}"])


def _all_there(files: int) -> str:
    return "the file is already there" if files == 1 else f"all {files:,} files already there"


def export_text(done: ExportResult, revision: str, path: str) -> str:
    """What was written, and where to."""
    return _joined([f"{_written(done, revision)}      to {printable(path)}"])


def _written(done: CheckoutResult | ExportResult, revision: str) -> str:
    sizes = f"{size_text(done.bytes)} in {counted(done.files, 'file')}"
    state = ", verified" if done.verified else ""
    if done.fidelity == "preview":
        state = ", preview: lossy, and marked so in the files"
    return f"{_source(revision, done.commit)}  {sizes}{state}"


def _source(revision: str, commit: str) -> str:
    return f"{paint(revision, 'name')}  {short(commit)}"
