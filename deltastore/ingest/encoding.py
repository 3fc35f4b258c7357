"""One tensor into its smallest representation, verified before anybody sees it.

A preview layer Q = ternary(base) is made first where there is to be one; an exact layer over Q is
then one more candidate. Block i of everything depends on block i of the inputs only, so threads
work on blocks, and besides the tensor and its references only what is encoded is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3

from deltastore.codecs.blocks import as_words, block_layout
from deltastore.codecs.choose import Candidate, candidates, smallest
from deltastore.codecs.exact import exact_parameters
from deltastore.codecs.preview import (
    count_block,
    plan_preview,
    preview_block,
    squared_difference,
)
from deltastore.codecs.registry import codec_named
from deltastore.errors import DeltastoreError
from deltastore.ids import Digest, canonical_json, tensor_digest
from deltastore.specs import DTYPES
from deltastore.storage.records import Input, Kind, Representation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deltastore.codecs.blocks import BlockLayout
    from deltastore.codecs.choose import InputRole
    from deltastore.codecs.preview import BlockCounts, PreviewPlan
    from deltastore.codecs.protocol import Parameters, Words
    from deltastore.engine.threads import Workers
    from deltastore.materialize.tensors import Bytes
    from deltastore.specs import Dtype, TensorSpec

__all__ = ["Encoded", "EncodedTensor", "PreviewLayer", "Reference", "TensorEncoder"]


@dataclass(frozen=True, slots=True)
class Reference:
    """A stored tensor that a delta may be taken against: how it is seen, and its words seen so."""

    source: Input
    words: Words


@dataclass(frozen=True, slots=True)
class Encoded:
    """A representation and its payloads, one per block."""

    representation: Representation
    payloads: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class EncodedTensor:
    """How one tensor will be kept.

    Attributes:
        exact: the smallest representation of its bits.
        preview: of its preview, or None.
        squared_error: |exact - preview|^2.
        squared_change: |exact - base|^2.
    """

    exact: Encoded
    preview: Encoded | None = None
    squared_error: float = 0.0
    squared_change: float = 0.0


@dataclass(frozen=True, slots=True)
class PreviewLayer:
    """A preview that was made: its payloads, digest and plan, and its errors."""

    encoded: Encoded
    plan: PreviewPlan
    squared_error: float
    squared_change: float


@dataclass(frozen=True, slots=True)
class _Work:
    """One tensor being encoded, and the references by role."""

    digest: Digest
    spec: TensorSpec
    dtype: Dtype
    layout: BlockLayout
    words: Words
    references: Mapping[InputRole, Reference]

    def block(self, index: int) -> Words:
        start, stop = self.layout.bounds(index)
        return self.words[start:stop]

    def reference(self, role: InputRole, index: int) -> Words:
        start, stop = self.layout.bounds(index)
        return self.references[role].words[start:stop]


class TensorEncoder:
    """Encodes tensors on some threads.

    Args:
        workers: threads.
        density: of previews, as decimal text.
    """

    def __init__(self, workers: Workers, density: str = "0.05") -> None:
        self._workers = workers
        self._density = density

    def encode(
        self,
        digest: Digest,
        spec: TensorSpec,
        data: Bytes,
        *,
        base: Reference | None,
        parent: Reference | None,
        preview: bool,
    ) -> EncodedTensor:
        """The smallest representation of a tensor, and its preview.

        Args:
            digest: of the tensor.
            spec: its dtype and shape.
            data: its raw bytes.
            base: the base's tensor, seen as this dtype and shape, or None.
            parent: the parent's, or None.
            preview: whether to make a preview against the base.

        Raises:
            DeltastoreError: decoding did not give the tensor back: a bug in a codec.
        """
        work = _work(digest, spec, data, base, parent)
        layer = self._preview(work) if preview and work.dtype.kind == "float" else None
        exact = self._exact(work, layer)
        if layer is None:
            return EncodedTensor(exact)
        return EncodedTensor(exact, layer.encoded, layer.squared_error, layer.squared_change)

    def preview(
        self, digest: Digest, spec: TensorSpec, data: Bytes, base: Reference
    ) -> PreviewLayer | None:
        """A preview of a tensor that is stored already; None if it would be as base or tensor."""
        work = _work(digest, spec, data, base, None)
        return self._preview(work) if work.dtype.kind == "float" else None

    def squared_errors(
        self, spec: TensorSpec, data: Bytes, preview: Bytes, base: Bytes
    ) -> tuple[float, float]:
        """|exact - preview|^2 and |exact - base|^2 of a whole tensor, a block at a time."""
        layout, dtype = block_layout(spec), DTYPES[spec.dtype]

        def errors(block: int) -> tuple[float, float]:
            start, stop = layout.byte_bounds(block)
            exact, shown, old = (
                as_words(each[start:stop].data, dtype) for each in (data, preview, base)
            )
            error = squared_difference(exact, shown, dtype)
            return error, squared_difference(exact, old, dtype)

        pairs = list(self._workers.map(errors, range(layout.count)))
        return sum(error for error, _ in pairs), sum(change for _, change in pairs)

    # the preview layer

    def _preview(self, work: _Work) -> PreviewLayer | None:
        blocks = range(work.layout.count)
        counts = list(self._workers.map(partial(_count, work), blocks))
        plan = plan_preview(counts, self._density)
        if plan is None:
            return None
        content, payloads = blake3(), []
        error = change = 0.0
        for payload, previewed, errors in self._workers.map(partial(_layer, work, plan), blocks):
            content.update(previewed)
            payloads.append(payload)
            error += errors[0]
            change += errors[1]
        found = tensor_digest(work.spec.dtype, work.spec.shape, Digest(content.hexdigest()))
        base = work.references["base"].source
        if found in (base.digest, work.digest):
            return None
        how = _representation(work, found, "ternary/1", plan.parameters, (base,))
        return PreviewLayer(Encoded(how, tuple(payloads)), plan, error, change)

    # the exact layer

    def _exact(self, work: _Work, layer: PreviewLayer | None) -> Encoded:
        options = _options(work, layer)
        encoders = {option: _encoder(work, option, layer) for option in options}
        choice = smallest(encoders, work.layout.count, run=self._workers.map)
        option = choice.candidate
        inputs = tuple(_input(work, role, layer) for role in option.inputs)
        how = _representation(
            work, work.digest, option.codec, _parameters(work, option.codec), inputs
        )
        encoded = Encoded(how, choice.payloads)
        self._verify(work, option, encoded, layer)
        return encoded

    def _verify(
        self, work: _Work, option: Candidate, encoded: Encoded, layer: PreviewLayer | None
    ) -> None:
        check = partial(_decodes_to_itself, work, option, encoded, layer)
        if not all(self._workers.map(check, range(work.layout.count))):
            raise _lying(work, option.codec)


def _work(
    digest: Digest,
    spec: TensorSpec,
    data: Bytes,
    base: Reference | None,
    parent: Reference | None,
) -> _Work:
    references: dict[InputRole, Reference] = {}
    if base is not None:
        references["base"] = base
    if parent is not None and (base is None or parent.source != base.source):
        references["parent"] = parent
    dtype = DTYPES[spec.dtype]
    return _Work(digest, spec, dtype, block_layout(spec), as_words(data.data, dtype), references)


def _representation(
    work: _Work, digest: Digest, codec: str, parameters: Parameters, inputs: tuple[Input, ...]
) -> Representation:
    return Representation(
        kind=Kind.TENSOR,
        digest=digest,
        codec=codec,
        raw_length=work.spec.nbytes,
        blocks=work.layout.count,
        dtype=work.spec.dtype,
        shape=work.spec.shape,
        parameters=canonical_json(dict(parameters)) if parameters else b"",
        inputs=inputs,
    )


def _options(work: _Work, layer: PreviewLayer | None) -> list[Candidate]:
    """The table of codecs for this tensor, also against the parent."""
    has_base = "base" in work.references
    against_base = candidates(work.dtype, has_reference=has_base, has_preview=layer is not None)
    if "parent" not in work.references:
        return list(against_base)
    against_parent = candidates(work.dtype, has_reference=True)
    return [
        *(Candidate(c.codec, ("parent",)) for c in against_parent if c.inputs),
        *against_base,
    ]


def _parameters(work: _Work, codec: str) -> Parameters:
    return exact_parameters(work.spec) if codec == "exact/1" else {}


def _input(work: _Work, role: InputRole, layer: PreviewLayer | None) -> Input:
    if role == "preview" and layer is not None:
        return Input(layer.encoded.representation.digest)
    return work.references["base" if role == "reference" else role].source


def _encoder(work: _Work, option: Candidate, layer: PreviewLayer | None) -> Callable[[int], bytes]:
    codec, parameters = codec_named(option.codec), _parameters(work, option.codec)

    def encode(block: int) -> bytes:
        inputs = _inputs(work, option, layer, block)
        return codec.encode(work.block(block), inputs, work.dtype, parameters)

    return encode


def _inputs(work: _Work, option: Candidate, layer: PreviewLayer | None, block: int) -> list[Words]:
    """The option's inputs for one block; the preview is decoded from what will be stored."""
    found = []
    for role in option.inputs:
        if role == "preview" and layer is not None:
            found.append(_decoded_preview(work, layer, block))
        else:
            found.append(work.reference("base" if role == "reference" else role, block))
    return found


