"""What every codec has to keep, ours and plug-ins' alike.

A test module subclasses a contract, and pytest does the rest:

    class TestMine(CodecContract):
        name = "x-mine/1"

Codecs with parameters, or that only take certain blocks, override `case`.
"""

from __future__ import annotations

import threading
import tracemalloc
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from blake3 import blake3

from deltastore.codecs.blocks import word_type
from deltastore.codecs.preview import count_block, plan_preview, preview_block
from deltastore.codecs.registry import codec_named
from deltastore.errors import CorruptError
from deltastore.specs import DTYPES
from deltastore.testing.codec_cases import (
    KINDS,
    SIZES,
    Case,
    frozen,
    garbled,
    poisoned_memory,
    sample_block,
    sample_input,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deltastore.codecs.protocol import Codec, Words
    from deltastore.kernels.dispatch import Family
    from deltastore.specs import Dtype

__all__ = [
    "BUILTIN_CONTRACTS",
    "Case",
    "CodecContract",
    "DenseContract",
    "ExactContract",
    "SparseContract",
    "TernaryContract",
]


class CodecContract:
    """Tests of one codec; `name` must be set."""

    name: ClassVar[str]

    def codec(self, family: Family = "cpu") -> Codec:
        """The codec under test."""
        return codec_named(self.name, family=family)

    def case(self, label: str, block: Words, inputs: tuple[Words, ...], dtype: Dtype) -> Case:
        """A block made for any codec, as one that this codec takes, and its parameters."""
        return Case(label, block, inputs, dtype, {})

    def dtypes(self) -> Iterator[Dtype]:
        """All that the codec supports."""
        return (dtype for dtype in DTYPES.values() if self.codec().supports(dtype))

    def cases(
        self, dtype: Dtype, sizes: tuple[int, ...] = SIZES, kinds: tuple[str, ...] = KINDS
    ) -> Iterator[Case]:
        """Blocks of every kind and size, with every number of inputs."""
        for count in self.codec().input_counts:
            for size in sizes:
                for kind in kinds:
                    inputs = tuple(sample_input(dtype, size, index) for index in range(count))
                    block = sample_block(kind, inputs, dtype, size)
                    label = f"{dtype.name} {kind} {size} words {count} inputs"
                    yield self.case(label, block, inputs, dtype)

    def fingerprint(self) -> str:
        """Hash of all payloads: the same in every process."""
        codec, hasher = self.codec(), blake3()
        for dtype in self.dtypes():
            for case in self.cases(dtype):
                hasher.update(case.encode(codec))
        return hasher.hexdigest()

    def test_name_and_inputs(self) -> None:
        """The name is the registry's; it works with some number of inputs and some dtype."""
        codec = self.codec()
        assert codec.name == self.name
        assert codec.input_counts
        assert any(True for _ in self.dtypes())

    def test_round_trips(self) -> None:
        """Bit for bit: NaN payloads, infinities, zeros of both signs, subnormals, any tail."""
        codec = self.codec()
        for dtype in self.dtypes():
            for case in self.cases(dtype):
                back = case.decode(codec, case.encode(codec))
                assert back.dtype == word_type(dtype), case.label
                assert np.array_equal(back, case.block), case.label

    def test_families_agree(self) -> None:
        """Every family of kernels writes the same bytes and reads the same words."""
        reference, cpu = self.codec("reference"), self.codec("cpu")
        for dtype in self.dtypes():
            for case in self.cases(dtype, sizes=(1, 65, 4099)):
                payload = case.encode(reference)
                assert case.encode(cpu) == payload, case.label
                assert np.array_equal(case.decode(reference, payload), case.block), case.label

    def test_no_words(self) -> None:
        """Nothing is kept as nothing; a payload for no words is corrupt."""
        codec = self.codec()
        for dtype in self.dtypes():
            for case in self.cases(dtype, sizes=(0,), kinds=("near",)):
                assert case.encode(codec) == b"", case.label
                assert len(case.decode(codec, b"")) == 0, case.label
                with pytest.raises(CorruptError):
                    case.decode(codec, b"\1\0\0\0")

    def test_identical_input_costs_nothing(self) -> None:
        """A block that is as its first input has an empty payload."""
        codec = self.codec()
        if codec.input_counts == (0,):
            pytest.skip("it has no inputs")
        for dtype in self.dtypes():
            for made in self.cases(dtype, kinds=("near",)):
                case = Case(made.label, made.inputs[0], made.inputs, dtype, made.parameters)
                assert case.encode(codec) == b"", case.label
                assert np.array_equal(case.decode(codec, b""), case.block), case.label

    def test_size_is_bounded(self) -> None:
        """Noise costs at most a 64th more than itself, where the format allows 64 KiB in 2 MiB."""
        codec = self.codec()
        for dtype in self.dtypes():
            for case in self.cases(dtype, kinds=("unrelated",)):
                limit = case.block.nbytes + case.block.nbytes // 64 + 64
                assert len(case.encode(codec)) <= limit, case.label

    def test_pure(self) -> None:
        """Arguments stay as they are, may be read-only, and results do not share their memory."""
        codec = self.codec()
        for dtype in self.dtypes():
            for case in self.cases(dtype, sizes=(1000,)):
                fixed = frozen(case)
                payload = fixed.encode(codec)
                assert case.encode(codec) == payload, case.label
                back = fixed.decode(codec, payload)
                same = case.decode(codec, b"") if case.inputs else back
                for result in (back, same):
                    assert not any(np.shares_memory(result, each) for each in fixed.inputs)
                assert np.array_equal(fixed.block, case.block), case.label

    def test_poisoned_memory(self) -> None:
        """No result depends on what fresh memory happens to hold."""
        codec = self.codec()
        for dtype in self.dtypes():
            for case in self.cases(dtype, sizes=(65, 1000)):
                payload = case.encode(codec)
                with poisoned_memory():
                    assert case.encode(codec) == payload, case.label
                    assert np.array_equal(case.decode(codec, payload), case.block), case.label

    def test_threads(self) -> None:
        """Two threads at once get what one alone gets."""
        codec = self.codec()
        dtype = next(iter(self.dtypes()))
        cases = list(self.cases(dtype, sizes=(4099,)))
        alone = [case.encode(codec) for case in cases]
        together: list[list[bytes]] = [[], []]

        def work(results: list[bytes]) -> None:
            results += [case.encode(codec) for case in cases]

        threads = [threading.Thread(target=work, args=(results,)) for results in together]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert together == [alone, alone]

    def test_truncated_payloads(self) -> None:
        """Every prefix is corrupt, but for the empty one where that means "as the input"."""
        codec = self.codec()
        for dtype in self.dtypes():
            for case in self.cases(dtype, sizes=(65, 1000)):
                payload = case.encode(codec)
                cuts = {*range(0, len(payload), 1 + len(payload) // 24), len(payload) - 1}
                for cut in cuts - {0, -1}:
                    with pytest.raises(CorruptError):
                        case.decode(codec, payload[:cut])

    def test_other_lengths(self) -> None:
        """A payload does not fit another number of words."""
        codec = self.codec()
        for dtype in self.dtypes():
            for case in self.cases(dtype, sizes=(1000,), kinds=("unrelated",)):
                payload = case.encode(codec)
                shorter = tuple(each[:-1] for each in case.inputs)
                try:
                    back = codec.decode(payload, 999, shorter, dtype, case.parameters)
                except CorruptError:
                    continue
                assert len(back) == 999, case.label
                assert case.inputs, case.label

    def test_garbled_payloads(self) -> None:
        """Whatever the bytes, there is a typed error or a whole block, in bounded memory."""
        codec = self.codec()
        rng = np.random.default_rng(5)
        for dtype in self.dtypes():
            for case in self.cases(dtype, sizes=(1000,)):
                payload = case.encode(codec)
                for _ in range(12):
                    _survives(case, codec, garbled(payload, rng))

    def test_trailing_bytes(self) -> None:
        """Nothing may follow."""
        codec = self.codec()
        for dtype in self.dtypes():
            for case in self.cases(dtype, sizes=(65,)):
                payload = case.encode(codec)
                if payload:
                    with pytest.raises(CorruptError):
                        case.decode(codec, payload + b"\0")


class DenseContract(CodecContract):
    """`dense/1`."""

    name = "dense/1"


class SparseContract(CodecContract):
    """`sparse/1`."""

    name = "sparse/1"


class ExactContract(CodecContract):
    """`exact/1`, with rows of every length."""

    name = "exact/1"

    def case(self, label: str, block: Words, inputs: tuple[Words, ...], dtype: Dtype) -> Case:
        """Rows of 1, of 64, of 999 and longer than the block."""
        row = (1, 64, 999, 2**20)[len(label) % 4]
        return Case(f"{label} row {row}", block, inputs, dtype, {"row": row})


class TernaryContract(CodecContract):
    """`ternary/1`: the blocks are previews; what they preview is within the declared bound."""

    name = "ternary/1"

    def case(self, label: str, block: Words, inputs: tuple[Words, ...], dtype: Dtype) -> Case:
        """The preview of the block."""
        base = inputs[0]
        plan = plan_preview([count_block(block, base, dtype)], "0.2")
        if plan is None:
            parameters = {"density": "0.2", "scale": "3f800000"}
            return Case(label, base.copy(), inputs, dtype, parameters)
        preview = preview_block(block, base, dtype, plan, 0)
        return Case(label, preview, inputs, dtype, plan.parameters)


BUILTIN_CONTRACTS: dict[str, type[CodecContract]] = {
    contract.name: contract
    for contract in (DenseContract, ExactContract, SparseContract, TernaryContract)
}
"""One contract for each codec of the registry."""


def _survives(case: Case, codec: Codec, payload: bytes) -> None:
    tracemalloc.start()
    try:
        back, message = case.decode(codec, payload), codec.name
    except CorruptError as error:
        back, message = case.block, str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (back.dtype, len(back)) == (case.block.dtype, len(case.block)), case.label
    assert codec.name in message, case.label
    assert peak < 64 * case.block.nbytes + 2**20, case.label
