"""The demo: real fine-tunes into a store, back out, and measured beside its peers.

Everything slow (downloads, training, accuracies) is cached by content; the store is made anew in
every run, so what is printed was done just now.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file

import deltastore
from demo.base_model import WEIGHTS, base_model
from demo.caching import file_sha256
from demo.finetune import fine_tune
from demo.measure import held_out_accuracy
from demo.peers import EMBEDDING_MARK, raw_bytes, xor_planes_bytes, zstd_bytes
from demo.preview import relative_change
from demo.tasks import TASK_NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore.results import Commit
    from demo.preview import Bits

BASE = "demo/encoder"
TARGETS = (
    ("smaller than XOR + planes + zstd -3", 1.30, "at least"),
    ("preview, bits per parameter", 0.40, "at most"),
    ("preview error", 0.88, "at most"),
    ("share of the gain kept", 0.50, "at least"),
    ("|w-b| / |b|", 4e-3, "at least"),
)
"""What the demo promises of every fine-tune; it ends with an error where one does not hold."""


@dataclass(frozen=True)
class Sizes:
    """Bytes of one fine-tune, all tensors or those without embeddings."""

    raw: int
    store: int
    preview: int
    xor: int
    zstd: int
    parameters: int


@dataclass(frozen=True)
class Outcome:
    """All that was measured of one fine-tune."""

    task: str
    commit: Commit
    change: float
    whole: Sizes
    dense: Sizes
    accuracies: tuple[float, float, float]  # base, preview, exact

    @property
    def kept(self) -> float:
        """Share of the gain in accuracy that the preview keeps."""
        base, preview, exact = self.accuracies
        return (preview - base) / (exact - base)

    def measured(self) -> tuple[float, ...]:
        """The figures of `TARGETS`, in order."""
        bits = 8 * self.commit.preview_bytes / self.whole.parameters
        ratio = self.whole.xor / self.whole.store
        return ratio, bits, self.commit.preview_error or 0.0, self.kept, self.change


class Demo:
    """One run.

    Args:
        cache: keeps downloads, fine-tunes, accuracies; the store and check-outs are made in it.
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.store_url = cache / "demo.ds"
        self.out = cache / "checked-out"
        self.console = Console(width=120, highlight=False)

    def run(self) -> int:
        """Do it all; the exit code."""
        self._say("1. A real base model and two real fine-tunes of it")
        base = base_model(self.cache)
        tuned = {task: self._train(base, task) for task in TASK_NAMES}
        for folder in (self.store_url, self.out, self.cache / "dense.ds"):
            shutil.rmtree(folder, ignore_errors=True)

        self._say("2. Into a store: the base, and each fine-tune as a delta against it")
        commits = self._commit_all(base, tuned)

        self._say("3. Out again, compared by SHA-256; and at preview fidelity")
        for task, folder in tuned.items():
            self._check_out(task, folder)

        self._say("4. What it took, and what it takes elsewhere (same run, same weights)")
        outcomes = [self._measure(base, tuned[task], task, commits[task]) for task in TASK_NAMES]
        self._print_sizes(outcomes)
        self._print_previews(outcomes)
        print("dense: without the embedding tensors, half of whose rows training never touches")

        self._say("5. History and differences, as the command line shows them")
        self._cli("log", f"demo/{TASK_NAMES[0]}", "--graph")
        self._cli("diff", BASE, f"demo/{TASK_NAMES[0]}")
        self._cli("ls")
        return self._verdict(outcomes)

    def _say(self, text: str) -> None:
        self.console.print(f"\n[bold]{text}[/bold]")

    def _train(self, base: Path, task: str) -> Path:
        def show(done: int, total: int) -> None:
            if done == 1 or done % 50 == 0:
                print(f"   {task}: step {done} of {total}", flush=True)

        folder = fine_tune(base, task, cache=self.cache, progress=show)
        print(f"   {task}: {folder}")
        return folder

    def _commit_all(self, base: Path, tuned: dict[str, Path]) -> dict[str, Commit]:
        commits = {}
        with deltastore.init(self.store_url) as store:
            first = store.commit(base, to=BASE, message="all-MiniLM-L6-v2, as bf16")
            print(f"   {BASE}: {_mb(first.logical_bytes)} kept in {_mb(first.stored_bytes)}")
            for task, folder in tuned.items():
                done = store.commit(
                    folder, to=f"demo/{task}", base=BASE, message=f"fine-tuned: {task}"
                )
                counts = done.tensors
                print(
                    f"   demo/{task}: {counts.delta} deltas, {counts.unchanged} unchanged, "
                    f"{counts.dense} whole; {_mb(done.logical_bytes)} kept in "
                    f"{_mb(done.stored_bytes)}, preview {_mb(done.preview_bytes)} of it"
                )
                commits[task] = done
        return commits

    def _check_out(self, task: str, folder: Path) -> None:
        with deltastore.open(self.store_url) as store:
            store.checkout(f"demo/{task}", self.out / task)
            seen = store.checkout(f"demo/{task}", self.out / f"{task}-preview", fidelity="preview")
        before, after = (file_sha256(place / WEIGHTS) for place in (folder, self.out / task))
        if before != after:
            raise SystemExit(f"demo: {task} came back with SHA-256 {after}, not {before}")
        print(f"   demo/{task}: SHA-256 {after[:16]}... in and out; preview: {seen.fidelity}")

    def _measure(self, base: Path, tuned: Path, task: str, commit: Commit) -> Outcome:
        whole = _sizes(base, tuned, commit, embeddings=True)
        dense = _sizes(base, tuned, self._commit_dense(base, tuned, task), embeddings=False)
        preview = self.out / f"{task}-preview" / WEIGHTS
        places = (base / WEIGHTS, preview, self.out / task / WEIGHTS)
        found = [held_out_accuracy(base, task, place, self.cache) for place in places]
        before, after = _bits(base / WEIGHTS), _bits(tuned / WEIGHTS)
        change = relative_change(before, after)
        return Outcome(task, commit, change, whole, dense, (found[0], found[1], found[2]))

    def _commit_dense(self, base: Path, tuned: Path, task: str) -> Commit:
        """The same without the embedding tensors, in a store of its own."""
        with deltastore.init(self.cache / "dense.ds") as store:
            store.commit(_without_embeddings(base), to=BASE, message="without embeddings")
            return store.commit(
                _without_embeddings(tuned), to=f"demo/{task}", base=BASE, message="the same"
            )

    def _print_sizes(self, outcomes: list[Outcome]) -> None:
        table = Table(title="megabytes of weights, what each way of keeping them takes (and ratio)")
        columns = ("fine-tune", "tensors", "raw", "deltastore", "of it preview", "zstd -3")
        for name in (*columns, "XOR+planes+zstd -3", "XOR / deltastore"):
            table.add_column(name, justify="right", no_wrap=True)
        for outcome in outcomes:
            for label, sizes in (("all", outcome.whole), ("dense", outcome.dense)):
                table.add_row(outcome.task, label, *_row(sizes))
        self.console.print(table)

    def _print_previews(self, outcomes: list[Outcome]) -> None:
        table = Table(title="previews: a lossy reading from the preview layer and the base alone")
        for name in ("fine-tune", "|w-b|/|b|", "bits per parameter", "error", "accuracy: base"):
            table.add_column(name, justify="right")
        for name in ("preview", "exact", "gain kept"):
            table.add_column(name, justify="right")
        for outcome in outcomes:
            _, bits, error, kept, change = outcome.measured()
            accuracies = [f"{value:.3f}" for value in outcome.accuracies]
            cells = [f"{change:.2e}", f"{bits:.3f}", f"{error:.3f}", *accuracies, f"{kept:.0%}"]
            table.add_row(outcome.task, *cells)
        self.console.print(table)

    def _cli(self, *words: str) -> None:
        print(f"\n$ deltastore {' '.join(words)}", flush=True)
        program = "from deltastore_cli.main import main; main()"
        command = [sys.executable, "-c", program, "-s", str(self.store_url), *words]
        subprocess.run(command, check=True)

    def _verdict(self, outcomes: list[Outcome]) -> int:
        missed = [
            f"{outcome.task}: {name} is {value:.4g}, not {side} {limit}"
            for outcome in outcomes
            for (name, limit, side), value in zip(TARGETS, outcome.measured(), strict=True)
            if (value < limit if side == "at least" else value > limit)
        ]
        for line in missed:
            print(f"demo: {line}", file=sys.stderr)
        if not missed:
            print(f"\nall {len(TARGETS)} targets hold for both fine-tunes; store: {self.store_url}")
        return 1 if missed else 0


