"""Which stored tensors stand for new ones, from samples alone."""

from __future__ import annotations

import numpy as np
import pytest

from deltastore.catalog.answers import SketchRow
from deltastore.checkpoints.source import ArraysSource
from deltastore.ids import CommitId, Digest, bytes_digest, tensor_digest
from deltastore.ingest.detecting import likeness
from deltastore.ingest.likeness import Sample, delta_bits, dense_bits, sketch_of, stacked
from deltastore.ingest.matching import (
    Estimates,
    Match,
    add_by_content,
    by_name,
    partners,
    refine,
    unsettled,
)
from deltastore.ingest.sampling import SampledSource
from deltastore.kernels.sketching import cells
from deltastore.specs import DTYPES, TensorSpec

FILE = "model.safetensors"
COMMIT = CommitId(Digest("0" * 64))
Words = np.ndarray[tuple[int, ...], np.dtype[np.uint16]]


def matrix(seed: int, rows: int = 64, columns: int = 64) -> Words:
    values = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)
    found: Words = (values.view(np.uint32) >> 16).astype(np.uint16)
    return found


def row(name: str, words: Words) -> SketchRow:
    data = np.ascontiguousarray(words).reshape(-1).view(np.uint8)
    digest = tensor_digest("BF16", words.shape, bytes_digest(data.data))
    sketch = sketch_of(digest, TensorSpec(name, "BF16", words.shape), data)
    assert sketch is not None
    return SketchRow(COMMIT, FILE, name, "BF16", words.shape, digest, sketch.plain, sketch.turned)


def sample(words: Words) -> Sample:
    found = row("x", words)
    plain, turned = (np.frombuffer(each, "<u2") for each in (found.plain, found.turned))
    return Sample(DTYPES["BF16"], words.shape, plain, turned)


def matched(new: dict[str, Words], rows: list[SketchRow]) -> dict[str, Match]:
    samples = {(FILE, name): sample(words) for name, words in new.items()}
    named = partners(samples, rows)
    estimates = Estimates(samples)
    estimates.compare([named])
    matches = by_name(samples, named, estimates)
    wanted = unsettled(samples, matches)
    estimates.gather(rows)
    add_by_content(wanted, rows, estimates, matches)
    return {place[1]: match for place, match in matches.items()}


def test_names_are_enough_where_they_are_right() -> None:
    found = matched(
        {"a": matrix(1), "b": matrix(2) + 1}, [row("a", matrix(1)), row("b", matrix(2))]
    )
    assert found["a"] == Match((FILE, "a"), 0.0, equal=True)
    assert found["b"].place == (FILE, "b")
    assert 0 < found["b"].bits < 5
    assert not found["b"].equal


def test_other_names_and_transposed_matrices_are_found_by_content() -> None:
    rows = [row("a", matrix(1)), row("b", matrix(2)), row("c", matrix(3, 64, 32))]
    found = matched({"x": matrix(2), "a": matrix(1).T, "z": matrix(3, 64, 32).T}, rows)
    assert found["x"] == Match((FILE, "b"), 0.0, named=False)
    assert found["a"] == Match((FILE, "a"), 0.0, turned=True)
    assert found["z"] == Match((FILE, "c"), 0.0, turned=True, named=False)


def test_two_new_tensors_share_no_counterpart_and_of_equals_the_name_decides() -> None:
    same = matrix(1)
    rows = [row("one", same), row("two", same + 1), row("three", matrix(9))]
    found = matched({"three": same, "two": same.T, "new": same}, rows)
    places = [match.place for match in found.values()]
    assert len(set(places)) == len(places)
    turned = matched({"b": same.T}, [row("a", same), row("b", same), row("c", same)])
    assert turned["b"].place == (FILE, "b")


def test_strangers_match_nothing() -> None:
    assert matched({"a": matrix(1)}, [row("b", matrix(2)), row("c", matrix(3).T)]) == {}


def test_many_at_once_are_estimated_as_each_alone() -> None:
    new = sample(matrix(0))
    stored = [sample(matrix(0) + np.uint16(step)) for step in (0, 1, 5, 40)]
    together = delta_bits(new, stacked(stored)).tolist()
    assert together == [delta_bits(new, stacked([each]))[0] for each in stored]
    assert together == sorted(together)
    assert together[0] == 0.0
    assert max(together) < dense_bits(DTYPES["BF16"])


def test_what_cannot_be_compared_is_infinitely_far() -> None:
    new, other = sample(matrix(0)), stacked([sample(matrix(0, 64, 32))] * 2)
    assert delta_bits(new, other).tolist() == [np.inf, np.inf]
    whole = Sample(DTYPES["I16"], (64, 64), new.words, new.turned)
    assert delta_bits(new, stacked([whole])).tolist() == [np.inf]
    assert delta_bits(whole, stacked([whole])).tolist() == [0.0]


def test_samples_of_unknown_transposes_are_not_compared_turned() -> None:
    words = matrix(0)
    plain = sample(words)
    bare = Sample(plain.dtype, plain.shape, plain.words, plain.turned[:0])
    turned = sample(words.T)
    assert delta_bits(turned, stacked([plain]), turned=True).tolist() == [0.0]
    assert delta_bits(turned, stacked([bare]), turned=True).tolist() == [np.inf]
    assert delta_bits(turned, stacked([plain, bare]), turned=True).tolist() == [np.inf] * 2


@pytest.mark.parametrize("rows", [72, 100])
def test_more_rows_are_compared_where_both_have_them(rows: int) -> None:
    words = matrix(0)
    longer = np.concatenate([words, matrix(5, rows - 64)])
    assert delta_bits(sample(longer), stacked([sample(words)])).tolist() == [0.0]
    assert delta_bits(sample(words), stacked([sample(longer)])).tolist() == [0.0]


def test_a_transposed_counterpart_is_estimated_from_as_many_words_as_others() -> None:
    words = matrix(0, 64, 96)
    rows = [row("a", words)]
    # a change that the few words of the stored transpose do not show
    changed = words.T.copy()
    shown = {(at, to) for to, at in cells((96, 64))[:64]}
    hidden = [(at, to) for at, to in cells((64, 96)) if (at, to) not in shown]
    for at, to in hidden:
        changed[to, at] ^= 1
    before = matched({"a": changed}, rows)
    assert before["a"].turned
    assert before["a"].bits == 0.0
    source = ArraysSource(
        {"a": (TensorSpec("a", "BF16", (96, 64)), changed.reshape(-1).view(np.uint8))}
    )
    sampled = SampledSource.of(source.files())
    turned = sampled.turned({(FILE, "a")})
    after = {(FILE, "a"): before["a"]}
    refine(after, rows, turned)
    assert 0 < after[FILE, "a"].bits < 4
    assert likeness(sampled, COMMIT, rows).matches == after
    assert sampled.turned(set()) == {}
