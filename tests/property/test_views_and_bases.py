"""Families of models, committed in any order with any base: every bit comes back, none too deep."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import deltastore
from deltastore.errors import IncompatibleError
from deltastore.ingest.known import MAX_STEPS, steps
from deltastore.kernels.views import converted
from deltastore.materialize.closure import MAX_DEPTH
from deltastore.specs import DTYPES
from tests.cli.weights import Tensor, safetensors_file, sha256_of_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deltastore import Store
    from deltastore.ids import CommitId
    from deltastore.results import Commit

Model = dict[str, Tensor]
Files = dict[str, bytes]

FLOATS = ("BF16", "F16", "F32", "F64", "F8_E4M3", "F8_E5M2FNUZ")
SPECIALS = {"BF16": b"\xc1\x7f\x81\xff\x00\x80\x80\x7f\x01\x00", "U8": b"\0\xff", "C64": bytes(16)}
"""NaN with a payload, minus zero, infinity, the smallest number; and types that are not floats."""


def first_model(seed: int) -> Model:
    """Shapes on both sides of every threshold, and those that are none."""
    random = np.random.default_rng(seed)

    def matrix(*shape: int) -> Tensor:
        values = (random.standard_normal(shape) / 16).astype(np.float32)
        return Tensor("BF16", shape, (values.view(np.uint32) >> 16).astype("<u2").tobytes())

    found = {
        "embed": matrix(150, 120),
        "square": matrix(130, 130),
        "wide": matrix(33, 64),
        "row": matrix(1, 1100),
        "column": matrix(1100, 1),
        "scalar": matrix(),
        "empty": Tensor("BF16", (0, 7), b""),
        "none": Tensor("F32", (7, 0), b""),
        "ids": Tensor("I64", (1200,), random.integers(0, 9, 1200).astype("<i8").tobytes()),
        "fp4": Tensor("F4", (2, 1024), random.integers(0, 256, 1024).astype("u1").tobytes()),
    }
    special = {f"s.{k}": Tensor(k, (len(v) * 8 // DTYPES[k].bits,), v) for k, v in SPECIALS.items()}
    return found | special


def words_of(each: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]]:
    return np.frombuffer(each.data, f"<u{DTYPES[each.dtype].word_bytes}")


def nudged(model: Model, seed: int) -> Model:
    random = np.random.default_rng(seed)

    def nudge(each: Tensor) -> Tensor:
        words = words_of(each)
        moved = words + random.integers(0, 3, words.size).astype(words.dtype)
        return Tensor(each.dtype, each.shape, moved.tobytes())

    return {name: nudge(t) if random.random() < 0.8 else t for name, t in model.items()}


def renamed(model: Model, seed: int) -> Model:
    return {f"m{seed % 3}.{name}": each for name, each in model.items()}


def turned(model: Model, seed: int) -> Model:
    def turn(each: Tensor) -> Tensor:
        if len(each.shape) != 2 or each.dtype in ("F4", "C64"):
            return each
        matrix = words_of(each).reshape(each.shape).T
        return Tensor(each.dtype, matrix.shape, np.ascontiguousarray(matrix).tobytes())

    some = [name for at, name in enumerate(model) if (at + seed) % 3]
    return model | {name: turn(model[name]) for name in some}


def of_other_length(model: Model, seed: int) -> Model:
    def cut(each: Tensor) -> Tensor:
        if not each.shape or each.shape[0] < 8 or each.dtype in ("F4", "C64"):
            return each
        rows = each.shape[0] + seed % 9 - 4
        row = len(each.data) // each.shape[0]
        data = (each.data + each.data[: 4 * row])[: rows * row]
        return Tensor(each.dtype, (rows, *each.shape[1:]), data)

    return {name: cut(each) for name, each in model.items()}


def cast(model: Model, seed: int) -> Model:
    target = DTYPES[FLOATS[seed % len(FLOATS)]]

    def to(each: Tensor) -> Tensor:
        have = DTYPES[each.dtype]
        if have.kind != "float":
            return each
        return Tensor(target.name, each.shape, converted(words_of(each), have, target).tobytes())

    return {name: to(each) for name, each in model.items()}


def flipped_names(model: Model, seed: int) -> Model:
    """The same names, other contents: whoever trusts a name is misled."""
    names = list(model)
    return {name: model[names[(at + seed) % len(names)]] for at, name in enumerate(names)}


def same(model: Model, _seed: int) -> Model:
    return model


CHANGES: dict[str, Callable[[Model, int], Model]] = {
    f.__name__: f for f in (nudged, same, renamed, turned, of_other_length, cast, flipped_names)
}


@dataclass(frozen=True)
class Step:
    """One commit: what becomes of which earlier model, and how it is committed."""

    origin: int
    change: str
    again: str
    seed: int
    branch: int
    base: str
    preview: float | None
    shards: int
    parts: bool


STEPS = st.lists(
    st.builds(
        Step,
        origin=st.sampled_from([-1, -1, -1, 0, 1, 2, 3]),
        change=st.sampled_from(["nudged", "nudged", *sorted(CHANGES)]),
        again=st.sampled_from(["same", "same", "same", *sorted(CHANGES)]),
        seed=st.integers(0, 999),
        branch=st.integers(0, 3),
        base=st.sampled_from(["", "", "auto", "none", "named", "named", "preview"]),
        preview=st.sampled_from([0.05, 0.5, None]),
        shards=st.integers(1, 2),
        parts=st.booleans(),
    ),
    min_size=2,
    max_size=7,
)

SERIES = [Step(-1, "nudged", "same", n, n, "named", 0.05, 1, parts=False) for n in range(6)]
BRANCH = [Step(-1, "nudged", "same", n, 0, "", None, 1, parts=False) for n in range(6)]
"""Each based on the one before; each behind the one before."""


def files_of(model: Model, step: Step) -> Files:
    """One file, shards, or two files that have every name in common."""
    names = list(model)
    if step.parts:
        doubled = {"a/x.safetensors": model, "b/x.safetensors": nudged(model, step.seed)}
        return {path: safetensors_file(each) for path, each in doubled.items()}
    groups = [names[at :: step.shards] for at in range(step.shards)]
    return {
        f"model-{at}.safetensors": safetensors_file({name: model[name] for name in group})
        for at, group in enumerate(groups)
    }


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


class Family:
    """A store, what was committed to it, and what must come back."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "no-folder").touch()  # so that the catalog is in memory
        self.store = deltastore.init(f"memory://{root.name}", cache=root / "no-folder")
        self.models: list[tuple[Model, str]] = []
        self.committed: list[tuple[str, Path]] = []
        self.numbers = count()
        for at in range(2):
            model, plain = first_model(at), Step(0, "", "", 0, 0, "none", None, 1, parts=False)
            made = self.commit(f"base/b{at}", self.folder(files_of(model, plain)), "none", None)
            self.models.append((model, made))

    def folder(self, files: Mapping[str, bytes]) -> Path:
        return write(self.root / f"f{next(self.numbers)}", files)

    def commit(self, to: str, folder: Path, base: str | None, preview: float | None) -> str:
        def attempt(base: str | None) -> Commit:
            return self.store.commit(
                folder, to=to, message=folder.name, base=base, preview=preview, lossy=True
            )

        try:
            made = attempt(base)
        except IncompatibleError:
            base = "none"
            made = attempt(base)
        again = attempt(base)
        assert (again.commit, again.unchanged) == (made.commit, True)
        self.committed.append((made.commit, folder))
        return made.commit

    def take(self, step: Step) -> None:
        model, named = self.models[step.origin % len(self.models)]
        model = CHANGES[step.again](CHANGES[step.change](model, step.seed), step.seed + 1)
        to, base = f"me/m{step.branch}", named if step.base in ("named", "preview") else step.base
        if step.base == "preview":  # a preview as a version of its own, then what it is one of
            shown = self.root / f"f{next(self.numbers)}"
            self.store.checkout(named, shown, fidelity="preview")
            self.commit(to, shown, base, step.preview)
        made = self.commit(to, self.folder(files_of(model, step)), base or None, step.preview)
        self.models.append((model, made))

    def check(self) -> None:
        assert self.store.fsck(tensors=True).findings == ()
        for commit, folder in self.committed:
            check_depths(self.store, commit)
            files = {each.path: each.sha256 for each in self.store.show(commit).files}
            assert files == sha256_of_files(folder)
        self.store.checkout(self.committed[-1][0], self.root / "out")
        assert sha256_of_files(self.root / "out") == files
        self.store.checkout(self.committed[-1][0], self.root / "shown", fidelity="preview")


def check_depths(store: Store, commit: str) -> None:
    identity: CommitId = store._resolve(commit).commit
    closure = store._session().version(identity).closure
    version = store._session().version(identity)
    for file in version.weights:
        for tensor in file.tensors:
            assert steps(closure, tensor.digest) <= MAX_STEPS, tensor.entry.spec
    for kept in closure.needed(digest for digest in version.manifest.digests()):
        assert kept.depth <= MAX_DEPTH


@settings(
    max_examples=max(4, (settings.default or settings()).max_examples // 5),
    suppress_health_check=[HealthCheck.too_slow],
)
@example(SERIES)
@example(BRANCH)
@given(STEPS)
def test_every_family_comes_back_bit_for_bit(taken: list[Step]) -> None:
    with TemporaryDirectory() as name:
        family = Family(Path(name))
        with family.store:
            for step in taken:
                family.take(step)
            family.check()
