"""`commit` through the program: what is kept, what is told, and that it comes back bit for bit."""

from __future__ import annotations

import json
import os
import pickle
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deltastore.specs import DTYPES
from tests.cli.weights import (
    Tensor,
    assembled,
    bf16,
    fine_tuned,
    safetensors_file,
    sha256_of_files,
    small_model,
    write_model,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran

    Program = Callable[..., Ran]
    Commit = Callable[..., dict[str, Any]]
    Restored = Callable[[str], dict[str, str]]


@pytest.fixture
def here(tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an empty store, which is in force."""
    assert program("init", "models.ds").code == 0
    monkeypatch.setenv("DELTASTORE_STORE", "models.ds")
    return tmp_path


@pytest.fixture
def commit(program: Program, here: Path) -> Commit:
    """Commit something, which must succeed; gives the result and what was said beside it."""

    def call(path: str, to: str, *options: str) -> dict[str, Any]:
        ran = program("commit", path, "--to", to, "-m", "m", *options, "--json")
        assert ran.code == 0, ran.err
        result: dict[str, Any] = json.loads(ran.out)["result"]
        return {**result, "said": ran.err}

    return call


@pytest.fixture
def restored(program: Program, here: Path) -> Restored:
    """The SHA-256 sums of what a revision is checked out as."""

    def call(revision: str) -> dict[str, str]:
        out = f"out-{len(list(here.glob('out-*')))}"
        ran = program("checkout", revision, out)
        assert ran.code == 0, ran.err
        assert ", verified" in ran.out
        return sha256_of_files(here / out)

    return call


def entries(here: Path) -> int:
    return sum(path.name != "HINT" for path in (here / "models.ds" / "log").iterdir())


# adapters


def test_an_adapter_records_the_base_that_it_goes_with(
    here: Path, commit: Commit, restored: Restored, program: Program
) -> None:
    write_model(here / "base", small_model())
    base = commit("base", "meta/base")
    lora: dict[str, Tensor] = {
        f"base_model.model.q_proj.lora_{side}.weight": bf16(np.full(shape, 0.5, np.float32))
        for side, shape in (("A", (4, 16)), ("B", (16, 4)))
    }
    write_model(here / "lora", lora, {"adapter_config.json": b"{}"})
    done = commit("lora", "me/lora", "--base", "meta/base")
    assert (done["base"], done["tensors"]["dense"]) == (base["commit"], 2)
    again = commit("lora", "me/lora")
    assert (again["unchanged"], again["base"]) == (True, base["commit"])
    assert restored("me/lora") == sha256_of_files(here / "lora")

    (here / "lora" / "adapter_config.json").unlink()
    ran = program("commit", "lora", "--to", "me/other", "-m", "m", "--base", "meta/base")
    assert ran.code == 5
    assert "no tensor here has the name" in ran.err


# what is the same


def test_the_same_files_again_record_nothing(here: Path, commit: Commit, program: Program) -> None:
    write_model(here / "base", small_model())
    first = commit("base", "me/x")
    before = entries(here)
    again = commit("base", "me/x")
    assert again["unchanged"] is True
    assert again["commit"] == first["commit"]
    assert again["stored_bytes"] == 0
    assert again["tensors"]["unchanged"] == again["tensors"]["total"] == 4
    assert entries(here) == before
    text = program("commit", "base", "--to", "me/x", "-m", "m")
    assert text.code == 0
    assert "unchanged: the branch has these very files; nothing recorded" in text.out


def test_tied_and_identical_tensors_are_stored_once(
    here: Path, commit: Commit, restored: Restored
) -> None:
    random = np.random.default_rng(5)
    large = bf16(random.standard_normal((200, 300)).astype(np.float32))
    write_model(here / "one", {"embed": large})
    write_model(here / "tied", {"embed": large, "lm_head": large, "copy": large})
    alone = commit("one", "me/one")["stored_bytes"]
    tied = commit("tied", "me/tied", "--base", "none")
    assert tied["stored_bytes"] < alone + 10_000
    assert restored("me/tied") == sha256_of_files(here / "tied")


def test_a_copy_of_a_version_costs_its_record_only(here: Path, commit: Commit) -> None:
    write_model(here / "base", small_model())
    whole = commit("base", "me/base")["stored_bytes"]
    copy = commit("base", "me/copy", "--base", "me/base")
    assert copy["tensors"] == {"total": 4, "unchanged": 4, "delta": 0, "dense": 0, "merged": 0}
    assert copy["stored_bytes"] < 12_000 < whole


# where it goes


def test_expect_is_what_the_branch_must_stand_at(
    here: Path, commit: Commit, program: Program
) -> None:
    write_model(here / "a", small_model())
    write_model(here / "b", small_model(1))
    first = commit("a", "me/x", "--expect", "none")["commit"]
    commit("b", "me/x", "--expect", "me/x")
    before = entries(here)
    ran = program("commit", "a", "--to", "me/x", "-m", "m", "--expect", first, "--json")
    assert ran.code == 4
    error = json.loads(ran.out)["error"]
    assert error["kind"] == "conflict"
    assert "me/x@main" in error["message"]
    assert "nothing was recorded" in error["message"]
    assert error["hint"]
    assert program("commit", "a", "--to", "me/x", "-m", "m", "--expect", "none").code == 4
    assert entries(here) == before


def test_a_branch_grows_from_its_parent_and_inherits_the_base(here: Path, commit: Commit) -> None:
    for number, name in enumerate(("base", "b", "c", "d")):
        write_model(here / name, fine_tuned(small_model(), number) if number else small_model())
    base = commit("base", "meta/base")["commit"]
    second = commit("b", "me/x", "--base", "meta/base")
    assert "base" in second
    third = commit("c", "me/x")
    assert (third["parents"], third["base"]) == ([second["commit"]], base)
    dev = commit("d", "me/x@dev", "--parent", "me/x~1")
    assert (dev["parents"], dev["branch"]) == ([second["commit"]], "dev")


# bases that do not fit


def test_a_base_with_other_names_and_shapes_is_used_where_it_fits(
    here: Path, commit: Commit, program: Program, restored: Restored
) -> None:
    base = small_model()
    write_model(here / "base", base)
    other = fine_tuned(base)
    other["head"] = bf16(np.ones((32, 7), np.float32))
    other["embed"] = bf16(np.full((65, 32), 0.5, np.float32))
    del other["layers.1"]
    write_model(here / "other", other)
    commit("base", "meta/base")
    text = program("commit", "other", "--to", "me/text", "--base", "meta/base", "-m", "m").out
    assert "1 tensor matches nothing in the base and is kept whole: head" in text
    done = commit("other", "me/other", "--base", "meta/base")
    assert done["dense_names"] == ["head"]
    assert done["tensors"] == {"total": 4, "unchanged": 1, "delta": 1, "dense": 2, "merged": 0}
    assert restored("me/other") == sha256_of_files(here / "other")


def test_a_base_of_which_nothing_matches_is_refused(
    here: Path, commit: Commit, program: Program, restored: Restored
) -> None:
    write_model(here / "base", small_model())
    write_model(here / "alien", {"wte": bf16(np.ones((8, 8), np.float32))})
    commit("base", "meta/base")
    before = entries(here)
    ran = program("commit", "alien", "--to", "me/alien", "--base", "meta/base", "-m", "m", "--json")
    assert ran.code == 5
    error = json.loads(ran.out)["error"]
    assert error["kind"] == "incompatible"
    assert "meta/base" in error["message"]
    assert "--base none" in error["hint"]
    assert entries(here) == before
    done = commit("alien", "me/alien", "--base", "none")
    assert done["base"] is None
    assert restored("me/alien") == sha256_of_files(here / "alien")


# bits


def special_values() -> dict[str, Tensor]:
    """Every kind of number that is none: quiet and signaling NaN with payloads, infinities, -0."""
    words = {
        "F32": [0x7FC00001, 0xFFC12345, 0x7F800001, 0x7F800000, 0xFF800000, 0x80000000, 1],
        "BF16": [0x7FC1, 0xFFC2, 0x7F81, 0x7F80, 0xFF80, 0x8000, 1],
        "F16": [0x7E01, 0xFE02, 0x7C01, 0x7C00, 0xFC00, 0x8000, 1],
    }
    return {
        f"special.{dtype}": Tensor(
            dtype, (7,), np.array(bits, "<u4" if dtype == "F32" else "<u2").tobytes()
        )
        for dtype, bits in words.items()
    }


def test_nan_weights_are_kept_bit_for_bit(here: Path, commit: Commit, restored: Restored) -> None:
    base = small_model() | special_values()
    tuned = fine_tuned(base)
    for name, tensor in tuned.items():
        if name.startswith("layers"):
            words = np.frombuffer(tensor.data, "<u2").copy()
            words[::7], words[3::11], words[5::13] = 0x7FC7, 0xFF85, 0x8000
            tuned[name] = Tensor(tensor.dtype, tensor.shape, words.tobytes())
        if name.startswith("special"):
            tuned[name] = Tensor(tensor.dtype, tensor.shape, tensor.data[::-1])
    write_model(here / "base", base)
    write_model(here / "tuned", tuned)
    commit("base", "meta/base")
    commit("tuned", "me/tuned", "--base", "meta/base")
    assert restored("meta/base") == sha256_of_files(here / "base")
    assert restored("me/tuned") == sha256_of_files(here / "tuned")


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_every_dtype_comes_back_as_base_and_as_fine_tune(
    dtype: str, here: Path, commit: Commit, restored: Restored
) -> None:
    random = np.random.default_rng(3)
    shapes = {"matrix": (160, 128), "odd": (3, 8), "vector": (8,), "empty": (0, 8), "none": (0,)}
    if DTYPES[dtype].bits >= 8:
        shapes["scalar"] = ()
    sizes = {name: prod(shape) * DTYPES[dtype].bits // 8 for name, shape in shapes.items()}
    bound = 2 if dtype == "BOOL" else 256
    base = {
        name: Tensor(dtype, shape, random.integers(0, bound, sizes[name], np.uint8).tobytes())
        for name, shape in shapes.items()
    }
    tuned = {}
    for name, tensor in base.items():
        raw = np.frombuffer(tensor.data, np.uint8).copy()
        raw[:: max(1, DTYPES[dtype].bits // 8)] ^= random.integers(
            0, 2, len(raw[:: max(1, DTYPES[dtype].bits // 8)]), np.uint8
        )
        tuned[name] = Tensor(dtype, tensor.shape, raw.tobytes())
    write_model(here / "base", base)
    write_model(here / "tuned", tuned)
    commit("base", "meta/base")
    done = commit("tuned", "me/tuned", "--base", "meta/base")
    assert done["tensors"]["total"] == len(shapes)
    assert done["tensors"]["delta"] >= 1
    assert restored("meta/base") == sha256_of_files(here / "base")
    assert restored("me/tuned") == sha256_of_files(here / "tuned")


def test_headers_are_kept_verbatim(here: Path, commit: Commit, restored: Restored) -> None:
    one, two = bytes(range(8)), bytes(range(100, 116))
    out_of_order = (
        b'{ "z": {"shape": [4, 2],"dtype":"BF16", "data_offsets": [8, 24]},\n'
        b'  "__metadata__": {"\xc3\xbc": "caf\\u00e9", "a": ""},\t'
        b'  "a": {"dtype":"F32","data_offsets": [0, 8],"shape":[2]} }   '
    )
    folder = here / "odd"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(assembled(out_of_order, one + two))
    plain = {"w": bf16(np.ones((4, 4), np.float32))}
    (folder / "unpadded.safetensors").write_bytes(safetensors_file(plain, padding=3))
    (folder / "padded.safetensors").write_bytes(safetensors_file(plain, {}, padding=4096))
    (folder / "empty.safetensors").write_bytes(assembled(b"{}", b""))
    (folder / "remarks.safetensors").write_bytes(safetensors_file({}, {"format": "pt"}))
    commit("odd", "me/odd")
    assert restored("me/odd") == sha256_of_files(folder)


# folders


def write_sharded(folder: Path, tensors: dict[str, Tensor]) -> Path:
    folder.mkdir(parents=True)
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for number, part in enumerate((names[:2], names[2:]), start=1):
        shard = f"model-{number:05d}-of-00002.safetensors"
        content = safetensors_file({name: tensors[name] for name in part}, {"format": "pt"})
        (folder / shard).write_bytes(content)
        weight_map |= dict.fromkeys(part, shard)
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def test_sharded_folders(here: Path, commit: Commit, restored: Restored) -> None:
    write_sharded(here / "base", small_model())
    write_sharded(here / "tuned", fine_tuned(small_model()))
    commit("base", "meta/base")
    done = commit("tuned", "me/tuned", "--base", "meta/base")
    assert (done["tensors"]["delta"], done["weight_files"], done["other_files"]) == (2, 2, 1)
    assert restored("me/tuned") == sha256_of_files(here / "tuned")


def test_shards_are_compared_with_a_base_in_one_file(
    here: Path, commit: Commit, restored: Restored
) -> None:
    write_model(here / "base", small_model())
    write_sharded(here / "tuned", fine_tuned(small_model()))
    commit("base", "meta/base")
    done = commit("tuned", "me/tuned", "--base", "meta/base")
    assert (done["tensors"]["delta"], done["tensors"]["unchanged"]) == (2, 2)
    assert restored("me/tuned") == sha256_of_files(here / "tuned")


class Trap:
    """Sets a file on fire when it is unpickled."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (self.place,))


def test_pickles_are_kept_and_never_loaded(here: Path, commit: Commit, restored: Restored) -> None:
    sprung = here / "sprung"
    pickles = {name: pickle.dumps(Trap(str(sprung))) for name in ("optimizer.pt", "rng_state")}
    write_model(here / "base", small_model(), pickles)
    done = commit("base", "me/x")
    assert [warning.partition(":")[0] for warning in done["warnings"]] == sorted(pickles)
    assert done["said"].count("looks like a pickle, which is never loaded") == 2
    assert restored("me/x") == sha256_of_files(here / "base")
    assert not sprung.exists()
    pickle.loads((here / "base" / "rng_state").read_bytes())  # noqa: S301 - the trap works
    assert sprung.exists()


def test_links_are_followed(here: Path, commit: Commit, restored: Restored) -> None:
    """A snapshot in the Hugging Face cache is a folder of links into `blobs/`."""
    write_model(here / "cache" / "blobs", small_model())
    snapshot = here / "cache" / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    for name in ("model.safetensors", "config.json"):
        (snapshot / name).symlink_to(f"../../blobs/{name}")
    commit("cache/snapshots/main", "me/x")
    assert restored("me/x") == sha256_of_files(here / "cache" / "blobs")


def test_what_is_left_out_and_brought_back(
    here: Path, commit: Commit, restored: Restored, program: Program
) -> None:
    others = {".git/HEAD": b"x", "a.lock": b"x", "tmp/notes.txt": b"n", ".hidden": b"h"}
    write_model(here / "base", small_model(), others)
    (here / "base" / ".deltastoreignore").write_text("tmp\n")
    done = commit("base", "me/x")
    assert done["skipped_files"] == [".git/", "a.lock", "tmp/"]
    kept = {".deltastoreignore", ".hidden", "config.json", "model.safetensors"}
    assert set(restored("me/x")) == kept
    commit("base", "me/more", "--include", "*.lock", "--exclude", ".hidden")
    assert set(restored("me/more")) == kept - {".hidden"} | {"a.lock"}
    text = program("commit", "base", "--to", "me/text", "-m", "m").out
    assert "left out: .git/, a.lock, tmp/" in text


def test_one_file_is_a_version(here: Path, commit: Commit, restored: Restored) -> None:
    write_model(here / "base", small_model())
    commit("base/model.safetensors", "me/x")
    assert restored("me/x") == sha256_of_files(here / "base", ["model.safetensors"])


def test_a_preview_is_marked_and_refused(
    here: Path, commit: Commit, program: Program, restored: Restored
) -> None:
    write_model(here / "base", small_model())
    write_model(here / "tuned", fine_tuned(small_model()))
    commit("base", "meta/base")
    commit("tuned", "me/tuned", "--base", "meta/base")
    ran = program("checkout", "me/tuned", "rough", "--fidelity", "preview")
    assert ran.code == 0
    assert "preview: lossy, and marked so in the files" in ran.out
    header = (here / "rough" / "model.safetensors").read_bytes()[8:]
    assert b'"deltastore.fidelity":"preview"' in header.replace(b": ", b":")
    refused = program("commit", "rough", "--to", "me/rough", "-m", "m", "--json")
    assert refused.code == 5
    error = json.loads(refused.out)["error"]
    assert error["kind"] == "invalid"
    assert "model.safetensors" in error["message"]
    assert "--lossy" in error["hint"]
    commit("rough", "me/rough", "--lossy", "--base", "meta/base")
    assert restored("me/rough") == sha256_of_files(here / "rough")


def test_no_preview_when_it_is_off(here: Path, commit: Commit, program: Program) -> None:
    write_model(here / "base", small_model())
    write_model(here / "tuned", fine_tuned(small_model()))
    commit("base", "meta/base")
    done = commit("tuned", "me/tuned", "--base", "meta/base", "--preview", "off")
    assert (done["preview_bytes"], done["preview_error"]) == (0, None)
    ran = program("checkout", "me/tuned", "rough", "--fidelity", "preview", "--json")
    result = json.loads(ran.out)["result"]
    assert (result["fidelity"], result["verified"]) == ("exact", True)
    assert sha256_of_files(here / "rough") == sha256_of_files(here / "tuned")
