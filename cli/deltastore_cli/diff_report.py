"""What differs between two versions, as a page: files, tensors, how far the weights moved."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from deltastore_cli.quantities import counted, first_of, percent, scientific
from deltastore_cli.tables import table_text
from deltastore_cli.terminal import paint, printable

if TYPE_CHECKING:
    from deltastore.results import Diff, TensorChange

__all__ = ["diff_text"]

SHOWN = 20
NAMES = 5
_ORDER = ("added", "removed", "changed", "retyped", "reshaped")


def diff_text(found: Diff, *, everything: bool = False) -> str:
    """A page; the tensors that changed most first, 20 unless `everything`."""
    lines = [f"{printable(found.a)}  ->  {printable(found.b)}"] if found.a or found.b else []
    if found.same:
        lines.append(paint(f"the same: {_all_equal(found)}", "good"))
        return "".join(f"{line}\n" for line in lines)
    lines += [f"{'files':<8}{_files(found)}", f"{'tensors':<8}{_tensors(found)}"]
    if found.changed_fraction is not None:
        moved = f"   |B-A|/|A| {scientific(found.relative_norm)}"
        lines.append(f"{'weights':<8}{percent(found.changed_fraction)} of elements differ{moved}")
    return "".join(f"{line}\n" for line in lines) + _table(found, everything=everything)


def _all_equal(found: Diff) -> str:
    return f"{counted(len(found.files), 'file')}, {counted(len(found.tensors), 'tensor')}"


def _files(found: Diff) -> str:
    parts = []
    for status in _ORDER:
        paths = [file.path for file in found.files if file.status == status]
        if paths:
            parts.append(f"{len(paths):,} {status} ({printable(first_of(paths, NAMES))})")
    same = sum(file.status == "unchanged" for file in found.files)
    return ", ".join([*parts, *([f"{same:,} same"] if same else [])]) or "none"


def _tensors(found: Diff) -> str:
    counts = Counter(tensor.status for tensor in found.tensors)
    parts = [f"{counts[status]:,} {status}" for status in (*_ORDER, "unchanged") if counts[status]]
    return f"{', '.join(parts) or 'none'} of {len(found.tensors):,}"


def _table(found: Diff, *, everything: bool) -> str:
    changed = [tensor for tensor in found.tensors if tensor.status != "unchanged"]
    shown = changed if everything else changed[:SHOWN]
    if not shown:
        return ""
    mixed = any(tensor.status != "changed" for tensor in shown)
    task = any(tensor.task_cosine is not None for tensor in shown)
    headers = ["tensor", "elements", "|B-A|/|A|", "cosine"]
    headers += ["task cosine"] * task + ["status"] * mixed
    rows = [_row(tensor, task=task, mixed=mixed) for tensor in shown]
    more = len(changed) - len(shown)
    rest = f"  {more:,} more: --all\n" if more else ""
    return table_text(headers, rows, right=range(1, 4 + task)) + rest


def _row(tensor: TensorChange, *, task: bool, mixed: bool) -> list[str]:
    cells = [
        tensor.name,
        percent(tensor.changed_fraction),
        scientific(tensor.relative_norm),
        _cosine(tensor.cosine),
    ]
    return [*cells, *([_cosine(tensor.task_cosine)] * task), *([tensor.status] * mixed)]


def _cosine(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"
