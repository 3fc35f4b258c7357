"""A tree of 40 folders in a bucket: imported, imported again, and killed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import pytest

import deltastore
from tests.cli.weights import Tensor, bf16, fine_tuned, safetensors_file, small_model, write_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deltastore import Store

pytestmark = pytest.mark.s3

FINE_TUNES, COPIES = 12, 25
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tree(s3_endpoint: str) -> str:
    """12 fine-tunes, 25 copies of them, two damaged ones and one of other tensors."""
    url = "s3://deltastore-tests/tree"
    bucket = fsspec.filesystem("s3", **options(s3_endpoint), skip_instance_cache=True)
    whole = [safetensors_file(fine_tuned(model(), seed)) for seed in range(FINE_TUNES)]
    foreign = {"alien.weight": Tensor("F32", (2, 2), bytes(16))}
    files = {f"ft-{n:02d}": whole[n] for n in range(FINE_TUNES)}
    files |= {f"more/copy-{n:02d}": whole[n % FINE_TUNES] for n in range(COPIES)}
    files |= {"cut": whole[0][:-9], "scrambled": b"\xff" * 100, "alien": safetensors_file(foreign)}
    for name, content in files.items():
        bucket.pipe_file(f"{url}/{name}/model.safetensors", content)
        bucket.pipe_file(f"{url}/{name}/config.json", f'{{"name": "{name}"}}'.encode())
    return url


def model() -> dict[str, Tensor]:
    """A small one with a matrix that is large enough to be looked for elsewhere in the store."""
    found = small_model()
    return found | {"layers.large": bf16(np.ones((256, 160), np.float32))}


def options(endpoint: str) -> dict[str, Any]:
    return {"key": "test-key", "secret": "test-secret", "endpoint_url": endpoint}


@pytest.fixture
def store(tmp_path: Path, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store here with the base; the bucket is found by the environment, as on any machine."""
    for name, value in environment(s3_endpoint).items():
        monkeypatch.setenv(name, value)
    with deltastore.init(tmp_path / "models.ds", cache=tmp_path / "cache") as opened:
        opened.commit(write_model(tmp_path / "base", model()), to="meta/base", message="m")
        yield opened


def environment(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test-key",
        "AWS_SECRET_ACCESS_KEY": "test-secret",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Requests to S3 by kind."""
    from s3fs import S3FileSystem

    counts: Counter[str] = Counter()
    original = S3FileSystem._call_s3

    async def counted(self: Any, method: str, *arguments: Any, **named: Any) -> Any:
        counts[method] += 1
        return await original(self, method, *arguments, **named)

    monkeypatch.setattr(S3FileSystem, "_call_s3", counted)
    return counts


def commits(store: Store) -> dict[str, int]:
    """Commits in the history of each model."""
    models = [found.model for found in store.ls("team/").models or ()]
    return {model: len(store.log(model).commits) for model in models}


def test_what_can_be_is_committed_and_nothing_is_read_again(
    store: Store, tree: str, requests: Counter[str]
) -> None:
    done = store.import_(tree, to="team/{name}", base="meta/base")
    assert len(done.new) == len(done.items) == FINE_TUNES + COPIES
    kinds = {item.item.removeprefix(f"{tree}/"): item.kind for item in done.failed}
    assert kinds == {"cut": "invalid", "scrambled": "invalid", "alien": "incompatible"}
    cut = next(item for item in done.failed if item.item == f"{tree}/cut")
    assert cut.message.startswith(f"{tree}/cut/model.safetensors: the header describes ")
    assert set(commits(store).values()) == {1}
    copies = [item for item in done.items if "/copy-" in item.source]
    assert max(item.stored_bytes for item in copies) < min(
        item.stored_bytes for item in done.items if item not in copies
    )
    first = Counter(requests)
    assert first["get_object"] > FINE_TUNES + COPIES

    requests.clear()
    again = store.import_(tree, to="team/{name}", base="meta/base")
    assert dict(requests) == {"list_objects_v2": 1}
    assert [item.commit for item in again.items] == [item.commit for item in done.items]
    assert all(item.skipped and not item.stored_bytes for item in again.items)
    assert all(item.remembered for item in again.failed)
    assert {item.item: item.kind for item in again.failed} == {
        item.item: item.kind for item in done.failed
    }


def test_without_the_cache_only_what_failed_is_looked_at_again(
    store: Store, tree: str, requests: Counter[str], tmp_path: Path
) -> None:
    sources = [f"{tree}/{name}" for name in ("ft-00", "ft-01", "cut", "alien")]
    store.import_(*sources, to="team/{name}", base="meta/base")
    with deltastore.open(store.url, cache=tmp_path / "another") as elsewhere:
        requests.clear()
        again = elsewhere.import_(*sources, to="team/{name}", base="meta/base")
    assert (len(again.items), len(again.new), len(again.failed)) == (2, 0, 2)
    assert requests == {"list_objects_v2": 4, "get_object": 2 * (1 + 2)}


def test_killed_at_any_moment_it_goes_on_and_commits_nothing_twice(
    store: Store, tree: str, tmp_path: Path, s3_endpoint: str
) -> None:
    program = "from deltastore_cli.main import main; main()"
    command = [
        sys.executable,
        "-c",
        program,
        "-s",
        store.url,
        "import",
        f"{tree}/more",
        f"{tree}/cut",
    ]
    command += ["--to", "team/{name}", "--base", "meta/base", "-q"]
    env = {**os.environ, **environment(s3_endpoint), "HOME": str(tmp_path)}
    env["PYTHONPATH"] = f"{ROOT}:{ROOT / 'cli'}"
    reached = []
    for enough in (4, 12):
        process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
        wait_for_entries(Path(store.url), enough, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        reached.append(len(commits(store)))
    assert 0 < reached[0] < reached[1] < COPIES
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert "1 of 26 failed" in done.stderr
    assert commits(store) == dict.fromkeys(commits(store), 1)
    assert len(commits(store)) == COPIES
    assert store.fsck().ok


def wait_for_entries(folder: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    """Until the log has that many entries of imports."""
    end = time.monotonic() + 60
    while len(list((folder / "log").glob("0*"))) < count + 2:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end, "it committed nothing"
        time.sleep(0.005)
