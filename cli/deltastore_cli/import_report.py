"""What an import would do, did, and could not do, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastore import errors
from deltastore_cli.credentials import redact
from deltastore_cli.failures import Failure
from deltastore_cli.quantities import counted, ratio_text, size_text
from deltastore_cli.tables import table_text
from deltastore_cli.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deltastore.results import FailedItem, ImportedItem, ImportResult

__all__ = ["import_failure", "import_text", "plan_line", "plan_text"]

SHOWN = 20
_HINT = "run the same command again; what is stored is skipped"


def plan_line(plan: ImportResult) -> str:
    """What is about to be done, in a line."""
    new, there = plan.new, len(plan.items) - len(plan.new)
    parts = [
        f"{len(new):,} to commit ({size_text(plan.logical_bytes)})" if new else "none to commit",
        f"{there:,} already there" if there else "",
        f"{len(plan.failed):,} that cannot be" if plan.failed else "",
    ]
    whole = counted(len(plan.items) + len(plan.failed), "checkpoint")
    return f"{whole}: {', '.join(filter(None, parts))}\n"


def plan_text(plan: ImportResult) -> str:
    """The plan of a dry run."""
    new, there = plan.new, [item for item in plan.items if item.skipped]
    lines = [plan_line(plan), _table(new, plan.failed) if new else ""]
    if there:
        lines.append(f"already there: {_names(item.model for item in there)}\n")
    if plan.failed:
        lines.append("cannot be committed:\n" + _failures(plan.failed))
    return "".join(lines) + "nothing was recorded (--dry-run)\n"


def _table(items: Sequence[ImportedItem], failed: Sequence[FailedItem]) -> str:
    root = _root([item.source for item in items] + [item.item for item in failed])
    rows = [
        (item.model, size_text(item.logical_bytes), _base(item), item.source.removeprefix(root))
        for item in items[:SHOWN]
    ]
    source = f"below {root}" if root else "source"
    more = len(items) - SHOWN
    table = table_text(("model", "size", "base", source), rows, right=(1,), styles=("name",))
    return table + (f"  {more:,} more: --json\n" if more > 0 else "")


def _base(item: ImportedItem) -> str:
    if item.base is None:
        return item.reason or "none"
    return f"{item.base_name or item.base[:12]} ({item.reason})"


def _root(sources: Sequence[str]) -> str:
    """The folder that all sources are in, with its slash."""
    first, last = min(sources), max(sources)
    same = next(
        (n for n, pair in enumerate(zip(first, last, strict=False)) if len(set(pair)) > 1), 0
    )
    return first[: first.rfind("/", 0, same) + 1]


def _names(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return printable(", ".join(names[:SHOWN])) + more


def import_text(done: ImportResult) -> str:
    """What was done, in a line."""
    new = done.new
    parts = [
        f"{len(new):,} committed",
        f"{len(done.items) - len(new):,} skipped (already there)",
        f"{len(done.failed):,} failed" if done.failed else "",
    ]
    sizes = ""
    if new:
        ratio = ratio_text(done.logical_bytes, done.stored_bytes)
        sizes = (
            f": {size_text(done.logical_bytes)} kept in {size_text(done.stored_bytes)} ({ratio})"
        )
    return f"{', '.join(filter(None, parts))}{sizes}\n"


def import_failure(done: ImportResult) -> Failure:
    """What could not be committed; the worst kind decides."""
    codes = _exit_codes()
    worst = max(done.failed, key=lambda item: codes[item.kind])
    count, whole = len(done.failed), len(done.failed) + len(done.items)
    lines = f"{count:,} of {whole:,} failed\n{_failures(done.failed)}".rstrip()
    remembered = sum(item.remembered for item in done.failed)
    hint = _HINT
    if remembered:
        hint = f"{remembered:,} had failed before and did not change; --retry reads them again"
    return Failure(worst.kind, redact(lines), hint, codes[worst.kind])


def _failures(failed: Sequence[FailedItem]) -> str:
    rows = [
        (item.item, item.kind, item.message.removeprefix(f"{item.item}/").removeprefix(item.item))
        for item in failed[:SHOWN]
    ]
    wide = max(len(source) for source, _, _ in rows)
    kinds = max(len(kind) for _, kind, _ in rows)
    lines = [f"  {source:<{wide}}  {kind:<{kinds}}  {text}\n" for source, kind, text in rows]
    more = len(failed) - SHOWN
    return printable("".join(lines), lines=True) + (
        f"  {more:,} more: --json\n" if more > 0 else ""
    )


def _exit_codes() -> dict[str, int]:
    classes = (getattr(errors, name) for name in errors.__all__)
    return {found.kind: found.exit_code for found in classes}
