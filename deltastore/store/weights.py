"""The methods of `Store` that give weights back: files, state dicts, tensors."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from deltastore.errors import NotFoundError, UsageError
from deltastore.progress import as_report
from deltastore.results import CheckoutResult, ExportResult
from deltastore.store.opened import OpenedStore
from deltastore.store.texts import check_fidelity, globs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from os import PathLike

    import torch

    from deltastore.history.manifests import ManifestFile
    from deltastore.kernels.dispatch import Family
    from deltastore.materialize.versions import Version, VersionFile
    from deltastore.progress import Progress
    from deltastore.results import Fidelity

__all__ = ["Weights"]


class Weights(OpenedStore):
    """See `Store`."""

    def checkout(
        self,
        revision: str,
        folder: str | PathLike[str],
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        fidelity: Fidelity = "exact",
        overwrite: bool = False,
        reference: str | PathLike[str] | None = None,
        progress: Progress | bool | None = None,
    ) -> CheckoutResult:
        """Write a version's files exactly as committed, each whole or not at all.

        Args:
            revision: what to check out.
            folder: here or at a URL, made if absent; matching files are kept, other names never
                touched.
            include: globs of files; all when empty.
            exclude: globs of files to leave out.
            fidelity: `preview` writes previewed tensors, into files that say so.
            overwrite: replace files that differ.
            reference: a checkpoint folder at hand; tensors of the same content are taken from it.
            progress: a callback, or True for a bar in a notebook and a line on stderr elsewhere.

        Raises:
            ExistsError: files that differ are there; nothing was written.
            CorruptError: what was rebuilt is not what was committed.
        """
        from deltastore.materialize.files import check_out
        from deltastore.store.places import destination
        from deltastore.store.references import with_reference

        check_fidelity(fidelity)
        target, _ = destination(folder, self._url_options)
        before, found = self._traffic(), self._resolve(revision)
        with with_reference(self._session(), reference, self._url_options) as session:
            version = session.version(found.commit)
            files = _selected(version, revision, globs(include), globs(exclude))
            preview = fidelity == "preview" and version.preview is not None
            written = check_out(
                version,
                files,
                target,
                session.reader(version),
                preview=preview,
                overwrite=overwrite,
                report=as_report(progress),
            )
        fetched, requests = self._traffic_since(before)
        return CheckoutResult(
            commit=found.commit,
            files=written.files,
            bytes=written.bytes,
            fetched_bytes=fetched,
            requests=requests,
            fidelity="preview" if preview else "exact",
            verified=not preview,
            kept=written.kept,
            model=found.model,
            branch=found.branch or found.tag,
        )

    def export(
        self,
        revision: str,
        path: str | PathLike[str],
        *,
        tensors: str | None = None,
        dtype: str | None = None,
        max_shard_size: int | None = None,
        fidelity: Fidelity = "exact",
        progress: Progress | bool | None = None,
    ) -> ExportResult:
        """Write weights changed on the way out.

        Args:
            revision: what to export.
            path: a new `.safetensors` file, or a folder; here or at a URL.
            tensors: glob of names, or of `path:name`, such as `unet/*.safetensors:*`; all when
                None.
            dtype: that float tensors are rounded to, such as `float16`.
            max_shard_size: most bytes of tensors per file.
            fidelity: `preview` for previewed tensors.
            progress: a callback, or True for a bar in a notebook and a line on stderr elsewhere.

        Raises:
            ExistsError: something is there already; nothing was written.
            IncompatibleError: files of the version have different tensors of one name.
            NotFoundError: no tensor fits.
        """
        from deltastore.materialize.export import Form, export, export_dtype
        from deltastore.materialize.naming import selected
        from deltastore.store.places import destination

        check_fidelity(fidelity)
        rounded = None if dtype is None else export_dtype(dtype)
        target, file = destination(path, self._url_options, files=True)
        before = self._traffic()
        commit, session = self._resolve(revision).commit, self._session()
        version = session.version(commit)
        preview = fidelity == "preview" and version.preview is not None
        wanted = selected(version.preview_weights if preview else version.weights, tensors)
        written = export(
            version,
            wanted,
            target,
            session.reader(version),
            Form(rounded, max_shard_size, preview),
            file=file,
            report=as_report(progress),
        )
        fetched, requests = self._traffic_since(before)
        return ExportResult(
            commit=commit,
            files=written.files,
            bytes=written.bytes,
            fetched_bytes=fetched,
            requests=requests,
            fidelity="preview" if preview else "exact",
            verified=False,
        )

    def load(
        self,
        revision: str,
        *,
        device: str = "cpu",
        fidelity: Fidelity = "exact",
        tensors: str | None = None,
        kernels: str = "auto",
        progress: Progress | bool | None = None,
    ) -> dict[str, torch.Tensor]:
        """A version as a state dict.

        Args:
            revision: what to load.
            device: as PyTorch spells it.
            fidelity: `preview` for a lossy reading of a few percent of the bytes.
            tensors: glob of names, or of `path:name`, such as `unet/*.safetensors:*`; all when
                None.
            kernels: `auto`, `cpu` or `reference`; the bits do not depend on it.
            progress: a callback, or True for a bar in a notebook and a line on stderr elsewhere.

        Returns:
            Tensors by name; of a preview in a subclass of dict that `commit` refuses unless
            `lossy`.

        Raises:
            IncompatibleError: files of the version have different tensors of one name.
            NotFoundError: no tensor fits.
        """
        from deltastore.materialize.naming import selected
        from deltastore.materialize.state_dicts import (
            PreviewState,
            check_device,
            load_tensors,
        )

        family = _family(kernels)
        check_fidelity(fidelity)
        check_device(device)
        version = self._session().version(self._resolve(revision).commit)
        wanted = selected(_weights(version, fidelity), tensors)
        reader = self._session().reader(version, family=family)
        state = load_tensors(wanted, reader, device=device, report=as_report(progress))
        preview = fidelity == "preview" and version.preview is not None
        return PreviewState(state) if preview else state

    def tensor(
        self, revision: str, name: str, *, rows: slice | None = None, fidelity: Fidelity = "exact"
    ) -> torch.Tensor:
        """One tensor of a version, or some rows of its first axis.

        Args:
            revision: to read from.
            name: the tensor's, or `path:name` where several files have one of that name.
            rows: of the first axis; all when None.
            fidelity: `preview` for the previewed tensor.

        Raises:
            AmbiguousError: several files have different tensors of that name.
            NotFoundError: there is none.
        """
        from deltastore.materialize.naming import named
        from deltastore.materialize.state_dicts import some_rows, torch_tensor

        check_fidelity(fidelity)
        version = self._session().version(self._resolve(revision).commit)
        wanted = named(_weights(version, fidelity), name)
        if wanted is None:
            raise NotFoundError(
                f"{revision} has no tensor {name!r}", hint=_close(name, version.tensors)
            )
        content = self._session().reader(version).read(wanted.digest, wanted.spec)
        found = torch_tensor(content, wanted.spec)
        return found if rows is None else some_rows(found, rows)


def _selected(
    version: Version, revision: str, include: Sequence[str], exclude: Sequence[str]
) -> list[ManifestFile]:
    from deltastore.materialize.selection import selects

    found = [file for file in version.manifest.files if selects(file.path, include, exclude)]
    if not found:
        raise NotFoundError(f"{revision}: no file fits", hint="ls REV lists the files")
    return found


def _weights(version: Version, fidelity: Fidelity) -> tuple[VersionFile, ...]:
    return version.preview_weights if fidelity == "preview" else version.weights


def _family(kernels: str) -> Family:
    families: dict[str, Family] = {"auto": "cpu", "cpu": "cpu", "reference": "reference"}
    if kernels not in families:
        raise UsageError(f"no kernels {kernels!r}", hint=f"one of: {', '.join(families)}")
    return families[kernels]


def _close(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, names, n=3)
    return f"did you mean {', '.join(near)}?" if near else "ls REV --tensors lists the names"
