"""A tree of many folders on S3: imported, imported again, and killed again and again on the way.

The fine-tunes are real ones of a real encoder, of two bases, trained when they are not in the cache
yet; with --megabytes they are made of random numbers instead. The server is moto's, in a process of
its own; requests are counted in its access log.

Usage: python -m benchmarks.importing [--fine-tunes N] [--copies N] [--kills N] [--megabytes N]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np

from demo.caching import DEFAULT_CACHE
from tests.docs.buckets import bucket
from tests.docs.models import safetensors_bytes

ROOT = Path(__file__).resolve().parent.parent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.docs.models import Weights

TREE = "s3://team-models/tree"
PROGRAM = "from deltastore_cli.main import main; main()"
REQUEST = re.compile(r'"(GET|HEAD|PUT|POST) (/team-models[^ ]*) ')


@dataclass(frozen=True)
class World:
    """Where everything is."""

    folder: Path
    variables: Mapping[str, str]

    @property
    def store(self) -> Path:
        """The store's folder."""
        return self.folder / "models.ds"

    def command(self, *arguments: str) -> list[str]:
        """A command line of this checkout's program."""
        return [sys.executable, "-c", PROGRAM, "-s", str(self.store), *arguments]

    def environment(self) -> dict[str, str]:
        """What it runs in."""
        path = f"{ROOT}:{ROOT / 'cli'}"
        home = {"HOME": str(self.folder), "PYTHONPATH": path}
        return {**os.environ, **self.variables, **home}

    def run(self, *arguments: str) -> tuple[int, dict[str, Any], float]:
        """Exit code, document and seconds of a command."""
        begun = time.perf_counter()
        done = subprocess.run(
            self.command(*arguments, "--json"),
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, json.loads(done.stdout), time.perf_counter() - begun

    def requests(self, since: int = 0) -> tuple[Counter[str], int]:
        """Requests about the tree by kind, and how long the server's log is by now."""
        text = (self.folder.parent / "moto.log").read_text(errors="replace")
        counts: Counter[str] = Counter()
        for method, path in REQUEST.findall(text[since:]):
            counts["listing" if "list-type" in path else method] += 1
        return counts, len(text)


def main() -> None:
    """Build the tree, import it whole, again, and with kills; print what it took."""
    options = parsed()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "home"
        folder.mkdir()
        with bucket(folder) as variables:
            world = World(folder, variables)
            names = build(world, options)
            print(f"{names} folders, of which 3 are broken or foreign")
            whole(world, names)
            killed(world, names, options.kills)


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("fine-tunes", 12), ("copies", 25), ("kills", 5), ("megabytes", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def build(world: World, options: argparse.Namespace) -> int:
    """A base in two stores, and the tree; returns the number of its folders."""
    base, tuned = synthetic(options) if options.megabytes else real(options.fine_tunes)
    (world.folder / "base").mkdir()
    (world.folder / "base" / "model.safetensors").write_bytes(base)
    files = {f"ft-{n:03d}": data for n, data in enumerate(tuned)}
    files |= {f"more/copy-{n:03d}": tuned[n % len(tuned)] for n in range(options.copies)}
    files |= {"cut": tuned[0][:-9], "scrambled": b"\xff" * 99}
    files["alien"] = safetensors_bytes({"alien": np.ones((3, 5), np.float32)})
    credentials = {"key": "nobody", "secret": "nothing"}
    endpoint = world.variables["AWS_ENDPOINT_URL"]
    remote = fsspec.filesystem("s3", endpoint_url=endpoint, **credentials)
    for name, content in files.items():
        remote.pipe_file(f"{TREE}/{name}/model.safetensors", content)
        remote.pipe_file(f"{TREE}/{name}/config.json", json.dumps({"name": name}).encode())
    return len(files)


def real(count: int) -> tuple[bytes, list[bytes]]:
    """The encoder and fine-tunes of it and of one that was trained on, as files."""
    from benchmarks.proofs.zoo_models import build_zoo  # noqa: PLC0415 - it takes torch

    bases, others = build_zoo(DEFAULT_CACHE)
    files = {each.name: each.weights for each in (*bases, *others)}
    tuned = [f"{base}-{number}" for number in range(8) for base in ("real", "continued")]
    return files["real"].read_bytes(), [files[name].read_bytes() for name in tuned[:count]]


def synthetic(options: argparse.Namespace) -> tuple[bytes, list[bytes]]:
    """Random weights, and what differs from them by small random numbers."""
    base = weights(options.megabytes)
    tuned = [safetensors_bytes(fine_tuned(base, seed + 1)) for seed in range(options.fine_tunes)]
    return safetensors_bytes(base), tuned


def weights(megabytes: int) -> Weights:
    """Normally distributed ones, as many bytes in bfloat16."""
    random = np.random.default_rng(0)
    rows = megabytes << 7
    return {
        f"layers.{n}.weight": (random.standard_normal((rows, 1024)) / 20).astype(np.float32)
        for n in range(4)
    }


def fine_tuned(base: Weights, seed: int) -> Weights:
    """Small changes everywhere, as training makes."""
    random = np.random.default_rng(seed)
    return {
        name: (values + random.laplace(0, 2e-4, values.shape)).astype(np.float32)
        for name, values in base.items()
    }


def fresh(world: World) -> None:
    """A new store with the base, and an empty cache."""
    subprocess.run(["rm", "-rf", str(world.store), str(world.folder / ".cache")], check=True)
    assert world.run("init")[0] == 0
    assert world.run("commit", "-m", "m", "--to", "meta/base", str(world.folder / "base"))[0] == 0


def imported(world: World) -> tuple[int, dict[str, Any], float]:
    """One import of the tree."""
    return world.run("import", TREE, "--to", "team/{name}", "--base", "meta/base")


def whole(world: World, names: int) -> None:
    """All of it, and then again."""
    fresh(world)
    _, mark = world.requests()
    code, document, seconds = imported(world)
    result = document["result"]
    counts, mark = world.requests(mark)
    new = [item for item in result["items"] if not item["skipped"]]
    assert (code, len(new), len(result["failed"])) == (5, names - 3, 3)
    logical, stored = (sum(item[key] for item in new) for key in ("logical_bytes", "stored_bytes"))
    print(f"imported {len(new)} in {seconds:.1f} s, exit {code}: {dict(counts)}")
    print(f"  {logical / 1e6:.1f} MB kept in {stored / 1e6:.1f} MB ({logical / stored:.1f}x)")
    for item in result["failed"]:
        print(f"  {item['kind']:<13} {item['item']}")
    code, document, seconds = imported(world)
    counts, _ = world.requests(mark)
    assert all(item["skipped"] for item in document["result"]["items"])
    assert set(counts) == {"listing"}, counts
    print(f"again in {seconds:.1f} s, exit {code}: {dict(counts)}")


def killed(world: World, names: int, kills: int) -> None:
    """Killed that often, then to its end: nothing may be there twice."""
    fresh(world)
    for number in range(kills):
        goal = entries(world) + max(1, (names - 3) // (kills + 1))
        process = subprocess.Popen(
            world.command("import", TREE, "--to", "team/{name}", "--base", "meta/base", "-q"),
            env=world.environment(),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        while entries(world) < goal and process.poll() is None:
            time.sleep(0.001 * (number + 1))
        process.kill()
        process.wait()
        print(f"killed with {entries(world)} log entries")
    code, _, _ = imported(world)
    models = world.run("ls", "team/")[1]["result"]["models"]
    lengths = [len(world.run("log", m["model"])[1]["result"]["commits"]) for m in models]
    assert (code, len(models), set(lengths)) == (5, names - 3, {1})
    print(f"then run to its end: {len(models)} models of 1 commit each")


def entries(world: World) -> int:
    """Entries of the store's log."""
    return len(list((world.store / "log").glob("0*")))


if __name__ == "__main__":
    main()
