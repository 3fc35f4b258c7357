"""What `--json` gives for every command, on a real store: the fields scripts rely on, and types."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.weights import fine_tuned, sha256_of_files, small_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran

    Result = dict[str, Any]
    Answer = Callable[..., Result]

ID = re.compile(r"[0-9a-f]{64}")
NUMBER_OR_NONE = (float, int, type(None))


@pytest.fixture
def answer(program: Callable[..., Ran]) -> Answer:
    """The result of a command with `--json`; the document is the only thing on standard output."""

    def call(*arguments: str, code: int = 0) -> Result:
        ran = program(*arguments, "--json")
        assert ran.code == code, ran.err
        assert ran.out.endswith("\n")
        assert ran.out.count("\n") == 1
        document = json.loads(ran.out)
        assert document["deltastore"] == 1
        assert document["command"] == arguments[0]
        assert set(document) == {"deltastore", "command", "result"}
        result: Result = document["result"]
        return result

    return call


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer) -> Path:
    """`base/` and `tuned/`, committed to the store in force as meta/base and me/tuned."""
    write_model(tmp_path / "base", small_model(), {"README.md": b"base\n"})
    write_model(tmp_path / "tuned", fine_tuned(small_model()), {"README.md": b"tuned\n"})
    monkeypatch.setenv("DELTASTORE_STORE", "models.ds")
    monkeypatch.setenv("DELTASTORE_AUTHOR", "Ada <ada@example.org>")
    answer("init")
    answer("commit", "base", "--to", "meta/base", "-m", "as released")
    answer("commit", "tuned", "--to", "me/tuned", "--base", "meta/base", "-m", "sft")
    return tmp_path


def fields(result: Result, expected: dict[str, type | tuple[type, ...]]) -> None:
    """Each field is there and of its type; a bool is no int."""
    for name, kind in expected.items():
        assert name in result, name
        value = result[name]
        assert isinstance(value, kind), (name, value)
        kinds = kind if isinstance(kind, tuple) else (kind,)
        assert isinstance(value, bool) is (bool in kinds), (name, value)


def is_id(value: object) -> bool:
    return isinstance(value, str) and ID.fullmatch(value) is not None


def stored_objects(store: Path) -> int:
    """Bytes of all packs and log entries."""
    entries = [path for path in (store / "log").iterdir() if path.name != "HINT"]
    packs = list((store / "packs").rglob("*.safetensors"))
    return sum(path.stat().st_size for path in [*entries, *packs])


def test_init(answer: Answer, tmp_path: Path) -> None:
    first = answer("init", "models.ds")
    fields(first, {"store": str, "store_id": str, "tier": str, "created": bool})
    assert re.fullmatch("[0-9a-f]{32}", first["store_id"])
    assert first["tier"] == "A"
    assert first["created"] is True
    again = answer("init", "models.ds")
    assert again["created"] is False
    assert again["store_id"] == first["store_id"]


def test_commit(models: Path, answer: Answer) -> None:
    before = stored_objects(models / "models.ds")
    base = answer("show", "meta/base")["commit"]
    done = answer("commit", "tuned", "--to", "me/new", "--base", "meta/base", "-m", "again")
    fields(
        done,
        {
            "commit": str,
            "model": str,
            "branch": str,
            "parents": list,
            "base": str,
            "unchanged": bool,
            "tensors": dict,
            "logical_bytes": int,
            "stored_bytes": int,
            "preview_bytes": int,
            "preview_error": float,
            "requests": type(None),
            "skipped_files": list,
        },
    )
    assert is_id(done["commit"])
    assert (done["model"], done["branch"]) == ("me/new", "main")
    assert (done["parents"], done["base"], done["unchanged"]) == ([], base, False)
    assert set(done["tensors"]) == {"total", "unchanged", "delta", "dense", "merged"}
    files = [path for path in (models / "tuned").iterdir() if path.is_file()]
    assert done["logical_bytes"] == sum(path.stat().st_size for path in files)
    assert done["stored_bytes"] == stored_objects(models / "models.ds") - before
    assert 0 <= done["preview_bytes"] < done["stored_bytes"]
    assert 0 < done["preview_error"] < 1


def test_commit_counts_its_tensors(models: Path, answer: Answer) -> None:
    write_model(models / "second", fine_tuned(small_model(), seed=2))
    done = answer("commit", "second", "--to", "me/tuned", "-m", "more")
    assert done["parents"] == [answer("show", "me/tuned~1")["commit"]]
    assert done["base"] == answer("show", "meta/base")["commit"]
    counts = {"total": 4, "unchanged": 2, "delta": 2, "dense": 0, "merged": 0}
    assert done["tensors"] == counts


def test_commit_of_a_base(answer: Answer, tmp_path: Path) -> None:
    write_model(tmp_path / "base", small_model(), {".git/config": b"x", "notes.lock": b""})
    answer("init", "models.ds")
    done = answer("commit", "base", "--to", "meta/base", "-m", "x", "-s", "models.ds")
    assert (done["base"], done["preview_error"], done["preview_bytes"]) == (None, None, 0)
    assert done["tensors"] == {"total": 4, "unchanged": 0, "delta": 0, "dense": 4, "merged": 0}
    assert done["skipped_files"] == [".git/", "notes.lock"]


def test_checkout(models: Path, answer: Answer) -> None:
    done = answer("checkout", "me/tuned", "out")
    fields(
        done,
        {
            "commit": str,
            "files": int,
            "bytes": int,
            "fetched_bytes": int,
            "requests": type(None),
            "fidelity": str,
            "verified": bool,
        },
    )
    assert done["files"] == 3
    assert done["bytes"] == sum(path.stat().st_size for path in (models / "out").iterdir())
    assert 0 < done["fetched_bytes"] <= stored_objects(models / "models.ds") + 100_000
    assert (done["fidelity"], done["verified"]) == ("exact", True)
    assert sha256_of_files(models / "out") == sha256_of_files(models / "tuned")
    preview = answer("checkout", "me/tuned", "preview", "--fidelity", "preview")
    assert (preview["fidelity"], preview["verified"]) == ("preview", False)
    assert preview["fetched_bytes"] < done["fetched_bytes"]


def test_export(models: Path, answer: Answer) -> None:
    done = answer("export", "me/tuned", "part.safetensors", "--tensors", "layers.*")
    fields(done, {"commit": str, "files": int, "bytes": int, "fetched_bytes": int})
    assert done["files"] == 1
    assert done["bytes"] == (models / "part.safetensors").stat().st_size
    assert done["verified"] is False
    shards = answer("export", "me/tuned", "shards", "--max-shard-size", "50kB")
    written = [path.name for path in (models / "shards").iterdir()]
    assert shards["files"] == len(written)
    assert {"model.safetensors.index.json", "README.md", "config.json"} < set(written)


def test_show(models: Path, answer: Answer) -> None:
    tip = answer("commit", "tuned", "--to", "me/noted", "-m", "m", "--base", "meta/base",
                 "--meta", "run=7", "--metric", "acc=0.5")  # fmt: skip
    shown = answer("show", "me/noted")
    fields(
        shown,
        {
            "commit": str,
            "parents": list,
            "base": str,
            "author": str,
            "time": str,
            "message": str,
            "recipe": type(None),
            "inputs": list,
            "files": list,
            "metadata": dict,
            "metrics": dict,
        },
    )
    assert shown["commit"] == tip["commit"]
    assert (shown["message"], shown["author"]) == ("m", "Ada <ada@example.org>")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", shown["time"])
    assert (shown["metadata"], shown["metrics"]) == ({"run": "7"}, {"acc": 0.5})
    sums = {file["path"]: file["sha256"] for file in shown["files"]}
    assert sums == sha256_of_files(models / "tuned")
    sizes = {file["path"]: file["size"] for file in shown["files"]}
    assert sizes == {path.name: path.stat().st_size for path in (models / "tuned").iterdir()}


def test_log(models: Path, answer: Answer) -> None:
    write_model(models / "tuned", fine_tuned(small_model(), seed=3))
    answer("commit", "tuned", "--to", "me/tuned", "-m", "second")
    found = answer("log", "me/tuned")
    assert [commit["message"] for commit in found["commits"]] == ["second", "sft"]
    assert found["truncated"] is False
    one = answer("log", "me/tuned", "-n", "1", "--graph")
    assert [commit["message"] for commit in one["commits"]] == ["second"]
    assert one["truncated"] is True
    shown = answer("show", "me/tuned")
    assert {**shown, "files": []} == {**one["commits"][0], "files": []}


def test_ls(models: Path, answer: Answer) -> None:
    answer("tag", "me/tuned@v1")
    assert answer("ls")["models"] == [
        {"model": "me/tuned", "branches": ["main"], "tags": ["v1"]},
        {"model": "meta/base", "branches": ["main"], "tags": []},
    ]
    assert [found["model"] for found in answer("ls", "me/*")["models"]] == ["me/tuned"]
    assert [found["model"] for found in answer("ls", "meta/")["models"]] == ["meta/base"]
    files = answer("ls", "me/tuned")["files"]
    assert [file["path"] for file in files] == ["README.md", "config.json", "model.safetensors"]
    tensors = answer("ls", "me/tuned", "--tensors")["tensors"]
    found = {tensor["name"]: (tensor["dtype"], tensor["shape"]) for tensor in tensors}
    assert found == {name: (t.dtype, list(t.shape)) for name, t in small_model().items()}
    assert all(is_id(tensor["digest"]) for tensor in tensors)
    cut = answer("ls", "-n", "1")
    assert (len(cut["models"]), cut["truncated"]) == (1, True)


def test_diff(models: Path, answer: Answer) -> None:
    found = answer("diff", "meta/base", "me/tuned")
    assert found["same"] is False
    assert {file["path"]: file["status"] for file in found["files"]} == {
        "README.md": "changed",
        "config.json": "unchanged",
        "model.safetensors": "changed",
    }
    for tensor in found["tensors"]:
        numbers = ("norm", "relative_norm", "cosine", "task_cosine", "changed_fraction")
        fields(tensor, {"name": str, "status": str, **dict.fromkeys(numbers, NUMBER_OR_NONE)})
    tensors = {tensor["name"]: tensor for tensor in found["tensors"]}
    assert tensors["norm"]["status"] == tensors["embed"]["status"] == "unchanged"
    assert tensors["norm"]["norm"] == tensors["norm"]["changed_fraction"] == 0
    changed = tensors["layers.0"]
    assert changed["status"] == "changed"
    assert changed["changed_fraction"] == pytest.approx(0.8, abs=0.02)
    assert 0 < changed["relative_norm"] < 0.1
    assert 0.99 < changed["cosine"] < 1


def test_diff_with_a_folder_and_exit_codes(models: Path, answer: Answer) -> None:
    assert answer("diff", "me/tuned", "./tuned", "--exit-code")["same"] is True
    assert answer("diff", "me/tuned", "./base", "--exit-code", code=8)["same"] is False
    assert answer("diff", "me/tuned", "./base")["same"] is False


def test_diff_knows_the_angle_between_two_fine_tunes(models: Path, answer: Answer) -> None:
    write_model(models / "other", fine_tuned(small_model(), seed=9))
    answer("commit", "other", "--to", "me/other", "--base", "meta/base", "-m", "x")
    tensors = answer("diff", "me/tuned", "me/other")["tensors"]
    angles = {tensor["name"]: tensor["task_cosine"] for tensor in tensors}
    assert angles["layers.0"] == pytest.approx(0, abs=0.05)
    assert angles["norm"] is None


def test_stats(models: Path, answer: Answer) -> None:
    found = answer("stats")
    counts = ("logical_bytes", "stored_bytes", "garbage_bytes", "commits", "models", "tensors")
    fields(found, {**dict.fromkeys((*counts, "objects"), int), "ratio": float})
    assert (found["commits"], found["models"], found["tensors"]) == (2, 2, 6)
    folders = [*(models / "base").iterdir(), *(models / "tuned").iterdir()]
    assert found["logical_bytes"] == sum(path.stat().st_size for path in folders)
    assert found["ratio"] == pytest.approx(found["logical_bytes"] / found["stored_bytes"])
    assert found["garbage_bytes"] == 0
    own = answer("stats", "me/tuned")["own_bytes"]
    assert 0 < own < found["stored_bytes"]


def test_stats_of_an_empty_store(answer: Answer) -> None:
    answer("init", "models.ds")
    found = answer("stats", "-s", "models.ds")
    assert (found["commits"], found["ratio"], found["logical_bytes"]) == (0, None, 0)


def test_branch_and_tag(models: Path, answer: Answer) -> None:
    tip = answer("show", "me/tuned")["commit"]
    made = answer("branch", "me/tuned@prod", "me/tuned")
    assert (made["model"], made["name"], made["old"], made["new"]) == (
        "me/tuned", "prod", None, tip,
    )  # fmt: skip
    assert answer("tag", "me/tuned@v1")["new"] == tip
    listed = answer("branch", "me/tuned")["refs"]
    assert [(ref["model"], ref["name"], ref["commit"]) for ref in listed] == [
        ("me/tuned", "main", tip),
        ("me/tuned", "prod", tip),
    ]
    assert [ref["name"] for ref in answer("tag")["refs"]] == ["v1"]
    gone = answer("branch", "-d", "me/tuned@prod")
    assert (gone["old"], gone["new"]) == (tip, None)


def test_fsck(models: Path, answer: Answer) -> None:
    found = answer("fsck", "--tensors")
    fields(found, {"ok": bool, "checked": dict, "findings": list})
    assert found["ok"] is True
    assert found["findings"] == []
    assert found["checked"]["commits"] == 2
    assert found["checked"]["log entries"] == 3


def test_fsck_with_findings_exits_with_6_and_has_a_result(models: Path, answer: Answer) -> None:
    pack = max((models / "models.ds" / "packs").rglob("*"), key=lambda path: path.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[-5] ^= 1
    pack.chmod(0o644)
    pack.write_bytes(content)
    found = answer("fsck", code=6)
    assert found["ok"] is False
    assert [(finding["kind"], finding["object"]) for finding in found["findings"]] == [
        ("corrupt", f"pack {pack.stem}")
    ]
    assert found["findings"][0]["detail"]


def test_doctor_config_and_completion(models: Path, answer: Answer) -> None:
    checks = answer("doctor")
    assert checks["ok"] is True
    assert {"program", "store", "log", "writers"} <= {row[0] for row in checks["checks"]}
    settings = {row["key"]: row for row in answer("config")["settings"]}
    assert settings["store"]["value"] == "models.ds"
    assert settings["store"]["origin"] == "DELTASTORE_STORE"
    assert "deltastore" in answer("completion", "bash")["script"]


def test_doctor_names_where_credentials_come_from_and_not_what_they_are(
    program: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket's service does not answer; that is told too."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWHATEVER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tell-nobody")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    ran = program("doctor", "-s", "s3://bucket/models.ds")
    assert ran.code == 7
    assert re.search(r"ok +credentials +from env", ran.out)
    assert "BAD  unreachable" in ran.out
    assert "AKIAWHATEVER" not in ran.out + ran.err
    assert "tell-nobody" not in ran.out + ran.err
