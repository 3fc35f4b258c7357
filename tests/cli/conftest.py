"""A store that answers with canned values, and a way to run the program in this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import pytest

import deltastore
from deltastore.results import (
    CheckoutResult,
    Commit,
    CommitInfo,
    Diff,
    Doctor,
    ExportResult,
    FileChange,
    FileInfo,
    Fsck,
    InitResult,
    KeptWhole,
    Listing,
    LogResult,
    ModelInfo,
    MovedRef,
    RefInfo,
    ReflogEntry,
    ReflogResult,
    RefMoveResult,
    RemoveResult,
    RenameResult,
    RevertResult,
    Stats,
    TensorChange,
    TensorCounts,
    UndoResult,
)
from deltastore_cli.main import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BASE = "a81c03f29d11" + "0" * 52
TUNED = "4c1f09ab23de" + "1" * 52
OTHER = "9d20b7711c3e" + "2" * 52

COMMIT = Commit(
    commit=TUNED,
    model="me/math",
    branch="main",
    parents=(),
    base=BASE,
    unchanged=False,
    tensors=TensorCounts(total=291, unchanged=65, delta=226, dense=0),
    logical_bytes=16_060_000_000,
    stored_bytes=2_140_000_000,
    preview_bytes=360_000_000,
    preview_error=0.86,
    requests=None,
    skipped_files=(".git/",),
    new_branch=True,
    base_name="meta/llama@main",
    weight_files=4,
    other_files=6,
    kept_whole=(KeptWhole("optimizer.pt", 1_200_000_000, 1_000_000_000),),
    dense_names=("a.weight", "b.weight", "c.weight", "d.weight"),
)
INFO = CommitInfo(
    commit=TUNED,
    parents=(BASE,),
    base=BASE,
    author="Ann <ann@example.org>",
    time="2026-11-21T04:12:29Z",
    message="sft, 3 epochs\n\nlonger story",
    recipe=None,
    inputs=(),
    metadata={"run": "7"},
    metrics={"gsm8k": 0.71},
    files=(FileInfo("config.json", 700, "ab" * 32), FileInfo("model.safetensors", 10**9, None)),
    preview_error=0.86,
    refs=("me/math@main",),
)
ROOT = CommitInfo(
    BASE, (), None, "Bob", "2026-11-20T00:00:00Z", "as released", None, (), {}, {}, refs=()
)
CHANGES = tuple(
    TensorChange(f"layers.{n}.weight", "changed", 1.0, 1.4e-2, 0.9999, None, 0.612, 4096)
    for n in range(25)
)
DIFF = Diff(
    same=False,
    files=(FileChange("README.md", "changed"), FileChange("config.json", "unchanged")),
    tensors=(*CHANGES, TensorChange("norm", "unchanged", 0.0, 0.0, 1.0, None, 0.0, 64)),
    a="meta/llama@main a81c03f29d11",
    b="me/math@main 4c1f09ab23de",
    changed_fraction=0.427,
    relative_norm=6.1e-3,
)
UNDONE = UndoResult(
    4211,
    "2026-01-02T03:04:05Z",
    "Ann",
    "commit",
    "x",
    (MovedRef("me/mahth@main", "branch", TUNED, None),),
    4212,
)
REVERTED = RevertResult(
    commit=TUNED,
    model="team/chat",
    branch="main",
    parents=(OTHER,),
    base=BASE,
    unchanged=False,
    tensors=TensorCounts(291, 291, 0, 0),
    logical_bytes=16_060_000_000,
    stored_bytes=20_000,
    preview_bytes=0,
    preview_error=None,
    requests=None,
    reverted=OTHER,
)


@dataclass
class FakeStore:
    """Gives the canned answer of each method, or raises `error`; remembers the calls."""

    url: str
    options: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    during: Callable[[dict[str, Any]], None] | None = None
    closed: bool = False
    initialized: InitResult | None = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append((name, arguments, options))
            if self.during:
                self.during(options)
            if self.error:
                raise self.error
            return self.answers[name]

        return call

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


def canned_answers() -> dict[str, Any]:
    return {
        "commit": COMMIT,
        "checkout": CheckoutResult(TUNED, 8, 16_060_000_000, 12_800_000_000, None, "exact", True),
        "export": ExportResult(TUNED, 2, 8_000_000, 4_000_000, None, "exact", False),
        "log": LogResult((INFO, ROOT)),
        "show": INFO,
        "read_file": [b"{}", b"\n"],
        "diff": DIFF,
        "ls": Listing(models=(ModelInfo("me/math", ("main", "dev"), ("v1",)),)),
        "stats": Stats(16_060_000_000, 2_140_000_000, 7.5, 12, 3, 2, 517, 14),
        "branches": (RefInfo("me/math", "main", "branch", TUNED),),
        "tags": (RefInfo("me/math", "v1", "tag", TUNED),),
        "branch": RefMoveResult("team/chat", "prod", "branch", OTHER, TUNED),
        "tag": RefMoveResult("me/math", "v1", "tag", None, TUNED),
        "reset": RefMoveResult("team/chat", "main", "branch", OTHER, TUNED, seq=12),
        "rm": RemoveResult(("a/b", "a/c"), (MovedRef("a/b@main", "branch", TUNED, None),) * 3, 12),
        "mv": RenameResult("a/c", "a/b", (MovedRef("a/c@main", "branch", None, TUNED),), 12),
        "undo": UNDONE,
        "revert": REVERTED,
        "reflog": ReflogResult(
            (ReflogEntry(7, "then", "Ann", "tag", "m", "me/math@v1", "tag", None, TUNED),)
        ),
        "fsck": Fsck(True, {"log entries": 41, "packs": 12}, ()),
        "doctor": Doctor(True, (("probe", "8 of 8 create races had one winner", True),)),
    }


@pytest.fixture(autouse=True)
def lonely_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, no settings, no store, no terminal habits of whoever runs the tests."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("STORE", "AUTHOR", "CACHE", "CACHE_SIZE", "PROGRESS", "THREADS"):
        monkeypatch.delenv(f"DELTASTORE_{name}", raising=False)
    for name in ("NO_COLOR", "TERM", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    """The store that `deltastore.open` and `deltastore.init` give; chosen by the environment."""
    fake = FakeStore("models.ds", answers=canned_answers())
    fake.initialized = InitResult("models.ds", "7c1e" * 8, "A", True, "8 of 8 races")

    def give(url: str, **options: Any) -> FakeStore:
        fake.url, fake.options = url, options
        return fake

    monkeypatch.setattr(deltastore, "open", give, raising=False)
    monkeypatch.setattr(deltastore, "init", give, raising=False)
    monkeypatch.setenv("DELTASTORE_STORE", "models.ds")
    return fake


@dataclass(frozen=True)
class Ran:
    """What one run gave."""

    code: int
    out: str
    err: str


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run the program in this process."""

    def call(*arguments: str) -> Ran:
        capsys.readouterr()
        code = run(arguments)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return call
