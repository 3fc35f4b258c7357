from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from deltastore.codecs.registry import codec_named
from deltastore.engine.threads import Workers
from deltastore.errors import DeltastoreError
from deltastore.ids import Digest, bytes_digest, tensor_digest
from deltastore.ingest import encoding
from deltastore.ingest.encoding import EncodedTensor, Reference, TensorEncoder
from deltastore.kernels.rounding import rounded
from deltastore.specs import DTYPES, TensorSpec
from deltastore.storage.records import Input

SHAPE = (96, 512)
SPEC = TensorSpec("w", "BF16", SHAPE)
Words = npt.NDArray[np.uint16]


def bf16(values: npt.NDArray[np.float64]) -> Words:
    words: Words = rounded(values.astype(np.float32), DTYPES["BF16"]).astype(np.uint16)
    return words.reshape(-1)


def digest_of(words: Words) -> Digest:
    return tensor_digest("BF16", SHAPE, bytes_digest(words.tobytes()))


def make_pair(step: float) -> tuple[Words, Words]:
    random = np.random.default_rng(3)
    base = random.normal(0, 0.05, SHAPE)
    return bf16(base), bf16(base + random.laplace(0, step, SHAPE))


def encode(
    words: Words, base: Words | None, parent: Words | None = None, *, preview: bool = True
) -> EncodedTensor:
    with Workers(2) as workers:
        return TensorEncoder(workers).encode(
            digest_of(words),
            SPEC,
            words.view(np.uint8),
            base=None if base is None else Reference(Input(digest_of(base)), base),
            parent=None if parent is None else Reference(Input(digest_of(parent)), parent),
            preview=preview,
        )


def size(found: EncodedTensor) -> int:
    return sum(map(len, found.exact.payloads))


def test_a_fine_tune_is_an_exact_layer_over_a_preview() -> None:
    base, words = make_pair(0.0005)
    found = encode(words, base)
    assert found.exact.representation.codec == "exact/1"
    assert found.preview is not None
    inputs = [source.digest for source in found.exact.representation.inputs]
    assert inputs == [found.preview.representation.digest, digest_of(base)]
    assert 0.7 < (found.squared_error / found.squared_change) ** 0.5 < 0.9
    assert size(found) < 0.4 * words.nbytes


def test_the_preview_has_the_digest_of_what_it_decodes_to() -> None:
    base, words = make_pair(0.0005)
    preview = encode(words, base).preview
    assert preview is not None
    blocks = [
        codec_named("ternary/1").decode(
            payload, words.size, [base], DTYPES["BF16"], {"scale": scale_of(preview), "density": ""}
        )
        for payload in preview.payloads
    ]
    content = np.concatenate(blocks)
    assert tensor_digest("BF16", SHAPE, bytes_digest(content.tobytes())) == (
        preview.representation.digest
    )


def scale_of(encoded: encoding.Encoded) -> str:
    text = encoded.representation.parameters.decode()
    return text.partition('"scale":"')[2][:8]


def test_the_nearer_of_base_and_parent_is_the_reference() -> None:
    base, words = make_pair(0.002)
    parent = words.copy()
    parent[::100] ^= 1
    found = encode(words, base, parent)
    assert [source.digest for source in found.exact.representation.inputs] == [digest_of(parent)]
    assert found.preview is not None  # still against the base
    assert [s.digest for s in found.preview.representation.inputs] == [digest_of(base)]


def test_without_a_reference_it_is_dense_and_smaller_than_raw() -> None:
    _, words = make_pair(0.0005)
    found = encode(words, None, preview=False)
    assert found.exact.representation.codec == "dense/1"
    assert found.exact.representation.inputs == ()
    assert size(found) < 0.72 * words.nbytes


def test_noise_against_an_unrelated_base_is_never_larger_than_dense() -> None:
    random = np.random.default_rng(1)
    noise, other = (random.integers(0, 2**16, SHAPE).astype(np.uint16).reshape(-1) for _ in "ab")
    against, alone = encode(noise, other, preview=False), encode(noise, None, preview=False)
    assert size(against) <= size(alone)


def test_an_equal_base_leaves_no_preview() -> None:
    base, _ = make_pair(0.0005)
    found = encode(base.copy(), base)
    assert found.preview is None
    assert size(found) < 100


def test_a_codec_that_lies_is_caught_before_anything_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base, words = make_pair(0.0005)
    monkeypatch.setattr(encoding, "_decodes_to_itself", lambda *_args: False)
    with pytest.raises(DeltastoreError, match="nothing was stored"):
        encode(words, base)
