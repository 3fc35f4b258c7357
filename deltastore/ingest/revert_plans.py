"""What taking one commit's change out of a later version comes to, file by file, by digest alone.

A three-way comparison: what the commit did not change stays as the tip has it, what has not
changed since goes back to the parent's, and only weights that changed both times are subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltastore.errors import ConflictError, IncompatibleError
from deltastore.materialize.subtraction import subtractable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deltastore.history.manifests import ManifestFile
    from deltastore.materialize.versions import Version, VersionFile, VersionTensor
    from deltastore.specs import TensorSpec

__all__ = ["FilePlan", "RevertPlan", "Sides", "TensorPlan", "plan_revert", "whole_version"]

NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Sides:
    """The three versions.

    Attributes:
        tip: what the branch has now.
        commit: whose change is to go.
        parent: what there was before it.
    """

    tip: Version
    commit: Version
    parent: Version


@dataclass(frozen=True, slots=True)
class TensorPlan:
    """One tensor of the new version.

    Attributes:
        version: that has it.
        tensor: as that version has it.
        less: the commit's and the parent's, whose difference is subtracted; None to leave it.
    """

    version: Version
    tensor: VersionTensor
    less: tuple[VersionTensor, VersionTensor] | None = None


@dataclass(frozen=True, slots=True)
class FilePlan:
    """One file of the new version.

    Attributes:
        version: whose file it is, or whose header it has.
        file: as that version has it.
        tensors: by name, where the file is none of that version's; None to take it whole.
    """

    version: Version
    file: ManifestFile
    tensors: Mapping[str, TensorPlan] | None = None


@dataclass(frozen=True, slots=True)
class RevertPlan:
    """The files of the new version, sorted by path."""

    files: tuple[FilePlan, ...]

    @property
    def subtracted(self) -> tuple[str, ...]:
        """Names of tensors that are computed; all others have the bits of a stored version."""
        tensors = (file.tensors or {} for file in self.files)
        return tuple(name for each in tensors for name, plan in each.items() if plan.less)


@dataclass(slots=True)
class _Refused:
    """What stands in the way, collected so that all of it is named at once."""

    files: list[str] = field(default_factory=list)
    tensors: list[str] = field(default_factory=list)


def whole_version(version: Version) -> RevertPlan:
    """The plan that takes every file of one version."""
    return RevertPlan(tuple(FilePlan(version, file) for file in version.manifest.files))


def plan_revert(sides: Sides) -> RevertPlan:
    """How the tip looks without the commit's change.

    Raises:
        ConflictError: files that the commit changed were changed since; the message names them.
        IncompatibleError: the same of tensors that cannot be subtracted: integers, or others of
            another dtype or shape.
    """
    refused = _Refused()
    versions = (sides.tip, sides.commit, sides.parent)
    tables = [{file.path: file for file in version.manifest.files} for version in versions]
    files = []
    for path in sorted(set().union(*tables)):
        plan = _file(path, [table.get(path) for table in tables], sides, refused)
        if plan is not None:
            files.append(plan)
    _check(refused)
    return RevertPlan(tuple(files))


def _check(refused: _Refused) -> None:
    if refused.files:
        raise ConflictError(
            f"changed since that commit as well: {_listed(refused.files)}; nothing was recorded",
            hint="restore them by hand: deltastore show REV:PATH prints a file of any version",
        )
    if refused.tensors:
        raise IncompatibleError(
            "changed since that commit as well, and not to be subtracted (integers, or of "
            f"another dtype or shape): {_listed(refused.tensors)}; nothing was recorded",
            hint="deltastore reset moves the branch to the version before it",
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def _file(
    path: str, found: Sequence[ManifestFile | None], sides: Sides, refused: _Refused
) -> FilePlan | None:
    """A file of the new version; None where it has none of that path, or refuses."""
    tip, commit, parent = found
    if parent in (commit, tip):
        return None if tip is None else FilePlan(sides.tip, tip)
    if tip == commit:
        return None if parent is None else FilePlan(sides.parent, parent)
    if tip and commit and parent and tip.header and commit.header and parent.header:
        return _weights(path, (tip, commit, parent), sides, refused)
    refused.files.append(path)
    return None


def _weights(
    path: str,
    files: tuple[ManifestFile, ManifestFile, ManifestFile],
    sides: Sides,
    refused: _Refused,
) -> FilePlan | None:
    """A file of tensors that all three versions have differently."""
    tip, commit, parent = (file.header for file in files)
    if parent not in (commit, tip) and tip != commit:
        refused.files.append(path)
        return None
    kept = parent in (commit, tip)
    version, file = (sides.tip, files[0]) if kept else (sides.parent, files[2])
    tables = [_by_name(each.weights_file(path)) for each in (sides.tip, sides.commit, sides.parent)]
    tensors = {}
    for entry in version.weights_file(path).header.tensors:
        name = entry.spec.name
        plan = _tensor(entry.spec, [table.get(name) for table in tables], sides)
        if plan is None:
            refused.tensors.append(name)
        else:
            tensors[name] = plan
    return FilePlan(version, file, tensors)


def _by_name(file: VersionFile) -> dict[str, VersionTensor]:
    return {tensor.entry.spec.name: tensor for tensor in file.tensors}


def _tensor(
    spec: TensorSpec, found: Sequence[VersionTensor | None], sides: Sides
) -> TensorPlan | None:
    """A tensor of the new version, or None where it cannot be had in that form."""
    tip, commit, parent = found
    now, then, before = (tensor and tensor.digest for tensor in found)
    if before in (then, now):
        return TensorPlan(sides.tip, tip) if tip and tip.entry.spec == spec else None
    if now == then:
        return TensorPlan(sides.parent, parent) if parent and parent.entry.spec == spec else None
    if tip is None or commit is None or parent is None or not subtractable(spec.dtype):
        return None
    if any(tensor.entry.spec != spec for tensor in (tip, commit, parent)):
        return None
    return TensorPlan(sides.tip, tip, (commit, parent))
