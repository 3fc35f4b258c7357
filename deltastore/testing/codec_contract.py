"""What every codec has to keep, ours and plug-ins' alike.

A test module subclasses a contract, and pytest does the rest:

    class TestMine(CodecContract):
        name = "x-mine/1"

Codecs with parameters, or that only take certain blocks, override `case`.
"""

from __future__ import annotations

import threading
import tracemalloc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from unittest import mock

import numpy as np
import pytest
from blake3 import blake3

from deltastore.codecs.blocks import word_type
from deltastore.codecs.preview import count_block, plan_preview, preview_block
from deltastore.codecs.registry import codec_named
from deltastore.errors import CorruptError
from deltastore.kernels.models import word_model
from deltastore.kernels.reference import difference, integrate
from deltastore.specs import DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deltastore.codecs.protocol import Codec, Parameters, Words
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
    "unchanged_share",
]

SIZES = (1, 2, 63, 64, 65, 1000, 4099)
KINDS = ("near", "rare", "unrelated", "special")


@dataclass(frozen=True, slots=True)
class Case:
    """One block that a codec is asked to keep.

    Attributes:
        label: names it in failures.
        block: words to keep.
        inputs: as many words each.
        dtype: of all of them.
        parameters: of the tensor.
    """

    label: str
    block: Words
    inputs: tuple[Words, ...]
    dtype: Dtype
    parameters: Parameters

    def encode(self, codec: Codec) -> bytes:
        """Its payload."""
        return codec.encode(self.block, self.inputs, self.dtype, self.parameters)

    def decode(self, codec: Codec, payload: bytes) -> Words:
        """The block that a payload stands for."""
        words = len(self.block)
        return codec.decode(payload, words, self.inputs, self.dtype, self.parameters)


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
                    inputs = tuple(_input(dtype, size, index) for index in range(count))
                    block = _block(kind, inputs, dtype, size)
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
                frozen = _frozen(case)
                payload = frozen.encode(codec)
                assert case.encode(codec) == payload, case.label
                back = frozen.decode(codec, payload)
                same = case.decode(codec, b"") if case.inputs else back
                for result in (back, same):
                    assert not any(np.shares_memory(result, each) for each in frozen.inputs)
                assert np.array_equal(frozen.block, case.block), case.label

    def test_poisoned_memory(self) -> None:
        """No result depends on what fresh memory happens to hold."""
        codec = self.codec()
        for dtype in self.dtypes():
            for case in self.cases(dtype, sizes=(65, 1000)):
                payload = case.encode(codec)
                with _poisoned():
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
                    _survives(case, codec, _garbled(payload, rng))

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


def _input(dtype: Dtype, size: int, index: int) -> Words:
    """Random bits in the first half, weights around one in the second; inputs are alike."""
    rng = np.random.default_rng([dtype.code, size])
    words = np.frombuffer(rng.bytes(size * dtype.word_bytes), word_type(dtype)).copy()
    model = word_model(dtype)
    if model.ordered:
        one = model.bias << model.mantissa_bits
        noise = words[size // 2 :] % (4 << model.mantissa_bits)
        words[size // 2 :] = one - (2 << model.mantissa_bits) + noise
    if index:
        words[::7] += words.dtype.type(1)
    return words


def _block(kind: str, inputs: tuple[Words, ...], dtype: Dtype, size: int) -> Words:
    model = word_model(dtype)
    rng = np.random.default_rng([dtype.code, size, KINDS.index(kind)])
    kind_of_word = word_type(dtype)
    noise = np.frombuffer(rng.bytes(size * dtype.word_bytes), kind_of_word).copy()
    if kind == "unrelated" or not inputs:
        return noise if kind != "special" else _special(dtype, size)
    if kind == "special":
        return _special(dtype, size)
    share = 1.0 if kind == "near" else 0.01
    steps = np.where(rng.random(size) < share, rng.geometric(0.1, size), 0)
    return integrate(inputs[0], (steps % 200).astype(kind_of_word), model.ordered)


def _special(dtype: Dtype, size: int) -> Words:
    """Zeros of both signs, the least and largest subnormal, infinities, NaN payloads."""
    model = word_model(dtype)
    top = 1 << (model.bits - 1)
    infinity = model.exponent_mask << model.mantissa_bits
    values = [0, 1, (1 << model.mantissa_bits) - 1, infinity, infinity + 1, top - 1, top // 2]
    values += [value | top for value in values]
    kind = word_type(dtype)
    return np.resize(np.array([value % (2 * top) for value in values], kind), size)


def _frozen(case: Case) -> Case:
    """The same case in read-only memory."""
    block = np.frombuffer(case.block.tobytes(), case.block.dtype)
    inputs = tuple(np.frombuffer(each.tobytes(), each.dtype) for each in case.inputs)
    return Case(case.label, block, inputs, case.dtype, case.parameters)


def _poisoned() -> Any:
    """While it is entered, `np.empty` and `np.empty_like` return memory full of 0xA5."""
    return mock.patch.multiple(np, empty=_poison(np.empty), empty_like=_poison(np.empty_like))


def _poison(make: Callable[..., Any]) -> Callable[..., Any]:
    def poisoned(*arguments: Any, **keywords: Any) -> Any:
        array = make(*arguments, **keywords)
        array.view(np.uint8)[...] = 0xA5
        return array

    return poisoned


def _garbled(payload: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed, removed, inserted or swapped, or all made up."""
    data = bytearray(payload)
    way = int(rng.integers(5))
    at = int(rng.integers(max(1, len(data))))
    if way == 0 or not data:
        return rng.bytes(int(rng.integers(1, 200)))
    if way == 1:
        data[at] ^= int(rng.integers(1, 256))
    elif way == 2:
        del data[at : at + int(rng.integers(1, 9))]
    elif way == 3:
        data[at:at] = rng.bytes(int(rng.integers(1, 9)))
    else:
        data[0:at] = data[at : 2 * at]
    return bytes(data)


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


def unchanged_share(case: Case) -> float:
    """How much of a block is as its first input; used to see that the kinds are what they say."""
    model = word_model(case.dtype)
    return float(np.mean(difference(case.block, case.inputs[0], model.ordered) == 0))