def _decoded_preview(work: _Work, layer: PreviewLayer, block: int) -> Words:
    payload, base = layer.encoded.payloads[block], work.reference("base", block)
    parameters = layer.plan.parameters
    return codec_named("ternary/1").decode(payload, len(base), [base], work.dtype, parameters)


def _decodes_to_itself(
    work: _Work, option: Candidate, encoded: Encoded, layer: PreviewLayer | None, block: int
) -> bool:
    original = work.block(block)
    decoded = codec_named(option.codec).decode(
        encoded.payloads[block],
        len(original),
        _inputs(work, option, layer, block),
        work.dtype,
        _parameters(work, option.codec),
    )
    return np.array_equal(decoded, original)


def _lying(work: _Work, codec: str) -> DeltastoreError:
    return DeltastoreError(
        f"tensor {work.spec.name!r}: {codec} does not give back what it was given; nothing was "
        "stored",
        hint="please report this with the tensor: it is a bug in the codec",
    )


def _count(work: _Work, block: int) -> BlockCounts:
    return count_block(work.block(block), work.reference("base", block), work.dtype)


def _layer(
    work: _Work, plan: PreviewPlan, block: int
) -> tuple[bytes, memoryview, tuple[float, float]]:
    target, base = work.block(block), work.reference("base", block)
    previewed = preview_block(target, base, work.dtype, plan, block)
    codec = codec_named("ternary/1")
    payload = codec.encode(previewed, [base], work.dtype, plan.parameters)
    decoded = codec.decode(payload, len(base), [base], work.dtype, plan.parameters)
    if not np.array_equal(decoded, previewed):
        raise _lying(work, "ternary/1")
    errors = (
        squared_difference(target, previewed, work.dtype),
        squared_difference(target, base, work.dtype),
    )
    return payload, previewed.view(np.uint8).data, errors
