"""Sketches that lie: they are hints, so nothing may fail, hang or grow because of them."""

from __future__ import annotations

import struct
import tracemalloc
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import deltastore
from deltastore.errors import CorruptError
from deltastore.history import meta_packs
from deltastore.ids import Digest
from deltastore.kernels.sketching import sample, spans
from deltastore.specs import DTYPES
from deltastore.storage import sketches
from deltastore.storage.sketches import Sketch, decode_sketches, encode_sketches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deltastore import Store

MAGIC = b"DSSKETC1"

SKETCHES = st.lists(
    st.builds(
        Sketch,
        digest=st.binary(min_size=32, max_size=32).map(lambda data: Digest(data.hex())),
        dtype=st.sampled_from(["BF16", "F32", "I64", "U8"]),
        shape=st.lists(st.integers(0, 2**64 - 1), max_size=16).map(tuple),
        plain=st.integers(0, 32).map(lambda n: bytes(8 * n)),
        turned=st.integers(0, 8).map(lambda n: bytes(8 * n)),
    ),
    max_size=5,
)


@given(SKETCHES)
def test_sketches_come_back(given_ones: list[Sketch]) -> None:
    assert decode_sketches(encode_sketches(given_ones)) == tuple(given_ones)


@given(SKETCHES, st.integers(0, 10**6), st.binary(max_size=9), st.integers(0, 9))
def test_damaged_sketches_are_corrupt_or_others(
    given_ones: list[Sketch], at: int, noise: bytes, cut: int
) -> None:
    data = encode_sketches(given_ones)
    place = at % (len(data) + 1)
    with suppress(CorruptError):
        for each in decode_sketches(data[:place] + noise + data[place + cut :]):
            assert len(each.plain) % DTYPES[each.dtype].word_bytes == 0
            assert len(each.shape) <= 16


def one(
    digest: str, dtype: str, shape: tuple[int, ...], plain: bytes, turned: bytes = b""
) -> bytes:
    code = DTYPES[dtype].code
    head = struct.pack(f"<32sBB{len(shape)}Q", bytes.fromhex(digest), code, len(shape), *shape)
    return head + struct.pack("<HH", len(plain), len(turned)) + plain + turned


LONE = "ab" * 32


@pytest.mark.parametrize(
    "data",
    [
        b"",
        MAGIC,
        MAGIC + b"\xff\xff\xff\xff",
        MAGIC + b"\2\0\0\0" + one(LONE, "BF16", (40, 40), bytes(512)),
        MAGIC + b"\1\0\0\0" + one(LONE, "BF16", (40, 40), bytes(511)),
        MAGIC + b"\1\0\0\0" + one(LONE, "BF16", (40, 40), bytes(514)),
        MAGIC + b"\1\0\0\0" + one(LONE, "BF16", (40, 40), bytes(512), bytes(130)),
        MAGIC + b"\1\0\0\0" + one(LONE, "BF16", (1,) * 17, bytes(32)),
        MAGIC + b"\1\0\0\0" + one(LONE, "BF16", (40, 40), bytes(512)).replace(b"\x0c", b"\xee"),
        MAGIC + b"\1\0\0\0" + one(LONE, "BF16", (40, 40), bytes(512)) + b"more",
    ],
)
def test_what_is_wrong_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptError):
        decode_sketches(data)


def test_a_count_is_checked_before_anything_is_allocated() -> None:
    tracemalloc.start()
    with pytest.raises(CorruptError):
        decode_sketches(MAGIC + b"\xff\xff\xff\xff" + bytes(1 << 16))
    assert tracemalloc.get_traced_memory()[1] < 1 << 18
    tracemalloc.stop()


def test_more_sketches_than_fit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    each = Sketch(Digest(LONE), "BF16", (40, 40), bytes(512), bytes(128))
    monkeypatch.setattr(sketches, "MAX_SKETCHES", 12 + 3 * 694)
    found = decode_sketches(encode_sketches([each] * 9))
    assert found == (each,) * 3


@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0), (0, 0, 3), (3, 0, 2)])
def test_what_is_empty_has_no_places(shape: tuple[int, ...]) -> None:
    assert spans(shape) == ()