def _sizes(base: Path, tuned: Path, commit: Commit, *, embeddings: bool) -> Sizes:
    before, after = base / WEIGHTS, tuned / WEIGHTS
    raw = raw_bytes(after, embeddings=embeddings)
    return Sizes(
        raw=raw,
        store=commit.stored_bytes,
        preview=commit.preview_bytes,
        xor=xor_planes_bytes(before, after, embeddings=embeddings),
        zstd=zstd_bytes(after, embeddings=embeddings),
        parameters=raw // 2,
    )


def _row(sizes: Sizes) -> list[str]:
    def cell(size: int) -> str:
        return f"{size / 1e6:.2f} ({sizes.raw / size:.2f}x)"

    return [
        f"{sizes.raw / 1e6:.2f}",
        cell(sizes.store),
        f"{sizes.preview / sizes.store:.0%}",
        cell(sizes.zstd),
        cell(sizes.xor),
        f"{sizes.xor / sizes.store:.2f}x",
    ]


def _without_embeddings(folder: Path) -> dict[str, object]:
    tensors = load_file(folder / WEIGHTS)
    return {name: tensor for name, tensor in tensors.items() if EMBEDDING_MARK not in name}


def _bits(path: Path) -> dict[str, Bits]:
    return {name: tensor.view(torch.uint16).numpy() for name, tensor in load_file(path).items()}


def _mb(size: int) -> str:
    return f"{size / 1e6:.2f} MB"
