"""A checkpoint at a URL: one listing, and the headers of its safetensors files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from deltastore.checkpoints.examining import assemble, examine
from deltastore.checkpoints.folder import ignoring
from deltastore.checkpoints.paths import MAX_FILES, check_paths
from deltastore.checkpoints.patterns import IGNORE_FILE, Selection
from deltastore.checkpoints.url_files import UrlFile, UrlOrigin
from deltastore.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deltastore.checkpoints.examining import CheckpointFile, CheckpointFolder
    from deltastore.places.place import Listed, Place

__all__ = ["Kept", "examine_listed", "scan_listed", "scan_url", "select"]

HEAD_BYTES = 64 << 10
"""Of a safetensors file, fetched by the first look: the headers of most are shorter."""

LOOKS_AT_ONCE = 8


@dataclass(slots=True)
class Kept:
    """Listed files that take part, and the paths left out; a folder's is one and ends in `/`."""

    files: list[Listed] = field(default_factory=list)
    skipped: dict[str, None] = field(default_factory=dict)


def scan_url(
    place: Place, *, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> CheckpointFolder:
    """Look at a checkpoint as `scan` does; sizes are those of one listing, links do not exist.

    Args:
        place: a folder or a file.
        include: globs that bring back what is left out by default or by `.deltastoreignore`.
        exclude: globs of more to leave out; stronger than `include`.

    Raises:
        NotFoundError: there is nothing.
        InvalidError: as `scan`.
        StorageError: the place cannot be reached.
    """
    listing = place.list()
    if listing.single:
        return examine_listed(place, listing.files, place.url)
    return scan_listed(place, listing.files, place.url, include=include, exclude=exclude)


def scan_listed(
    place: Place,
    files: Sequence[Listed],
    where: str,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> CheckpointFolder:
    """Look at a checkpoint that was listed before.

    Args:
        place: that holds it.
        files: its files, with paths relative to its folder.
        where: what errors call it.
        include: see `scan_url`.
        exclude: see `scan_url`.

    Raises:
        InvalidError: as `scan`; a file is not as it was listed.
        StorageError: the place cannot be reached.
    """
    selection = Selection(tuple(include), tuple(exclude))
    ignore = next((file for file in files if file.path == IGNORE_FILE), None)
    if ignore is not None:
        selection = ignoring(UrlOrigin(place, ignore).open(), include, exclude)
    kept = select(files, selection)
    return examine_listed(place, kept.files, where, skipped=tuple(kept.skipped))


def select(files: Iterable[Listed], selection: Selection) -> Kept:
    """What a walk through folders that look like this would keep."""
    kept = Kept()
    for file in files:
        folder = _left_out_folder(file.path, selection)
        if folder:
            kept.skipped[folder] = None
        elif selection.keeps(file.path):
            kept.files.append(file)
        else:
            kept.skipped[file.path] = None
    return kept


def _left_out_folder(path: str, selection: Selection) -> str:
    """The outermost folder on the way to a file that is left out whole."""
    parts = path.split("/")[:-1]
    folders = ("/".join(parts[:count]) + "/" for count in range(1, len(parts) + 1))
    return next((folder for folder in folders if not selection.may_keep_below(folder)), "")


def examine_listed(
    place: Place, files: Sequence[Listed], where: str, *, skipped: Sequence[str] = ()
) -> CheckpointFolder:
    """A checkpoint of just these listed files; raises as `scan_listed`."""
    if len(files) > MAX_FILES:
        raise InvalidError(f"{where}: more than {MAX_FILES} files")
    twins = check_paths(file.path for file in files)
    if len(files) <= 1:
        looks = [_look(place, file) for file in files]
    else:
        with ThreadPoolExecutor(LOOKS_AT_ONCE, thread_name_prefix="deltastore-look") as pool:
            looks = list(pool.map(partial(_look, place), files))
    return assemble(where, looks, skipped, twins)


def _look(place: Place, listed: Listed) -> tuple[CheckpointFile, str]:
    weights = listed.path.endswith(".safetensors")
    file = UrlFile(place, listed, first=HEAD_BYTES if weights else 256)
    return examine(listed.path, UrlOrigin(place, listed), file)
