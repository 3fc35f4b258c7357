"""The methods of `Store` that look: names, history, listings, differences, sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastore.history.views import (
    RefNames,
    commit_info,
    file_infos,
    log_result,
    model_infos,
    ref_infos,
)
from deltastore.progress import as_report
from deltastore.results import Listing, TensorInfo
from deltastore.store.opened import OpenedStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deltastore.ids import CommitId
    from deltastore.materialize.versions import Version
    from deltastore.progress import Progress
    from deltastore.results import CommitInfo, Diff, LogResult, RefInfo, Stats

__all__ = ["Looking"]


class Looking(OpenedStore):
    """See `Store`."""

    def resolve(self, revision: str) -> CommitId:
        """The id of the commit that a revision names.

        Raises:
            NotFoundError: there is none; the hint names what comes close.
            AmbiguousError: an abbreviated id fits several.
        """
        return self._resolve(revision).commit

    def log(self, revision: str, *, limit: int | None = None, graph: bool = False) -> LogResult:
        """A version and what is behind it, newest first."""
        commit = self.resolve(revision)
        return log_result(commit, self._history, self._log.state, limit=limit, graph=graph)

    def show(self, revision: str) -> CommitInfo:
        """What was recorded of a version, with its files."""
        commit = self.resolve(revision)
        return commit_info(commit, self._history, RefNames(self._log.state), files=True)

    def read_file(self, revision: str, path: str) -> Iterator[bytes]:
        """The bytes of one file of a version; the last piece only once all are verified."""
        version = self._session().version(self.resolve(revision))
        file = version.file(path)
        if file.blob is not None:
            yield from version.blob(file.blob)
            return
        weights = version.weights_file(path)
        yield weights.header.raw
        reader = self._session().reader(version)
        for content in reader.read_many(tensor.wanted for tensor in weights.tensors):
            yield content.tobytes()

    def ls(
        self, pattern: str | None = None, *, tensors: bool = False, limit: int | None = None
    ) -> Listing:
        """Models, or the files or tensors of one version.

        Args:
            pattern: None, a glob or `namespace/` for models; else a revision.
            tensors: of the revision, its tensors instead of its files.
            limit: most rows.
        """
        if tensors and pattern is not None:
            version = self._session().version(self.resolve(pattern))
            return _cut(Listing(tensors=_tensor_infos(version)), limit)
        if pattern is None or pattern.endswith("/") or any(char in pattern for char in "*?["):
            return _cut(Listing(models=model_infos(self._log.refresh(), pattern)), limit)
        commit = self.resolve(pattern)
        manifest = self._history.manifest(commit, self._history.header(commit).manifest)
        return _cut(Listing(files=file_infos(manifest)), limit)

    def branches(self, model: str | None = None) -> tuple[RefInfo, ...]:
        """The branches of a model, or of all."""
        return ref_infos(self._log.refresh(), "branch", self._known_model(model))

    def tags(self, model: str | None = None) -> tuple[RefInfo, ...]:
        """The tags of a model, or of all."""
        return ref_infos(self._log.refresh(), "tag", self._known_model(model))

    def diff(
        self, a: str, b: str | None = None, *, progress: Progress | bool | None = None
    ) -> Diff:
        """What differs between two revisions, folders or URLs; of one, against its first parent."""
        from deltastore.store.differences import difference

        return difference(
            self._session(), a, b, self._resolve, as_report(progress), self._url_options
        )

    def stats(self, revision: str | None = None) -> Stats:
        """Sizes and counts of the store, or of one version."""
        from deltastore.maintenance.stats import store_stats, version_stats

        self._log.refresh()
        if revision is None:
            return store_stats(self._catalog())
        commit = self.resolve(revision)
        return version_stats(self._session(), self._catalog(), commit)

    def _known_model(self, model: str | None) -> str | None:
        if model is not None and model not in self._log.state.models():
            self._resolve(model)  # says what comes close
        return model


def _tensor_infos(version: Version) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(
            tensor.entry.spec.name,
            tensor.entry.spec.dtype,
            tensor.entry.spec.shape,
            tensor.digest,
            file.file.path,
        )
        for file in version.weights
        for tensor in file.tensors
    )


def _cut(listing: Listing, limit: int | None) -> Listing:
    """At most `limit` rows."""
    rows = listing.models or listing.files or listing.tensors or ()
    if limit is None or len(rows) <= limit:
        return listing
    return Listing(
        models=listing.models and listing.models[:limit],
        files=listing.files and listing.files[:limit],
        tensors=listing.tensors and listing.tensors[:limit],
        truncated=True,
    )
