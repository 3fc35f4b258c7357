"""What came of writing one version."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltastore.history.invariant import prove
from deltastore.history.representations import placed

if TYPE_CHECKING:
    from deltastore.history.manifests import Manifest
    from deltastore.ids import Digest
    from deltastore.storage.packing import SpooledPack
    from deltastore.storage.records import Placement
    from deltastore.storage.sketches import Sketch

__all__ = ["Tally", "WrittenBlob", "WrittenVersion", "prove_whole"]


@dataclass(frozen=True, slots=True)
class WrittenBlob:
    """An opaque file and the bytes its payloads take; 0 when the store had it."""

    path: str
    size: int
    stored_bytes: int


@dataclass(slots=True)
class Tally:
    """Counted while a version is being written."""

    unchanged: int = 0
    delta: int = 0
    dense: int = 0
    squared_error: float = 0.0
    squared_change: float = 0.0
    previewed: int = 0
    too_deep: int = 0
    dense_names: list[str] = field(default_factory=list)
    blobs: list[WrittenBlob] = field(default_factory=list)

    def add_error(self, squared_error: float, squared_change: float) -> None:
        """Count one more previewed tensor."""
        self.previewed += 1
        self.squared_error += squared_error
        self.squared_change += squared_change

    @property
    def preview_error(self) -> float | None:
        """|exact - preview| / |exact - base| so far; None without a preview.

        1 where the sums overflow (differences beyond 1e154): a least-squares step never takes a
        tensor further away than its base is.
        """
        if not self.previewed:
            return None
        if not self.squared_change:
            return 0.0
        quotient = self.squared_error / self.squared_change
        return math.sqrt(quotient) if math.isfinite(quotient) else 1.0


@dataclass(frozen=True, slots=True)
class WrittenVersion:
    """A version whose new content is in the store, and that no log entry names yet.

    Attributes:
        packs: published.
        manifest: of the exact content.
        preview: of the previewed content, or None.
        preview_error: |exact - preview| / |exact - base|; None without a preview.
        placements: sections of the packs and of everything reused, inputs included.
        reused: digests that were not written.
        unchanged: tensors that the store had.
        delta: tensors kept against a reference.
        dense: tensors kept whole.
        dense_names: of the latter, those that have no counterpart in the base.
        too_deep: of the latter, those whose counterpart is too many steps from a keyframe.
        blobs: the opaque files.
        sketches: of the tensors that were written.
    """

    packs: tuple[SpooledPack, ...]
    manifest: Manifest
    preview: Manifest | None
    preview_error: float | None
    placements: tuple[Placement, ...]
    reused: tuple[Digest, ...]
    unchanged: int
    delta: int
    dense: int
    dense_names: tuple[str, ...]
    too_deep: int
    blobs: tuple[WrittenBlob, ...]
    sketches: tuple[Sketch, ...] = ()


def prove_whole(written: WrittenVersion) -> None:
    """Show that all a version owes can be rebuilt while the packs it relies on are live.

    Raises:
        IncompatibleError: a tensor is more than 8 steps from one that is kept whole.
        MissingObjectError: something was neither written nor found.
    """
    manifests = (written.manifest, written.preview)
    needed = {digest for each in manifests if each for digest in each.digests()}
    packs = {placement.pack for placement in written.placements}
    prove(needed, placed(written.placements), packs)