@given(st.lists(st.integers(1, 2**40), min_size=1, max_size=5).map(tuple))
def test_places_are_within_a_tensor_however_large(shape: tuple[int, ...]) -> None:
    size = 1
    for each in shape:
        size *= each
    assert all(start >= 0 and start + width <= size for start, width in spans(shape))


def model(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weights = {
        f"w{n}": (torch.randn(60, 60, generator=generator) * 0.05).bfloat16() for n in range(3)
    }
    return weights | {"empty": torch.zeros(0, 5), "one": torch.tensor(1.0)}


def tuned(seed: int) -> dict[str, torch.Tensor]:
    return {
        name: each + 3e-4 * torch.randn(each.shape).to(each.dtype) if each.ndim == 2 else each
        for name, each in model(seed).items()
    }


def without(_: Sequence[Sketch]) -> bytes:
    return b"no sketches at all"


def cut_off(given_ones: Sequence[Sketch]) -> bytes:
    return encode_sketches(given_ones)[:-5]


def of_others(given_ones: Sequence[Sketch]) -> bytes:
    """Each under the digest of the next."""
    pairs = zip(given_ones, [*given_ones[1:], given_ones[0]], strict=True)
    return encode_sketches(
        [Sketch(b.digest, a.dtype, a.shape, a.plain[::-1], a.turned) for a, b in pairs]
    )


def of_another_kind(given_ones: Sequence[Sketch]) -> bytes:
    """Bytes that are no words of the tensor's dtype, of shapes that nothing has."""
    found = [one(s.digest, "U8", (0, 2**64 - 1), bytes(255), bytes(63)) for s in given_ones]
    return MAGIC + struct.pack("<I", len(found)) + b"".join(found)


def too_short(given_ones: Sequence[Sketch]) -> bytes:
    return encode_sketches([Sketch(s.digest, s.dtype, s.shape, bytes(2), b"") for s in given_ones])


def of_what_is_empty(given_ones: Sequence[Sketch]) -> bytes:
    """A sample of the tensor without elements too."""
    digest = deltastore.ids.tensor_digest("F32", (0, 5), deltastore.ids.bytes_digest(b""))
    return encode_sketches([*given_ones, Sketch(digest, "F32", (0, 5), bytes(64), bytes(64))])


LIES = (without, cut_off, of_others, of_another_kind, too_short, of_what_is_empty)


@pytest.mark.parametrize("lie", LIES)
def test_commits_and_the_catalog_go_on(
    tmp_path: Path, lie: Callable[[Sequence[Sketch]], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Store = deltastore.init(tmp_path / "s", cache=tmp_path / "cache")
    monkeypatch.setattr(meta_packs, "encode_sketches", lie)
    store.commit(model(1), to="me/base", message="base", base="none")
    monkeypatch.undo()
    store.commit(model(2), to="me/other", message="base", base="none")
    state = tuned(1)
    for base in ("auto", "me/base"):
        done = store.commit(state, to=f"me/{base[:2]}", message="m", base=base)
        assert done.commit
    again = deltastore.open(tmp_path / "s", cache=tmp_path / "another-cache")
    found = again.load("me/au")
    assert all(torch.equal(found[name], each) for name, each in state.items())
    assert again.fsck(tensors=True).ok
    # nothing but the sketches is missing from the catalog
    assert again._catalog().stats().unread == 0
    assert again.stats().garbage_bytes == 0


def test_two_sketches_of_one_tensor_give_one_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(given_ones: Sequence[Sketch]) -> bytes:
        others = [Sketch(s.digest, s.dtype, s.shape, s.plain[::-1], s.turned) for s in given_ones]
        return encode_sketches([*given_ones, *others])

    store = deltastore.init(tmp_path / "s", cache=tmp_path / "cache")
    monkeypatch.setattr(meta_packs, "encode_sketches", twice)
    made = store.commit(model(1), to="me/base", message="base", base="none")
    catalog, commit = store._catalog(), store._resolve(made.commit).commit
    rows = {catalog.sketches([commit]) for _ in range(5)}
    assert len(rows) == 1
    assert len(next(iter(rows))) == len(model(1))


def test_samples_are_where_they_are_said_to_be() -> None:
    words = torch.arange(60 * 60).to(torch.int16).numpy().view("<u2")
    taken = sample(words, (60, 60)).tolist()
    places = [start + n for start, width in spans((60, 60)) for n in range(width)]
    assert taken == [place % 65536 for place in places]
