"""Commits whose manifests, previews or locators lie: what must come of reading them.

Every commit here is well-formed, verified by its id, and lists content that is really stored. Only
what it says about that content is wrong.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

import deltastore
from deltastore.errors import CorruptError, DeltastoreError, UnsupportedError
from deltastore.history.commits import PreviewRef
from deltastore.history.entries import Draft, RefMove, Transaction, new_token
from deltastore.history.manifests import Manifest
from deltastore.history.meta_packs import MetaVersion, write_meta
from deltastore.history.refs import branch_ref
from deltastore.ids import CommitId, Digest, bytes_digest
from deltastore.storage.packs import publish
from deltastore.storage.records import Input, PackId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deltastore.history.manifests import ManifestFile
    from deltastore.materialize.versions import Version
    from deltastore.storage.records import Placement

TIME = "2020-01-01T00:00:00Z"
CONFIG = '{"a": 1}' * 100
WEIGHTS = "model.safetensors"


class Forge:
    """A store with a fine-tune of a base, and what makes false copies of that fine-tune."""

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(0)
        self.folder = folder
        self.published = 0
        base = {name: torch.randn(256, 256).bfloat16() for name in ("u", "w")}
        tuned = {**base, "w": base["w"] + 0.01 * torch.randn(256, 256).bfloat16()}
        self.store = deltastore.init(folder / "store")
        self.store.commit(self._folder("0", base), to="me/base", message="base")
        done = self.store.commit(
            self._folder("1", tuned), to="me/tuned", base="me/base", message=""
        )
        self.true: Version = self.store._session().version(CommitId(done.commit))
        self.placements = self.store._history.locator(CommitId(done.commit))

    def _folder(self, name: str, weights: dict[str, torch.Tensor]) -> Path:
        folder = self.folder / name
        folder.mkdir()
        save_file(weights, folder / WEIGHTS)
        (folder / "config.json").write_text(CONFIG)
        return folder

    @property
    def delta(self) -> Digest:
        """A tensor that is kept against others."""
        digests = (tensor.digest for file in self.true.weights for tensor in file.tensors)
        closure = self.true.closure
        return next(each for each in digests if closure[each].representation.inputs)

    def of_delta(self) -> list[Placement]:
        return [each for each in self.placements if each.record.digest == self.delta]

    def publish(
        self,
        *,
        manifest: Manifest | None = None,
        preview: Manifest | None = None,
        placements: Sequence[Placement] | None = None,
    ) -> str:
        """A model with one commit, made of the parts given and true ones."""
        self.published += 1
        name = f"forged-{self.published}"
        exact = manifest or self.true.manifest
        reference = None
        if preview is not None:
            reference = PreviewRef(bytes_digest(preview.encode()), "ternary/1", "0.5")
        header = replace(
            self.true.header,
            parents=(),
            manifest=bytes_digest(exact.encode()),
            preview=reference,
            message=name,
        )
        chosen = self.placements if placements is None else tuple(placements)
        made = MetaVersion(header, exact, preview, chosen)
        pack, (commit,) = write_meta([made], self.folder, writer="forge/1")
        publish(self.store._backend, pack)
        move = RefMove(branch_ref(f"me/{name}", "main"), None, commit)
        transaction = Transaction(
            new_token(), "commit", "me", TIME, name, (move,), (commit,), pack.pack
        )
        self.store._log.append(lambda _state: Draft((transaction,), add=(pack.pack,)))
        return f"me/{name}"

    def with_files(self, change: Callable[[ManifestFile], ManifestFile]) -> Manifest:
        return Manifest(tuple(change(file) for file in self.true.manifest.files))

    def preview_with(self, change: Callable[[ManifestFile], ManifestFile]) -> Manifest:
        assert self.true.preview is not None
        return Manifest(tuple(change(file) for file in self.true.preview.files))

    def bytes_of(self, revision: str) -> bytes:
        out = self.folder / revision.replace("/", "-")
        self.store.checkout(revision, out, overwrite=True)
        return (out / WEIGHTS).read_bytes()


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Forge:
    return Forge(tmp_path_factory.mktemp("forge"))


def every_reading(forge: Forge, revision: str) -> dict[str, Callable[[], object]]:
    store, out = forge.store, forge.folder / f"read-{forge.published}"
    return {
        "checkout": lambda: store.checkout(revision, out / "exact"),
        "preview": lambda: store.checkout(revision, out / "preview", fidelity="preview"),
        "load": lambda: store.load(revision, fidelity="preview"),
        "export": lambda: store.export(revision, out / "export"),
        "commit": lambda: store.commit(
            forge.folder / "0", to=f"me/onto-{forge.published}", base=revision, message=""
        ),
    }


def refused_everywhere(forge: Forge, revision: str) -> None:
    for what, read in every_reading(forge, revision).items():
        with pytest.raises(CorruptError):
            pytest.fail(f"{what} gave {read()}")
    assert not (forge.folder / f"read-{forge.published}").exists()
    found = forge.store.fsck(packs=False, tensors=True, revisions=[revision])
    assert {finding.kind for finding in found.findings} == {"corrupt"}


def test_an_exact_manifest_has_the_sha256_of_every_file(forge: Forge) -> None:
    def swap(file: ManifestFile) -> ManifestFile:
        return replace(file, sha256=None, tensors=file.tensors[::-1])

    refused_everywhere(forge, forge.publish(manifest=forge.with_files(swap)))


def test_a_blob_has_the_size_that_the_manifest_says(forge: Forge) -> None:
    def shrink(file: ManifestFile) -> ManifestFile:
        return replace(file, size=5) if file.blob else file

    refused_everywhere(forge, forge.publish(manifest=forge.with_files(shrink)))


def blob_for_weights(file: ManifestFile) -> ManifestFile:
    return file if file.header is None else replace(file, blob=file.header, header=None, tensors=())


def other_header(file: ManifestFile) -> ManifestFile:
    return file if file.header is None else replace(file, header=file.tensors[0])


def fewer_tensors(file: ManifestFile) -> ManifestFile:
    return replace(file, tensors=file.tensors[1:])


def other_sha256(file: ManifestFile) -> ManifestFile:
    return replace(file, sha256="cd" * 32)


def other_path(file: ManifestFile) -> ManifestFile:
    return replace(file, path=f"new/{file.path}")


@pytest.mark.parametrize(
    "lie", [blob_for_weights, other_header, fewer_tensors, other_sha256, other_path]
)
def test_a_preview_has_the_files_of_the_exact_version(
    forge: Forge, lie: Callable[[ManifestFile], ManifestFile]
) -> None:
    refused_everywhere(forge, forge.publish(preview=forge.preview_with(lie)))


def test_a_preview_that_agrees_is_read(forge: Forge) -> None:
    revision = forge.publish(preview=forge.preview_with(lambda file: file))
    for read in every_reading(forge, revision).values():
        read()
    assert forge.store.fsck(tensors=True, revisions=[revision]).ok


def missing_input(placement: Placement) -> Placement:
    return replace(placement, record=replace(placement.record, inputs=(Input(Digest("ab" * 32)),)))


def unknown_pack(placement: Placement) -> Placement:
    record = replace(placement.record, codec="dense/1", inputs=())
    return replace(placement, pack=PackId("cd" * 32), record=record)


def unknown_codec(placement: Placement) -> Placement:
    return replace(placement, record=replace(placement.record, codec="zipnn/1", inputs=()))


def rows_that_are_not_there(placement: Placement) -> Placement:
    inputs = tuple(replace(source, rows=(4000, 4256, 0, 256)) for source in placement.record.inputs)
    return replace(placement, record=replace(placement.record, inputs=inputs))


@pytest.mark.parametrize(
    "spoil", [missing_input, unknown_pack, unknown_codec, rows_that_are_not_there]
)
def test_a_locator_that_lists_something_unusable_first_is_read_all_the_same(
    forge: Forge, spoil: Callable[[Placement], Placement]
) -> None:
    spoiled = [spoil(each) for each in forge.of_delta()]
    revision = forge.publish(placements=[*spoiled, *forge.placements])
    assert forge.bytes_of(revision) == forge.bytes_of("me/tuned")


@pytest.mark.parametrize("spoil", [unknown_codec])
def test_what_only_a_newer_version_can_read_is_named(
    forge: Forge, spoil: Callable[[Placement], Placement]
) -> None:
    placements = [
        spoil(each) if each.record.digest == forge.delta else each for each in forge.placements
    ]
    revision = forge.publish(placements=placements)
    with pytest.raises(UnsupportedError) as refusal:
        forge.bytes_of(revision)
    assert isinstance(refusal.value, DeltastoreError)
    assert refusal.value.hint


def test_a_version_whose_deltas_have_no_inputs_is_found_without_rebuilding_it(forge: Forge) -> None:
    needed = set(forge.true.manifest.digests())
    placements = [each for each in forge.placements if each.record.digest in needed]
    revision = forge.publish(placements=placements)
    found = forge.store.fsck(packs=False, revisions=[revision])
    assert [finding.kind for finding in found.findings] == ["missing_object"]


def test_inputs_that_go_round_in_a_circle_resolve_nothing(forge: Forge) -> None:
    circle = Input(forge.delta)
    placements = [
        replace(each, record=replace(each.record, inputs=(circle,)))
        if each.record.digest == forge.delta
        else each
        for each in forge.placements
    ]
    revision = forge.publish(placements=placements)
    found = forge.store.fsck(packs=False, revisions=[revision])
    assert {finding.kind for finding in found.findings} == {"missing_object", "corrupt"}


def test_a_locator_that_says_otherwise_than_a_pack_is_found(forge: Forge) -> None:
    moved = [
        replace(each, record=replace(each.record, offset=each.record.offset + 64))
        if each.record.digest == forge.delta
        else each
        for each in forge.placements
    ]
    revision = forge.publish(placements=moved)
    (finding,) = forge.store.fsck(packs=False, revisions=[revision]).findings
    assert finding.kind == "corrupt"
    assert forge.delta in finding.detail


def test_what_is_unsupported_in_one_version_does_not_hide_damage_in_the_next(forge: Forge) -> None:
    newer = [
        unknown_codec(each) if each.record.digest == forge.delta else each
        for each in forge.placements
    ]
    revisions = [
        forge.publish(placements=newer),
        forge.publish(manifest=forge.with_files(lambda file: replace(file, sha256="cd" * 32))),
    ]
    found = forge.store.fsck(packs=False, tensors=True, revisions=revisions)
    assert {"unsupported", "corrupt"} <= {finding.kind for finding in found.findings}
    assert any("SHA-256" in finding.detail for finding in found.findings)
