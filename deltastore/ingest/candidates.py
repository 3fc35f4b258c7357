"""What an import would commit: the checkpoints of some trees, named and in order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.checkpoints.finding import FoundCheckpoint, find_checkpoints
from deltastore.checkpoints.patterns import Selection
from deltastore.checkpoints.url_folder import select
from deltastore.errors import InvalidError, NotFoundError, UsageError
from deltastore.history.refs import DEFAULT_BRANCH, branch_ref, check_model, check_ref_name
from deltastore.places.place import Listing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from deltastore.checkpoints.examining import CheckpointFolder
    from deltastore.checkpoints.trees import Tree

__all__ = ["Candidate", "Target", "find_candidates", "parse_target"]

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
# a snapshot of the Hugging Face cache is named by a hash; its model's name is further up
_SNAPSHOT = re.compile(r"(?:^|/)models--(?:[^/]*--)?([^/]+)/snapshots/[0-9a-f]{7,64}$")
_LONGEST_NAME = 96
_CLASHES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Target:
    """Where an import puts what it finds.

    Attributes:
        model: `namespace/name` with `{name}` or `{path}` in it.
        branch: the same for all.
    """

    model: str
    branch: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One checkpoint, and where it would go.

    Attributes:
        tree: that it was found in.
        found: its place there.
        source: its whole address, without credentials.
        version: of its listing; another content has another one.
        model: `namespace/name`.
        branch: of the model.
    """

    tree: Tree
    found: FoundCheckpoint
    source: str
    version: str
    model: str
    branch: str

    @property
    def ref(self) -> str:
        """The branch's name in the log."""
        return branch_ref(self.model, self.branch)

    def scan(self, *, include: Sequence[str], exclude: Sequence[str]) -> CheckpointFolder:
        """Look at its files; raises as `Tree.scan`."""
        return self.tree.scan(self.found, include=include, exclude=exclude)


def parse_target(to: str) -> Target:
    """Model and branch of `namespace/{name}[@branch]`.

    Raises:
        UsageError: another placeholder than `{name}` and `{path}`, or one in the branch.
        InvalidError: a name that breaks the rules.
    """
    model, _, branch = to.partition("@")
    unknown = [name for name in _PLACEHOLDER.findall(model) if name not in ("name", "path")]
    if unknown or "{" in branch:
        raise UsageError(
            f"--to {to}: only {{name}} and {{path}} are known, and only before the @",
            hint="such as --to 'team/{name}'",
        )
    check_model(_PLACEHOLDER.sub("x", model))
    return Target(model, check_ref_name(branch or DEFAULT_BRANCH))


def find_candidates(
    trees: Iterable[tuple[Tree, Listing]],
    target: Target,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> tuple[Candidate, ...]:
    """The checkpoints of some trees, older ones first and adapters last.

    What was written earlier is what later ones may descend from.

    Args:
        trees: each with its listing.
        target: how to name them.
        include: globs as for one checkpoint; they may also name paths from the tree.
        exclude: likewise.

    Raises:
        NotFoundError: no checkpoint anywhere.
        UsageError: two would get one name.
    """
    selection = Selection(tuple(include), tuple(exclude))
    trees = tuple(trees)
    found = {
        candidate.source: candidate
        for tree, listing in trees
        for candidate in _candidates(tree, listing, target, selection)
    }
    if not found:
        raise NotFoundError(
            f"no checkpoint in {', '.join(tree.url for tree, _ in trees)}",
            hint="a checkpoint is a safetensors file, or a folder with some in it",
        )
    candidates = sorted(found.values(), key=_order)
    _refuse_clashes(candidates)
    return tuple(candidates)


def _candidates(
    tree: Tree, listing: Listing, target: Target, selection: Selection
) -> Iterator[Candidate]:
    files = listing.files if listing.single else tuple(select(listing.files, selection).files)
    kept = Listing(files, listing.single)
    for found in find_checkpoints(kept):
        files = found.files if found.single else tuple(select(found.files, selection).files)
        source = found.url(tree.url)
        model = _model(found, source, target)
        version = FoundCheckpoint(found.path, files).version()
        yield Candidate(tree, found, source, version, model, target.branch)


def _model(found: FoundCheckpoint, source: str, target: Target) -> str:
    name = _name(source, single=found.single)
    path = found.path.removesuffix(".safetensors") if found.single else found.path
    parts = {"name": name, "path": _fit(path.replace("/", "-")) or name}
    if not name:
        raise InvalidError(f"{source}: no model can be called that", hint="--exclude leaves it out")
    return check_model(_PLACEHOLDER.sub(lambda match: parts[match[1]], target.model))


def _name(source: str, *, single: bool) -> str:
    snapshot = _SNAPSHOT.search(source)
    name = snapshot[1] if snapshot else source.rpartition("/")[2]
    return _fit(name.removesuffix(".safetensors") if single else name)


def _fit(name: str) -> str:
    """A name with `-` for what no model's name may hold."""
    return _UNFIT.sub("-", name).lstrip("._-")[:_LONGEST_NAME]


def _order(candidate: Candidate) -> tuple[bool, float, str]:
    return candidate.found.is_adapter, candidate.found.modified, candidate.source


def _refuse_clashes(candidates: Iterable[Candidate]) -> None:
    by_model: dict[str, list[str]] = {}
    for candidate in candidates:
        by_model.setdefault(candidate.model, []).append(candidate.source)
    clashes = {model: sources for model, sources in by_model.items() if len(sources) > 1}
    if clashes:
        first = list(clashes.items())[:_CLASHES_SHOWN]
        shown = [f"{model}: {', '.join(sources)}" for model, sources in first]
        raise UsageError(
            "models would be made of several checkpoints; nothing was imported\n"
            + "\n".join(shown),
            hint="{path} instead of {name} in --to names each by its whole path; --exclude leaves "
            "some out",
        )
