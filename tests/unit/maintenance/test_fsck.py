"""What fsck finds in stores that were damaged in one place."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

import deltastore
from deltastore.ids import CommitId
from deltastore.storage.packs import PackReader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TUNED = "me/tuned"


def commit(store: deltastore.Store, folder: Path, to: str, base: str | None, seed: int) -> None:
    torch.manual_seed(0)
    weights = {name: torch.randn(128, 256).bfloat16() for name in ("u", "w")}
    torch.manual_seed(seed)
    if base:
        weights["w"] += 0.01 * torch.randn(128, 256).bfloat16()
    folder.mkdir()
    save_file(weights, folder / "model.safetensors")
    store.commit(folder, to=to, base=base, message=to)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a base and two fine-tunes of it."""
    folder = tmp_path_factory.mktemp("sound")
    with deltastore.init(folder / "store") as store:
        commit(store, folder / "base", "me/base", None, 1)
        commit(store, folder / "tuned", TUNED, "me/base", 2)
        commit(store, folder / "other", "me/other", "me/base", 3)
    return folder / "store"


@pytest.fixture
def place(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "store")


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def damage(path: Path) -> None:
    flip(path, -5)


def remove(path: Path) -> None:
    path.unlink()


def packs_of(place: Path, *classes: str) -> list[Path]:
    """The files of all packs of some classes."""
    store = deltastore.open(place)
    reader = PackReader(store._backend)
    paths = {path.stem: path for path in (place / "packs").rglob("*.safetensors")}
    live = sorted(store._log.refresh().live)
    return [paths[pack] for pack in live if reader.contents(pack).head.pack_class in classes]


def needed_by(place: Path, revision: str) -> set[str]:
    store = deltastore.open(place)
    found = CommitId(store.resolve(revision))
    return {each.pack for each in store._history.locator(found)}


def test_a_sound_store_has_no_findings(place: Path) -> None:
    found = deltastore.open(place).fsck(tensors=True)
    assert found.ok
    assert found.checked["commits"] == 3
    assert found.checked["log entries"] == 4
    assert found.checked["packs"] == len(list((place / "packs").rglob("*.safetensors")))


@pytest.mark.parametrize(("harm", "kind"), [(damage, "corrupt"), (remove, "missing_object")])
def test_packs_of_the_versions_asked_for_are_read(
    place: Path, harm: Callable[[Path], None], kind: str
) -> None:
    packs = packs_of(place, "whole", "preview", "exact")
    needed = needed_by(place, TUNED)
    for path in packs:
        harm(path)
    found = deltastore.open(place).fsck(revisions=[TUNED])
    assert not found.ok
    assert sorted(f.object for f in found.findings) == sorted(f"pack {pack}" for pack in needed)
    assert {finding.kind for finding in found.findings} == {kind}


def test_packs_of_other_versions_are_left_alone(place: Path) -> None:
    needed = needed_by(place, TUNED)
    for path in packs_of(place, "whole", "preview", "exact"):
        if path.stem not in needed:
            damage(path)
    store = deltastore.open(place)
    assert store.fsck(revisions=[TUNED]).ok
    assert not store.fsck(revisions=["me/other"]).ok


def test_the_meta_pack_of_a_version_asked_for_is_read(place: Path) -> None:
    store = deltastore.open(place)
    revision = CommitId(store.resolve(TUNED))
    meta = store._log.refresh().commits[revision]
    found = store.fsck(revisions=[TUNED])
    assert found.checked["packs"] == len(needed_by(place, TUNED)) + 1
    flip(next((place / "packs").rglob(f"{meta}*")), -1)
    findings = deltastore.open(place).fsck(revisions=[revision]).findings
    assert ("corrupt", f"pack {meta}") in [(each.kind, each.object) for each in findings]


def entry(place: Path, v: int) -> Path:
    return place / "log" / f"{v:020d}"


@pytest.mark.parametrize("harm", [damage, remove])
@pytest.mark.parametrize("v", [1, 2])
@pytest.mark.parametrize("replay", [True, False])
def test_a_damaged_log_is_a_finding(
    place: Path, harm: Callable[[Path], None], v: int, replay: bool
) -> None:
    harm(entry(place, v))
    found = deltastore.open(place).fsck(log=replay)
    assert not found.ok
    assert [(finding.kind, finding.object) for finding in found.findings] == [("corrupt", "log")]
    assert found.checked.get("commits", 0) == 0


def test_one_damaged_pack_does_not_hide_another(place: Path) -> None:
    paths = packs_of(place, "whole", "exact")
    assert len(paths) >= 2
    for path in paths:
        damage(path)
    found = deltastore.open(place).fsck()
    assert {finding.object for finding in found.findings} == {f"pack {p.stem}" for p in paths}


def test_progress_is_in_bytes_and_ends_at_the_whole(place: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    deltastore.open(place).fsck(tensors=True, progress=lambda *call: calls.append(call))
    for stage in ("fsck packs", "fsck tensors"):
        done = [(done, total) for name, done, total in calls if name == stage]
        assert done[-1][0] == done[-1][1] > 100_000
        assert done == sorted(done)
