"""Lists and counts: models, files, tensors, refs, statistics, findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore_cli.quantities import abbreviated, counted, ratio_text, size_text
from deltastore_cli.summaries import SHORT
from deltastore_cli.tables import table_text
from deltastore_cli.terminal import folded, paint, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.results import (
        FileInfo,
        Finding,
        Fsck,
        Listing,
        ModelInfo,
        RefInfo,
        Stats,
        TensorInfo,
    )

__all__ = ["RefList", "fsck_text", "listing_text", "refs_text", "stats_text"]


@dataclass(frozen=True, slots=True)
class RefList:
    """What `branch` and `tag` list."""

    refs: tuple[RefInfo, ...]


def listing_text(found: Listing) -> str:
    """Whatever was listed, as a table."""
    more = paint("  ... and more", "faint") + "\n" if found.truncated else ""
    if found.models is not None:
        return _models(found.models) + more
    if found.files is not None:
        return _files(found.files) + more
    return _tensors(found.tensors or ()) + more


def _models(models: Sequence[ModelInfo]) -> str:
    if not models:
        return "no models\n"
    rows = [(item.model, ", ".join(item.branches), ", ".join(item.tags)) for item in models]
    return table_text(("model", "branches", "tags"), rows, styles=("name",))


def _files(files: Sequence[FileInfo]) -> str:
    rows = [(item.path, size_text(item.size), (item.sha256 or "-")[:SHORT]) for item in files]
    return table_text(("file", "size", "sha256"), rows, right=(1,), styles=("", "", "id"))


def _tensors(tensors: Sequence[TensorInfo]) -> str:
    rows = [
        (item.name, item.dtype, " x ".join(map(str, item.shape)) or "scalar", item.digest[:SHORT])
        for item in tensors
    ]
    return table_text(("tensor", "dtype", "shape", "digest"), rows, styles=("", "", "", "id"))


def refs_text(found: RefList) -> str:
    """Branches or tags with what they point at."""
    if not found.refs:
        return "none\n"
    rows = [(f"{item.model}@{item.name}", item.commit[:SHORT]) for item in found.refs]
    return table_text(("", ""), rows, styles=("name", "id"))


def stats_text(found: Stats) -> str:
    """Sizes and counts of the store, or of one version with its codecs."""
    ratio = ratio_text(found.logical_bytes, found.stored_bytes)
    sizes = f"{size_text(found.logical_bytes)} kept in {size_text(found.stored_bytes)}"
    if found.own_bytes is None:
        title = f"{sizes}{f' ({ratio})' if ratio else ''}"
        rows = [
            ("commits", f"{found.commits:,}"),
            ("models", f"{found.models:,}"),
            ("tensors", f"{found.tensors:,} different"),
            ("objects", f"{found.objects:,}"),
            ("garbage", size_text(found.garbage_bytes)),
        ]
    else:
        title = f"{sizes}, shared with its base and other versions"
        rows = [
            ("its own", f"{size_text(found.own_bytes)}, freed if only it went"),
            ("tensors", f"{found.tensors:,} different, in {counted(found.objects, 'object')}"),
        ]
        rows += [(codec, size_text(count)) for codec, count in found.codecs.items()]
    return f"{title}\n" + table_text(("", ""), rows, styles=("faint",))


def fsck_text(found: Fsck) -> str:
    """What was checked, and every finding."""
    checked = ", ".join(_checked(name, count) for name, count in found.checked.items())
    if found.ok:
        return (
            folded(f"checked {checked or 'nothing'}: {paint('all is well', 'good')}", indent=2)
            + "\n"
        )
    rows = [_finding(item) for item in found.findings]
    verdict = paint(counted(len(rows), "finding"), "bad")
    return (
        folded(f"checked {checked}: {verdict}", indent=2)
        + "\n"
        + table_text(("kind", "object", "detail"), rows, styles=("bad", "id"))
    )


def _finding(found: Finding) -> tuple[str, str, str]:
    """Short ids, and no object named twice."""
    detail = found.detail.removeprefix(found.object).lstrip(",: ")
    return found.kind, abbreviated(found.object), abbreviated(detail)


def _checked(name: str, count: int) -> str:
    """`1 log entry`, `12 packs`; names come in the plural."""
    if count == 1:
        name = f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")
    return f"{count:,} {printable(name)}"
