"""Two tasks on the standard library's sources, both learnt and tested on different names.

- `kind`: tell whether a piece of a source file is code, a comment, documentation or an error
  message. Held out by module: no module is on both sides.
- `package`: tell from the body of a function which of the twelve largest packages it is from.
  Held out by function name: all functions called `close` are on one side.

Both are answered by the label whose embedding is the most similar to the text's, so the model
needs no extra layer and the base can be tested too.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import torch

from demo.library import KINDS, functions, passages, read_library

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from demo.encoder import Encoder
    from demo.library import Function, Passage

TASK_NAMES = ("kind", "package")
HELD_OUT_SHARE = 0.2
TEXT_TOKENS = {"kind": 32, "package": 40}
LABEL_TOKENS = 8
_PACKAGES = 12
_MOST_PER_KIND = {False: 1200, True: 250}  # by whether the texts are held out


@dataclass(frozen=True)
class Examples:
    """Texts, each with one right label.

    Attributes:
        labels: m label texts.
        texts: n texts.
        right: n indices into `labels`.
        tokens: Texts are cut after this many tokens.
    """

    labels: tuple[str, ...]
    texts: tuple[str, ...]
    right: tuple[int, ...]
    tokens: int


@dataclass(frozen=True)
class Task:
    """A task's two sides, which share no text and no name."""

    name: str
    training: Examples
    held_out: Examples


@cache
def library_task(name: str, root: Path) -> Task:
    """Return a task on the sources below `root`.

    Args:
        name: One of `TASK_NAMES`.
        root: The standard library's folder.
    """
    sources = read_library(root)
    if name == "kind":
        found = passages(sources)
        return Task(name, kind_examples(found, test=False), kind_examples(found, test=True))
    bodies = functions(sources)
    return Task(name, package_examples(bodies, test=False), package_examples(bodies, test=True))


def is_held_out(name: str) -> bool:
    """Tell whether what carries this name is for testing; true for about a fifth of all names."""
    return _hash(name) < HELD_OUT_SHARE


def kind_examples(found: Sequence[Passage], *, test: bool) -> Examples:
    """Return equally many passages of each kind, as far as there are, in a fixed order."""
    chosen: dict[str, list[Passage]] = defaultdict(list)
    for passage in sorted(found, key=lambda passage: _hash(passage.text)):
        if is_held_out(passage.module) == test:
            chosen[passage.kind].append(passage)
    kept = [passage for kind in KINDS for passage in chosen[kind][: _MOST_PER_KIND[test]]]
    right = tuple(KINDS.index(passage.kind) for passage in kept)
    return Examples(KINDS, tuple(p.text for p in kept), right, TEXT_TOKENS["kind"])


def package_examples(found: Sequence[Function], *, test: bool) -> Examples:
    """Return the functions of the packages that have the most of them."""
    sizes = Counter(_package(function) for function in found)
    labels = tuple(sorted(sorted(sizes), key=lambda package: -sizes[package])[:_PACKAGES])
    kept = [f for f in found if _package(f) in labels and is_held_out(f.name) == test]
    right = tuple(labels.index(_package(function)) for function in kept)
    return Examples(labels, tuple(f.body for f in kept), right, TEXT_TOKENS["package"])


def accuracy(encoder: Encoder, examples: Examples) -> float:
    """Return the share of the texts whose most similar label is the right one."""
    texts = encoder.embed_all(examples.texts, examples.tokens)  # (n, hidden)
    labels = encoder.embed_all(examples.labels, LABEL_TOKENS)  # (m, hidden)
    found = (texts @ labels.T).argmax(1)
    return float((found == torch.tensor(examples.right)).double().mean())


def _package(function: Function) -> str:
    return function.module.split(".")[0]


def _hash(text: str) -> float:
    """Return a number from 0 to 1 that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32
